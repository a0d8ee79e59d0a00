"""Files reach the disk whole or not at all, also when it is full or the process dies."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapillary_crawler.collection import batch as storage
from mapillary_crawler.collection.batch import NewFile, remove_incoming, write_files
from mapillary_crawler.collection.outcome import DiskFull, is_disk_full

FILES = [
    NewFile("2024-01-15/sequence/1.jpg", b"one", 1705276800123),
    NewFile("2024-01-15/sequence/2.jpg", b"two" * 1000, 0),
    NewFile("2024-01-15/3.jpg", b"", 253402300799000),
    NewFile("unknown-date/4.webp", b"four", None),
]


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it happens."""


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files that have a name of their own."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".crawl" not in path.parts
    }


def test_files_are_written_with_their_folders(tmp_path: Path) -> None:
    digests = write_files(tmp_path, FILES)
    assert tree(tmp_path) == {file.path: file.body for file in FILES}
    assert digests == [hashlib.sha256(file.body).digest() for file in FILES]


def test_times_are_capture_times(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    times = [(tmp_path / file.path).stat().st_mtime_ns for file in FILES]
    assert times[:2] == [1705276800123 * 1_000_000, 0]
    assert abs(times[3] - (tmp_path / ".crawl").stat().st_mtime_ns) < 3600 * 10**9


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.integers(0, 8_589_934_591_999))
def test_every_capture_time_can_be_a_file_s(tmp_path: Path, time: int) -> None:
    write_files(tmp_path, [NewFile("a/b.jpg", b"x", time)])
    found = (tmp_path / "a/b.jpg").stat().st_mtime_ns
    assert found <= time * 1_000_000  # a file system may know fewer years than archive.org


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert write_files(tmp_path, []) == []
    assert tree(tmp_path) == {}


