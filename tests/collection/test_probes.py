"""What a disk can do is found out by trying, and what was tried is gone afterwards."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection import probes

PROBES: dict[str, Callable[[Path], bool]] = {
    "shares_memory": probes.shares_memory,
    "keeps_case": probes.keeps_case,
    "takes_long_names": probes.takes_long_names,
    "takes_size": lambda folder: probes.takes_size(folder, 10 * 1024**3),
    "flushes_folders": probes.flushes_folders,
    "sets_times": probes.sets_times,
    "sets_modes": probes.sets_modes,
    "locks": probes.locks,
}
#: What a disk refuses, by the call and the error that it refuses it with.
REFUSALS = [
    ("flushes_folders", os, "fsync", errno.EINVAL),
    ("sets_times", os, "utime", errno.EPERM),
    ("sets_modes", os, "chmod", errno.EPERM),
    ("locks", fcntl, "flock", errno.ENOLCK),
    ("takes_size", os, "lseek", errno.EINVAL),
]


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(tmp_path.iterdir()) == []


def refuse(monkeypatch: pytest.MonkeyPatch, module: Any, call: str, number: int) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, call, fail)


@pytest.mark.parametrize("probe", PROBES)
def test_a_common_disk_can_do_everything(probe: str, tmp_path: Path) -> None:
    assert PROBES[probe](tmp_path)


@pytest.mark.parametrize(("probe", "module", "call", "number"), REFUSALS)
def test_what_is_refused(
    probe: str, module: Any, call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, module, call, number)
    assert not PROBES[probe](tmp_path)


@pytest.mark.parametrize(
    ("probe", "module", "call"), [each[:3] for each in REFUSALS if each[0] != "locks"]
)
def test_a_broken_disk_is_no_refusal(
    probe: str, module: Any, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, module, call, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        PROBES[probe](tmp_path)


def test_a_mode_that_is_taken_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "chmod", lambda *_: None)
    assert not probes.sets_modes(tmp_path)


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.EINVAL])
def test_a_name_that_is_not_taken(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, probes.tempfile, "NamedTemporaryFile", number)
    assert not probes.takes_long_names(tmp_path)


def test_the_process_s_own_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    assert probes.takes_size(tmp_path, 1000)
    assert not probes.takes_size(tmp_path, 1001)
