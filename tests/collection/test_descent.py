"""Below a collection no link leads anywhere, whatever stands where."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.batch import NewFile, remove_incoming, write_files
from mapillary_crawler.collection.descent import NotFollowed


def make_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "outside")


def make_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "a link": make_link,
    "a link ": make_dangling_link,
    "a pipe": os.mkfifo,
    "a socket": make_socket,
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder beside the collection, with a file that nobody may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "0").write_text("kept")
    (folder / "sequence").mkdir()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "mapillary-ann-original"
    folder.mkdir()
    return folder


def untouched(outside: Path) -> bool:
    names = sorted(path.name for path in outside.iterdir())
    return names == ["0", "sequence"] and (outside / "0").read_text() == "kept"


@pytest.mark.parametrize("what", SPECIAL)
def test_nothing_special_is_opened(root: Path, outside: Path, what: str) -> None:
    SPECIAL[what](root / "x")
    for look in (
        lambda: descent.open_file(root, "x"),
        lambda: descent.open_file(root, "x/0"),
        lambda: descent.is_file(root, "x"),
        lambda: descent.status(root, "x/0"),
        lambda: descent.read(root, "x/0", 10),
        lambda: descent.unlink(root, "x/0"),
        lambda: descent.clear(root, "x"),
        lambda: descent.opened_folder(root, "x", make=True).__enter__(),
    ):
        with pytest.raises(NotFollowed, match=f"is {what.strip()}, which is not followed") as error:
            look()
        assert error.value.filename == str(root / "x")
    assert untouched(outside)


@pytest.mark.parametrize(
    "path", ["../outside/0", "a/../../outside/0", "/etc/hostname", "..", "a/."]
)
def test_no_path_leads_out(root: Path, outside: Path, path: str) -> None:
    (root / "a").mkdir()
    for look in (descent.open_file, descent.status, descent.unlink):
        with pytest.raises(NotFollowed, match="leads elsewhere"):
            look(root, path)
    assert untouched(outside)


def test_what_is_to_be_removed_goes_whatever_is_not_there_any_more(root: Path) -> None:
    paths = [f"{folder}/{name}.jpg" for folder in ("a", "b", "a/c") for name in "12"]
    write_files(root, [NewFile(path, b"one", None) for path in [*paths, "a/3.jpg"]])
    descent.unlink_all(root, ["a/0.jpg", "absent/1.jpg", "absent/2.jpg", *paths, "a/1.jpg"])
    assert [path.name for path in root.rglob("*.jpg")] == ["3.jpg"]


def test_of_what_is_to_be_removed_nothing_behind_a_link_goes(root: Path, outside: Path) -> None:
    (root / "x").symlink_to(outside)
    write_files(root, [NewFile("a/0", b"one", None)])
    with pytest.raises(NotFollowed, match="is a link"):
        descent.unlink_all(root, ["a/0", "x/0"])
    assert untouched(outside)
    assert not (root / "a" / "0").exists()


def test_the_collection_itself_may_be_a_link(tmp_path: Path, root: Path) -> None:
    (tmp_path / "here").symlink_to(root)
    write_files(tmp_path / "here", [NewFile("2024-01-15/1.jpg", b"one", None)])
    assert descent.read(tmp_path / "here", "2024-01-15/1.jpg", 3) == b"one"


def test_a_file_is_no_folder_and_a_folder_no_file(root: Path) -> None:
    (root / "file").write_text("text")
    (root / "folder").mkdir()
    with pytest.raises(NotFollowed, match="is a file"):
        descent.status(root, "file/0")
    with pytest.raises(NotFollowed, match="is a folder"):
        descent.open_file(root, "folder")
    with pytest.raises(FileNotFoundError, match="absent"):
        descent.open_file(root, "absent/0")
    assert not descent.is_file(root, "absent/0")


def test_a_mount_point_is_not_entered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of each folder is compared with the collection's."""
    (root / "mounted").mkdir()
    (root / "mounted" / "0").write_text("kept")
    mounted = (root / "mounted").stat()
    fstat = os.fstat

    class OfAnotherDisk:
        st_dev = mounted.st_dev + 1
        st_mode = mounted.st_mode

    def elsewhere(handle: int) -> object:
        found = fstat(handle)
        return OfAnotherDisk if found.st_ino == mounted.st_ino else found

    monkeypatch.setattr(os, "fstat", elsewhere)
    for below in ("mounted", "."):
        with pytest.raises(NotFollowed, match="is a mount point"):
            descent.clear(root, below) if below != "." else descent.unlink(root, "mounted/0")
    (root / "around").mkdir()
    (root / "mounted").rename(root / "around" / "mounted")
    with pytest.raises(NotFollowed, match="is a mount point"):
        descent.clear(root, "around")
    assert (root / "around" / "mounted" / "0").read_text() == "kept"


def test_clear_takes_links_by_themselves(root: Path, outside: Path) -> None:
    (root / "rubbish" / "deep").mkdir(parents=True)
    (root / "rubbish" / "deep" / "link").symlink_to(outside)
    os.mkfifo(root / "rubbish" / "pipe")
    descent.clear(root, "rubbish")
    descent.clear(root, "rubbish")
    assert list(root.iterdir()) == []
    assert untouched(outside)


def test_clear_takes_what_arrives_or_goes_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a run's own progress, which is written while its last steps remove the folder."""
    (root / "rubbish" / "deep").mkdir(parents=True)
    for name in ("deep/1", "2", "3"):
        (root / "rubbish" / name).touch()
    unlink, arriving = os.unlink, ["deep/new", "new"]

    def unlinked(name: str, *, dir_fd: int) -> None:
        if arriving:
            (root / "rubbish" / arriving.pop()).touch()
            unlink(name, dir_fd=dir_fd)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(descent.os, "unlink", unlinked)
    descent.clear(root, "rubbish")
    assert list(root.iterdir()) == []


def test_clear_ends_where_somebody_writes_for_ever(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As network file systems do, which keep a file that is open under another name."""
    (root / "rubbish").mkdir()
    (root / "rubbish" / "1").touch()
    monkeypatch.setattr(descent.os, "unlink", lambda *_, **__: None)
    with pytest.raises(OSError, match="not empty"):
        descent.clear(root, "rubbish")


@pytest.mark.parametrize(
    "place", [".crawl", ".crawl/incoming", "2024-01-15", "2024-01-15/sequence"]
)
def test_no_batch_is_written_through_a_link(root: Path, outside: Path, place: str) -> None:
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).symlink_to(outside)
    remove_incoming(root)
    with pytest.raises(NotFollowed, match="is a link"):
        write_files(root, [NewFile("2024-01-15/sequence/0", b"one", None)])
    assert untouched(outside)


@pytest.mark.parametrize("place", [".crawl/incoming/0", "2024-01-15/sequence/0"])
def test_a_link_in_the_place_of_a_file_is_replaced(root: Path, outside: Path, place: str) -> None:
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(outside / "0")
    write_files(root, [NewFile("2024-01-15/sequence/0", b"one", 0)])
    assert (root / "2024-01-15/sequence/0").read_bytes() == b"one"
    assert untouched(outside)


def test_no_more_is_read_than_such_a_file_has(root: Path) -> None:
    (root / "sparse").touch()
    os.truncate(root / "sparse", 1 << 40)
    with pytest.raises(OSError, match="has more than 1,000 bytes"):
        descent.read(root, "sparse", 1000)