def test_what_is_there_is_replaced(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    again = NewFile(FILES[0].path, b"newer and longer", 0)
    write_files(tmp_path, [again])
    assert tree(tmp_path)[again.path] == b"newer and longer"
    assert len(tree(tmp_path)) == len(FILES)


def test_nothing_half_written_stays_behind(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    assert list((tmp_path / ".crawl/incoming").iterdir()) == []


@pytest.mark.parametrize("syncfs", [True, False])
def test_all_is_flushed_before_anything_gets_its_name(
    syncfs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def note(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **options: Any) -> Any:
            steps.append(step)
            return original(*arguments, **options)

        return noting

    class Library:
        """The C library, as it is on Linux or on macOS."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            if syncfs:
                self.syncfs = note("flush", lambda handle: 0)

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(os, "fsync", note("flush", os.fsync))
    monkeypatch.setattr(os, "rename", note("rename", os.rename))
    write_files(tmp_path, FILES)
    first, last = steps.index("rename"), len(steps) - steps[::-1].index("rename")
    assert steps[:first] == ["flush"] * (1 if syncfs else len(FILES))
    assert steps[first:last] == ["rename"] * len(FILES)
    folders = {"2024-01-15/sequence", "2024-01-15", "unknown-date", "."}
    assert steps[last:] == ["flush"] * len(folders)


def test_a_flush_that_fails_is_made_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.syncfs = lambda handle: -1

    flushed: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(os, "fsync", flushed.append)
    write_files(tmp_path, FILES)
    assert len(flushed) >= len(FILES)


@pytest.mark.parametrize("names", range(len(FILES) + 1))
def test_a_crash_between_write_and_rename_leaves_no_part_of_a_file(
    names: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename
    done: list[str] = []

    def die_after(source: str, target: str, **folders: int) -> None:
        if len(done) == names:
            raise Killed
        done.append(target)
        rename(source, target, **folders)

    monkeypatch.setattr(os, "rename", die_after)
    if names < len(FILES):
        with pytest.raises(Killed):
            write_files(tmp_path, FILES)
    else:
        write_files(tmp_path, FILES)
    assert tree(tmp_path) == {file.path: file.body for file in FILES[:names]}
    monkeypatch.undo()
    write_files(tmp_path, FILES[:3])  # the next run has another batch
    write_files(tmp_path, FILES[3:])
    assert tree(tmp_path) == {file.path: file.body for file in FILES}


def test_a_crash_while_writing_leaves_no_name_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: Path, incoming: int, name: str, file: NewFile) -> bytes:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=incoming)
        os.write(handle, file.body[:2])
        os.close(handle)
        raise Killed

    monkeypatch.setattr(storage, "_write", die)
    with pytest.raises(Killed):
        write_files(tmp_path, FILES)
    assert tree(tmp_path) == {}
    assert list((tmp_path / ".crawl/incoming").iterdir()) != []
    remove_incoming(tmp_path)
    assert list((tmp_path / ".crawl").iterdir()) == []


def test_removing_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    remove_incoming(tmp_path)
    remove_incoming(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def failing(number: int) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def failing_below(call: str, number: int) -> Callable[..., Any]:
    """Return a system call that fails where it would make something within an open folder."""
    original = getattr(os, call)

    def fail(*arguments: Any, **options: Any) -> Any:
        makes = call != "open" or (len(arguments) > 1 and arguments[1] & os.O_CREAT)
        if makes and any(name.endswith("dir_fd") for name in options):
            raise OSError(number, os.strerror(number))
        return original(*arguments, **options)

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("where", ["open", "mkdir", "rename", "flush"])
def test_a_full_disk_is_told_from_other_troubles(
    where: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mapillary-alice-2048"
    folder.mkdir()
    with monkeypatch.context() as full:
        if where == "flush":
            full.setattr(storage, "_flush", failing(number))
        else:
            full.setattr(os, where, failing_below(where, number))
        with pytest.raises(DiskFull, match="mapillary-alice-2048") as stopped:
            write_files(folder, FILES)
        assert str(tmp_path) not in str(stopped.value)
    assert tree(folder) == {}
    assert not (folder / ".crawl/incoming").exists()
    write_files(folder, FILES)  # space was made
    assert len(tree(folder)) == len(FILES)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EROFS])
def test_other_troubles_stay_what_they_are(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_write", failing(number))
    with pytest.raises(OSError, match=r"\[Errno") as trouble:
        write_files(tmp_path, FILES)
    assert trouble.value.errno == number
    assert not is_disk_full(trouble.value)


class Usage:
    def __init__(self, free: int, total: int = 10**10) -> None:
        self.free = free
        self.total = total


@pytest.mark.parametrize(("missing", "full"), [(0, False), (1, True)])
def test_the_least_free_space_stays_free(
    missing: int, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = sum(len(file.body) for file in FILES) + storage._BESIDES + 10**9
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: Usage(needed - missing))
    if full:
        with pytest.raises(DiskFull, match=r"1,0.* are needed \(MIN_FREE_BYTES 1000000000\)"):
            write_files(tmp_path, FILES, min_free_bytes=10**9)
    else:
        write_files(tmp_path, FILES, min_free_bytes=10**9)
    assert bool(tree(tmp_path)) is not full


def test_a_disk_that_does_not_know_its_size_is_not_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: Usage(0, total=0))
    write_files(tmp_path, FILES, min_free_bytes=10**9)
    assert tree(tmp_path)


def test_sqlite_s_full_disk_is_one_too(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x")
    try:
        connection.execute("PRAGMA max_page_count = 2")
        connection.execute("CREATE TABLE a (b)")
        with pytest.raises(sqlite3.OperationalError) as full:
            connection.execute("INSERT INTO a VALUES (zeroblob(100000))")
        with pytest.raises(sqlite3.OperationalError) as other:
            connection.execute("nonsense")
    finally:
        connection.close()
    assert is_disk_full(full.value)
    assert not is_disk_full(other.value)
    assert not is_disk_full(sqlite3.OperationalError("database or disk is full, it says"))
    assert not is_disk_full(ValueError())
