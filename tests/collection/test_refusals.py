"""What a disk refuses is done without, once told; what is broken is named."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection import refusals
from mapillary_crawler.collection.durable import WholeFile, flush, sync_folder
from mapillary_crawler.collection.refusals import TIMES, best_effort, copy_status, named

REFUSED = [
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EPERM,
    errno.EACCES,
]
BROKEN = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.EMFILE]


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_told", set())


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *names: str) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    for name in names:
        monkeypatch.setattr(os, name, fail)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"x")
    return tmp_path / "file"


def work(kind: str, file: Path) -> None:
    """Do what a disk may refuse."""
    if kind == "fsync":
        sync_folder(file.parent)
    elif kind == "utime":
        with best_effort(TIMES, file):
            os.utime(file, (1, 1))
    elif kind == "posix_fadvise":
        with file.open("rb+") as opened:
            flush(opened, file)
    else:
        other = file.with_name("other")
        other.write_bytes(b"x")
        copy_status(other, file)


@pytest.mark.parametrize("kind", ["fsync", "utime", "posix_fadvise", "chmod"])
@pytest.mark.parametrize("number", REFUSED)
def test_a_refusal_is_told_once(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    number: int,
) -> None:
    refuse(monkeypatch, number, kind)
    with caplog.at_level(logging.WARNING):
        work(kind, file)
        work(kind, file)
    (record,) = caplog.records
    assert f"The disk of {file.parent} does not let us" in record.getMessage()
    assert os.strerror(number) in record.getMessage()


@pytest.mark.parametrize("kind", ["fsync", "utime", "posix_fadvise"])
@pytest.mark.parametrize("number", BROKEN)
def test_a_broken_disk_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    refuse(monkeypatch, number, kind)
    with pytest.raises(OSError, match=os.strerror(number)) as trouble:
        work(kind, file)
    assert trouble.value.filename == str(file.parent if kind == "fsync" else file)


def test_a_copy_has_the_mode_where_the_times_are_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = file.with_name("other")
    other.write_bytes(b"x")
    other.chmod(0o640)
    refuse(monkeypatch, errno.EPERM, "utime")
    copy_status(other, file)
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / "name").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space") as trouble:  # noqa: SIM117
        with WholeFile(tmp_path / "elsewhere" / "name", tmp_path) as file:
            file.write(bytes(10))
    assert trouble.value.filename == str(tmp_path / "elsewhere" / "name")


def test_a_name_that_is_known_stays(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as trouble, named(tmp_path):
        (tmp_path / "none").stat()
    assert trouble.value.filename == str(tmp_path / "none")
