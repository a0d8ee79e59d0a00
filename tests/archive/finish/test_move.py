"""From staging to the store, on one file system and from one to another."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.finish import work
from mapillary_crawler.archive.finish.errors import DestinationTaken, ReadBackFailed
from mapillary_crawler.archive.finish.move import end_move, move_collection
from mapillary_crawler.collection import durable
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.outcome import RunStopped
from tests.archive.finish.made import ANN, add, finish, pictures

NAME = ANN.name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a finished collection that was put back into staging."""
    folder = tmp_path / "staging" / NAME
    add(folder, pictures(days=1))
    finish(folder, tmp_path / "made")
    folder.parent.mkdir(exist_ok=True)
    (tmp_path / "made" / NAME).rename(folder)
    (folder / "download.log.20240101T000000Z").write_text("log")
    (folder / "notes").symlink_to("elsewhere")
    os.utime(folder / "2024-01-15.tar", (5, 5))
    return folder


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "store" / NAME


@pytest.fixture
def two_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let renames from staging to the store fail as between two file systems."""
    rename = os.rename

    def renamed(source: Any, target: Any) -> None:
        inside = [Path(path).is_relative_to(tmp_path / "staging") for path in (source, target)]
        if inside[0] != inside[1]:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", renamed)


def moved(
    folder: Path,
    destination: Path,
    stop: Callable[[], bool] = lambda: False,
    absent: tuple[str, ...] = (),
) -> None:
    move_collection(folder, destination, absent=absent, stop=stop, say=lambda _: None)


def contents(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder).as_posix(): (
            path.readlink() if path.is_symlink() else path.read_bytes(),
            path.lstat().st_mtime_ns,
        )
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_another_file_system_gets_the_same(folder, destination, two_disks):
    whole = contents(folder)
    moved(folder, destination)
    assert contents(destination) == whole
    assert not list(folder.parent.iterdir())
    assert [path.name for path in destination.parent.iterdir()] == [NAME]


def test_the_same_file_system_gets_the_folder_itself(folder, destination):
    whole, number = contents(folder), folder.stat().st_ino
    moved(folder, destination)
    assert contents(destination) == whole
    assert destination.stat().st_ino == number


@pytest.mark.parametrize("taken", ["folder", "file", "link"])
def test_a_taken_name_is_left_alone(folder, destination, taken, two_disks):
    destination.parent.mkdir()
    if taken == "folder":
        destination.mkdir()
    elif taken == "file":
        destination.write_text("mine")
    else:
        destination.symlink_to("nowhere")
    whole = contents(folder)
    with pytest.raises(DestinationTaken):
        moved(folder, destination)
    assert contents(folder) == whole


def test_a_name_taken_during_the_copy_is_left_alone(folder, destination, two_disks):
    def stop() -> bool:
        destination.mkdir(exist_ok=True)
        return False

    with pytest.raises(DestinationTaken):
        moved(folder, destination, stop)
    assert not list(destination.iterdir())
    assert (folder / "SHA256SUMS").exists()


def test_an_older_copy_is_made_again(folder, destination, two_disks):
    incoming = destination.with_name(f".incoming-{NAME}")
    incoming.mkdir(parents=True)
    (incoming / "2023-01-01.tar").write_text("of an older attempt")
    whole = contents(folder)
    moved(folder, destination)
    assert contents(destination) == whole
    assert not incoming.exists()


def test_a_changed_file_is_not_moved(folder, destination, two_disks):
    content = (folder / "2024-01-15.tar").read_bytes()
    (folder / "2024-01-15.tar").write_bytes(content[:-1] + b"x")
    with pytest.raises(ReadBackFailed, match=r"2024-01-15\.tar"):
        moved(folder, destination)
    assert not list(destination.parent.iterdir())


@pytest.mark.parametrize("name", ["2024-01-15.tar", "unknown-date.tar"])
def test_a_missing_file_is_named(folder, destination, two_disks, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        moved(folder, destination)
    assert not list(destination.parent.iterdir())
    moved(folder, destination, absent=(name,))  # gone since its upload
    assert destination.exists()


def test_a_copy_that_reads_otherwise_is_not_believed(folder, destination, two_disks, monkeypatch):
    chunks = durable.chunks

    def faulty(path: Path) -> Any:
        if ".incoming" in str(path) and path.name == "0":  # a value in .meta
            yield b"something else"
        else:
            yield from chunks(path)

    monkeypatch.setattr(durable, "chunks", faulty)
    with pytest.raises(ReadBackFailed, match="/0"):
        moved(folder, destination)
    assert not list(destination.parent.iterdir())


def test_a_stop_leaves_nothing_half(folder, destination, two_disks):
    whole, asked = contents(folder), 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    with pytest.raises(RunStopped):
        moved(folder, destination, stop)
    assert not list(destination.parent.iterdir())
    assert contents(folder) == whole
    moved(folder, destination)
    assert contents(destination) == whole


def test_a_store_without_room_says_how_much_is_needed(folder, destination, two_disks, monkeypatch):
    usage = shutil.disk_usage(folder)._replace(free=1000)
    monkeypatch.setattr(work.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"copy of .* bytes are needed, 1,000 are free") as error:
        moved(folder, destination)
    assert error.value.errno == errno.ENOSPC
    assert not list(destination.parent.iterdir())


def test_staging_is_kept_unless_the_store_has_it_all(folder, destination):
    (folder / ".crawl/copied").touch()
    shutil.copytree(folder, destination, symlinks=True)
    (destination / ".crawl/copied").unlink()
    (destination / "2024-01-15.tar").write_bytes(b"cut")
    end_move(folder, destination)
    assert folder.exists()
    shutil.copy2(folder / "2024-01-15.tar", destination)
    with (destination / LEDGER_PATH).open("ab") as ledger:  # of an upload that came before
        ledger.write(b"more")
    end_move(folder, destination)
    assert not list(folder.parent.iterdir())
    end_move(folder, destination)


def test_staging_without_a_mark_is_kept(folder, destination):
    shutil.copytree(folder, destination, symlinks=True)
    end_move(folder, destination)
    assert folder.exists()


def test_a_copy_is_made_in_no_folder_that_a_link_leads_to(folder, destination, two_disks, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    destination.parent.mkdir()
    incoming = destination.parent / f".incoming-{NAME}"
    incoming.symlink_to(outside)
    before = contents(folder)
    with pytest.raises(NotFollowed, match="is a link, which is not followed"):
        moved(folder, destination)
    assert contents(folder) == before
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert incoming.is_symlink()
