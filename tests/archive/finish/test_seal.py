"""Sealing a day where the disk, or somebody else, does what it should not."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.finish import day_folder, seal, work
from mapillary_crawler.archive.finish.errors import ForeignTar, ImagesChanged, ReadBackFailed
from mapillary_crawler.collection import durable
from mapillary_crawler.collection.durable import WholeFile
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import State
from tests.archive.finish.made import ANN, Picture, add, finish, members, saved

NAME = ANN.name
TAR = "2024-01-15.tar"
SOME = [Picture(str(number), body=bytes([number]) * 100 * number) for number in range(1, 9)]


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """Return a collection of one day, ready to be finished."""
    add(tmp_path / "staging" / NAME, SOME)
    return tmp_path / "staging" / NAME


def finished(staging: Path, **options: Any) -> dict[str, bytes]:
    """Finish, and return the members of the tars."""
    finish(staging, staging.parent.parent / "store", tar_max_bytes=10**6, **options)
    return members(staging.parent.parent / "store" / NAME)


def untouched(staging: Path) -> bool:
    """Say whether no tar was made and all files are there."""
    return (
        {path.relative_to(staging).as_posix() for path in staging.rglob("*.jpg")} == {*saved(SOME)}
        and not list(staging.glob("*.tar"))
        and not list((staging / ".crawl" / "finishing").iterdir())
    )


def test_a_foreign_tar_is_noticed_before_anything_is_written(staging, monkeypatch):
    (staging / TAR).symlink_to("nowhere")
    monkeypatch.setattr(seal, "contents", lambda *_: pytest.fail("it was written"))
    with pytest.raises(ForeignTar):
        finished(staging)
    assert (staging / TAR).is_symlink()


def test_a_foreign_tar_that_comes_during_the_writing_stays(staging):
    def stop() -> bool:
        if list((staging / ".crawl").glob("finishing/*.tar")):
            (staging / TAR).write_bytes(b"mine")
        return False

    with pytest.raises(ForeignTar):
        finished(staging, stop=stop)
    with pytest.raises(ForeignTar):  # although the ledger has a tar of that name as begun
        finished(staging)
    assert (staging / TAR).read_bytes() == b"mine"
    (staging / TAR).unlink()
    assert finished(staging) == saved(SOME)


def corrupted(at: int) -> Callable[[WholeFile], None]:
    """Return a flush whose disk loses a bit of what it is given, once."""
    flush, faults = WholeFile.flush, iter([True])

    def flush_wrongly(file: WholeFile) -> None:
        flush(file)
        if file.path.suffix == ".tar" and next(faults, False):
            content = bytearray(file.temporary.read_bytes())
            content[at] ^= 1
            file.temporary.write_bytes(bytes(content))

    return flush_wrongly


@pytest.mark.parametrize("at", [3, 600, -1])
def test_a_tar_that_reads_otherwise_is_not_believed(staging, monkeypatch, at):
    monkeypatch.setattr(WholeFile, "flush", corrupted(at))
    with pytest.raises(ReadBackFailed, match=TAR):
        finished(staging)
    assert untouched(staging)
    assert finished(staging) == saved(SOME)


def test_files_that_change_between_two_looks_are_the_disks_fault(staging, monkeypatch):
    read = seal.read

    def wrong(folder: Path, record: Any, *rest: Any) -> Iterator[bytes]:
        yield from (bytes(len(chunk)) for chunk in read(folder, record, *rest))

    monkeypatch.setattr(seal, "read", wrong)
    with pytest.raises(ReadBackFailed, match="2024-01-15"):
        finished(staging)
    assert untouched(staging)


def test_a_day_whose_part_does_not_fit_is_not_begun(staging, monkeypatch):
    usage = shutil.disk_usage(staging)
    monkeypatch.setattr(work.shutil, "disk_usage", lambda _: usage._replace(free=20_479))
    with pytest.raises(OSError, match=rf"{TAR}: 20,480 bytes are needed, 20,479 are free") as error:
        finished(staging)
    assert error.value.errno == errno.ENOSPC
    assert untouched(staging)
    monkeypatch.setattr(work.shutil, "disk_usage", lambda _: usage._replace(total=0, free=0))
    assert finished(staging) == saved(SOME)  # a file system that does not know


@pytest.mark.parametrize("suffix", [".tar", ".gz", ".jsonl", "SHA256SUMS", "/0"])
def test_a_full_disk_leaves_nothing_half(staging, monkeypatch, suffix):
    add(staging, [Picture("77", state=State.GONE)])
    write = WholeFile.write

    def full(file: WholeFile, data: bytes) -> int:
        if str(file.path).endswith(suffix):
            write(file, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(WholeFile, "write", full)
        with pytest.raises(OSError, match="No space left"):
            finished(staging)
        assert not list((staging / ".crawl" / "finishing").iterdir())
        assert not (staging.parent.parent / "store").exists()
    assert finished(staging) == saved(SOME)


def test_an_unreadable_file_is_fetched_again(staging, monkeypatch):
    monkeypatch.setattr(day_folder.os, "read", lambda *_: raise_(errno.EIO))
    with pytest.raises(ImagesChanged) as error:
        finished(staging)
    assert error.value.count == len(SOME)


def test_a_file_that_may_not_be_read_is_kept(staging, monkeypatch):
    monkeypatch.setattr(day_folder.os, "read", lambda *_: raise_(errno.EACCES))
    with pytest.raises(PermissionError):
        finished(staging)
    assert untouched(staging)
    ledger = Ledger(staging / LEDGER_PATH)
    assert ledger.images.balance().failed == 0
    ledger.close()


def raise_(number: int) -> Any:
    raise OSError(number, os.strerror(number))


def test_a_stop_within_a_tar_leaves_nothing_half(staging):
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += bool(list((staging / ".crawl").glob("finishing/*.tar")))
        return asked > 3

    with pytest.raises(RunStopped):
        finished(staging, stop=stop)
    assert untouched(staging)


def test_an_exception_closes_and_removes_a_file(tmp_path):
    (tmp_path / "scratch").mkdir()

    def write() -> None:
        with WholeFile(tmp_path / "name", tmp_path / "scratch") as file:
            file.write(b"x" * 3 * durable.CHUNK)
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert not list((tmp_path / "scratch").iterdir())
    assert not (tmp_path / "name").exists()
