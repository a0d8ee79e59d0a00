"""Store and staging: judged by what is there, and left as they were."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mapillary_crawler.collection import probes
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.crawl.doctor import folders as module
from mapillary_crawler.crawl.doctor.finding import Finding, State, exit_code
from mapillary_crawler.crawl.doctor.folders import folders

Findings = list[Finding]


def configuration(store: Path, staging: Path | None = None, **more: int) -> Any:
    sizes = {"min_free_bytes": 1_000_000, "tar_max_bytes": 10 * 1024**3, **more}
    return SimpleNamespace(store=store, staging=staging or store / ".incomplete", **sizes)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def states(findings: Findings) -> list[tuple[str, State]]:
    return [(finding.what, finding.state) for finding in findings]


def test_folders_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "store" / ".incomplete").mkdir(parents=True)
    before = tree(tmp_path)
    findings = folders(configuration(tmp_path / "store"))
    assert states(findings) == [("store", State.OK), ("staging", State.OK)]
    store, staging = (finding.found for finding in findings)
    assert store.startswith(f"{tmp_path / 'store'} (MAPILLARY_STORE): writable, ")
    assert staging.startswith(f"{tmp_path / 'store/.incomplete'} (MAPILLARY_STAGING): ")
    assert tree(tmp_path) == before


def test_folders_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    findings = folders(configuration(tmp_path / "a" / "b" / "store"))
    assert states(findings) == [("store", State.OK), ("staging", State.OK)]
    assert all("which will be made" in finding.found for finding in findings)
    assert tree(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "link that leads nowhere"])
@pytest.mark.parametrize("below", ["", "store"])
def test_something_in_the_way(tmp_path: Path, kind: str, below: str) -> None:
    taken = tmp_path / "taken"
    if kind == "file":
        taken.write_bytes(b"")
    else:
        taken.symlink_to(tmp_path / "nowhere")
    store, staging = folders(configuration(taken / below))
    assert (store.state, store.outcome) == (State.FAULT, Outcome.REFUSED)
    assert f"{taken} is no folder" in store.found
    assert store.remedy == "move it away, or set MAPILLARY_STORE"
    assert staging.state is State.FAULT
    assert tree(tmp_path) == ["taken"]


def test_a_link_to_a_folder_is_one(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    assert exit_code(folders(configuration(tmp_path / "store"))) == 0


@pytest.mark.parametrize(
    ("number", "outcome", "said"),
    [
        (errno.EACCES, Outcome.REFUSED, "let this user write to"),
        (errno.EROFS, Outcome.REFUSED, "mount it for writing"),
        (errno.EIO, Outcome.REFUSED, "check the disk"),
        (errno.ENOSPC, Outcome.DISK_FULL, "make space"),
        (errno.EDQUOT, Outcome.DISK_FULL, "make space"),
    ],
)
def test_nothing_can_be_written(
    number: int, outcome: Outcome, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(number, os.strerror(number), str(folder))

    monkeypatch.setattr(probes, "try_room", fail)
    store, staging = folders(configuration(tmp_path / "store", tmp_path / "staging"))
    for finding, setting in ((store, "MAPILLARY_STORE"), (staging, "MAPILLARY_STAGING")):
        assert (finding.state, finding.outcome) == (State.FAULT, outcome)
        assert said in finding.remedy
        assert setting in finding.remedy


def test_little_space_stops_a_crawl_in_staging_only(tmp_path: Path) -> None:
    findings = folders(configuration(tmp_path / "store", min_free_bytes=10**18))
    assert states(findings) == [("store", State.WARNING), ("staging", State.FAULT)]
    assert exit_code(findings) == 6
    assert all("less than MIN_FREE_BYTES (1000.0 PB)" in each.found for each in findings)


def test_a_disk_that_does_not_know_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = SimpleNamespace(total=0, used=0, free=0)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: unknown)
    assert exit_code(folders(configuration(tmp_path))) == 0


def lacking(monkeypatch: pytest.MonkeyPatch, probe: str, below: Path) -> None:
    """Let the disk of a folder lack what a probe looks for."""
    real = getattr(probes, probe)

    def attempt(folder: Path, *arguments: int) -> bool:
        return not folder.is_relative_to(below) and bool(real(folder, *arguments))

    monkeypatch.setattr(probes, probe, attempt)
    minor = tuple((attempt if each[0] is real else each[0], *each[1:]) for each in module._MINOR)
    monkeypatch.setattr(module, "_MINOR", minor)


@pytest.mark.parametrize(
    ("probe", "state", "said"),
    [
        ("locks", State.FAULT, "locks no files"),
        ("takes_long_names", State.WARNING, "names as long"),
        ("keeps_case", State.NOTE, "capitals and small letters"),
        ("flushes_folders", State.NOTE, "flush folders"),
        ("sets_times", State.NOTE, "set the times"),
        ("sets_modes", State.NOTE, "set the modes"),
    ],
)
def test_what_a_disk_lacks_is_told_once_or_of_the_folder_that_it_is_true_of(
    probe: str, state: State, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, staging = tmp_path / "store", tmp_path / "staging"
    for folder in (store, staging):
        folder.mkdir()
    lacking(monkeypatch, probe, staging)
    findings = folders(configuration(store, staging))
    (found,) = [each for each in findings if each.state is not State.OK]
    assert (found.what, found.state) == ("staging", state)
    assert said in found.found
    assert exit_code(findings) == (2 if state is State.FAULT else 0)
    both = folders(configuration(staging / "store"))
    of_both = [each for each in both if each.state is not State.OK]
    assert "store" in {each.what for each in of_both}
    assert len(of_both) == (1 if state is State.NOTE else 2)  # each remedy has its own setting


def test_shared_memory_is_wanted_in_staging_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, staging = tmp_path / "store", tmp_path / "staging"
    store.mkdir()
    staging.mkdir()
    lacking(monkeypatch, "shares_memory", store)
    assert exit_code(folders(configuration(store, staging))) == 0
    findings = folders(configuration(staging, store))
    assert exit_code(findings) == 2
    assert any("folder of a local disk" in finding.remedy for finding in findings)


@pytest.mark.parametrize(
    ("largest", "tar_max_bytes", "said"),
    [
        (2**32 - 1, 10 * 1024**3, "FAT32"),
        (2**32 - 1, 4_000_000_000, None),
        (2**33, 10 * 1024**3, "set TAR_MAX_BYTES=4000000000"),
        (1000, 10 * 1024**3, "ulimit -f"),
    ],
)
def test_the_largest_file(
    largest: int,
    tar_max_bytes: int,
    said: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "takes_size", lambda _, size: size <= largest)
    findings = folders(configuration(tmp_path, tar_max_bytes=tar_max_bytes))
    told = [each for each in findings if each.state is State.WARNING]
    assert exit_code(findings) == 0
    assert [each.what for each in told] == (["store"] if said else [])
    assert all(said and said in each.found + each.remedy for each in told)
