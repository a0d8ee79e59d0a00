"""A store whose disk is not plugged in is not begun anew; everything else is as if unknown."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mapillary_crawler.collection import known_stores
from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.outcome import Outcome, Refused
from tests.collection.test_configuration import configuration


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/mapillary-crawler/stores.json"


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return what is a mount point, for as long as the test says so."""
    mounts = {"/"}
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in mounts)
    return mounts


def used(store: Path, staging: Path | None = None) -> Configuration:
    return configuration(MAPILLARY_STORE=str(store), MAPILLARY_STAGING=str(staging or ""))


def remembered(store: Path, staging: Path | None = None) -> Configuration:
    """Use a store with something in it, and let it be remembered."""
    for folder in (store, staging or store):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "something").touch()
    known_stores.remember(used(store, staging))
    return used(store, staging)


def empty(folder: Path) -> None:
    (folder / "something").unlink()


def test_a_disk_that_is_not_there_is_named_and_what_to_do(tmp_path: Path, mounts: set[str]) -> None:
    disk = tmp_path / "disk"
    mounts.add(str(disk))
    given = remembered(disk / "store")
    known_stores.require_disks(given)
    mounts.remove(str(disk))
    known_stores.require_disks(given)  # there is something, wherever it lies now
    empty(disk / "store")
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            known_stores.require_disks(given)
        assert refused.value.outcome is Outcome.REFUSED
        for part in (str(disk / "store"), f"the disk at {disk},", "plug it in", "NEW_STORE=1"):
            assert part in str(refused.value)
        if (disk / "store").exists():
            (disk / "store").rmdir()
    known_stores.require_disks(replace(given, new_store=True))
    mounts.add(str(disk))
    known_stores.require_disks(given)


def test_a_link_to_a_disk_that_is_not_there(tmp_path: Path, mounts: set[str]) -> None:
    disk, link = tmp_path / "disk", tmp_path / "link"
    mounts.add(str(disk))
    (disk / "store").mkdir(parents=True)
    link.symlink_to(disk / "store")
    given = remembered(link)
    empty(link)
    (disk / "store").rmdir()
    mounts.remove(str(disk))
    with pytest.raises(Refused, match=f"{link} lay on the disk at {disk}, "):
        known_stores.require_disks(given)


def test_staging_has_a_disk_of_its_own(tmp_path: Path, mounts: set[str]) -> None:
    mounts.add(str(tmp_path / "fast"))
    given = remembered(tmp_path / "store", tmp_path / "fast")
    mounts.remove(str(tmp_path / "fast"))
    empty(tmp_path / "fast")
    with pytest.raises(Refused, match=f"^{tmp_path / 'fast'} lay on"):
        known_stores.require_disks(given)
    known_stores.require_disks(used(tmp_path / "store"))


def test_what_was_removed_on_the_same_disk_is_made_again(tmp_path: Path, mounts: set[str]) -> None:
    given = remembered(tmp_path / "store")
    empty(tmp_path / "store")
    known_stores.require_disks(given)
    (tmp_path / "store").rmdir()
    known_stores.require_disks(given)


def test_a_store_that_was_moved_lies_where_it_is_now(tmp_path: Path, mounts: set[str]) -> None:
    disk = tmp_path / "disk"
    mounts.add(str(disk))
    given = remembered(disk)
    mounts.remove(str(disk))
    known_stores.remember(given)
    empty(disk)
    known_stores.require_disks(given)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2}',
        '{"version": 1, "stores": []}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_no_memory_is_no_error(tmp_path: Path, state: Path, mounts: set[str], content: str) -> None:
    state.parent.mkdir(parents=True)
    state.write_text(content, encoding="latin-1")
    given = used(tmp_path / "store")
    known_stores.require_disks(given)
    assert known_stores.used_before(given) is None
    remembered(tmp_path / "store")
    assert json.loads(state.read_text())["stores"] == {str(tmp_path / "store"): "/"}


def test_no_home_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (os.devnull, "/proc/none"):
        monkeypatch.setenv("XDG_STATE_HOME", name)
        known_stores.require_disks(remembered(tmp_path / "store"))
    monkeypatch.setattr(known_stores, "user_state_path", lambda _: Path("~/.local/state"))
    known_stores.require_disks(remembered(tmp_path / "store"))
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]


def test_the_store_used_last_is_named(tmp_path: Path, state: Path) -> None:
    first, second = remembered(tmp_path / "a"), remembered(tmp_path / "b")
    new = used(tmp_path / "new")
    assert known_stores.used_before(new) == tmp_path / "b"
    assert known_stores.used_before(second) == tmp_path / "a"
    known_stores.remember(first)
    assert known_stores.used_before(new) == tmp_path / "a"
    empty(tmp_path / "a")
    assert known_stores.used_before(new) == tmp_path / "b"
    before = state.stat().st_mtime_ns, state.stat().st_ino
    known_stores.remember(first)
    assert (state.stat().st_mtime_ns, state.stat().st_ino) == before


def test_the_staging_folder_of_one_crawl_is_not_kept(tmp_path: Path, state: Path) -> None:
    remembered(tmp_path / "store", tmp_path / "staging")
    remembered(tmp_path / "store", tmp_path / "staging/.attempts/mapillary-a-256#1-0")
    kept = json.loads(state.read_text())["stores"]
    assert set(kept) == {str(tmp_path / "store"), str(tmp_path / "staging")}
