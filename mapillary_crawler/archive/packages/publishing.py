"""Packages on the shared folder: written under a name of their own, verified, renamed.

Whatever is killed leaves what nobody looks at (`.writing-…`), and what had its name before. Of two
who write the same the first has its way. Nothing goes before what takes its place is there.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from mapillary_crawler.archive.packages.copying import write_package
from mapillary_crawler.archive.packages.handed_out import (
    HandedOut,
    cut_bytes,
    folders_in,
    last_generation,
    look,
)
from mapillary_crawler.archive.packages.names import (
    CUT,
    WRITING,
    Kind,
    Package,
    read_generation,
    read_package,
)
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.slices.making import make_slice
from mapillary_crawler.archive.slices.reading import known_slices, read_slices
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import LEDGER_PATH, moved, slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.ledger.records import SliceState


def hand_out(
    folder: Path, root: Path, *, stop: Callable[[], bool], may: Callable[[], bool]
) -> bool:
    """Put a collection that is cut, and its slices, on the shared folder, for any machine.

    `may` says, last of all, whether that is still to be done. What is here goes once it is there
    (`forget`). Returns whether it was. May be killed at any instant and called again; nobody else
    does meanwhile. The root is never made: where it is not there, its disk is away. Raises
    `Refused` where a process works on it, `ReadBackFailed`, `RunStopped`, `SliceMismatch`,
    `sqlite3.Error`, `OSError`.
    """
    collection = folder.name
    with _held(folder):
        with descent.opened_folder(root, collection, make=True):
            pass
        _clear(root, collection, _is_writing)
        before = last_generation(root, collection)
        generation = 0 if before is None else before + 1
        with _writing(root, collection) as writing:
            _write_all(folder, root, writing, stop)
            done = may() and _name(root, collection, writing, str(generation))
        if done:
            sync_folder(root)
            _clear(root, collection, lambda name: _is_before(name, generation))
    return done


def may_be_handed_out(folder: Path, handed: HandedOut | None) -> bool:
    """Say whether a collection is cut, otherwise than it is `handed` out, and is to be crawled.

    One that is partly merged is its machine's.
    """
    states = {part.state for part in known_slices(folder) or []}
    if SliceState.OPEN not in states or SliceState.MERGED in states:
        return False
    return handed is None or cut_of(folder) != handed.cut


def _write_all(folder: Path, root: Path, below: str, stop: Callable[[], bool]) -> None:
    with descent.opened_folder(root, below, make=True):
        pass
    parts = read_slices(folder) or []
    for part in parts:
        place = slice_folder(folder, part.number)
        lock = Lock({folder.parent}, place.name)
        try:
            if part.state is SliceState.OPEN:
                make_slice(folder, place, part)
            kind = Kind.OPEN if part.state is SliceState.OPEN else Kind.ENDED
            write_package(place, root, f"{below}/{Package(kind, part.number).name}", stop)
        finally:
            lock.release()
    write_package(folder, root, f"{below}/{Package(Kind.WHOLE).name}", stop)
    with closing(read_ledger(folder)) as ledger:
        cut = cut_bytes(ledger.slices.version, ledger.slices.cut_id, parts)
    with (
        descent.parent(root, f"{below}/{CUT}") as (handle, name),
        os.fdopen(descent.create_file(handle, name), "wb") as file,
    ):
        file.write(cut)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(root / below)


def cut_of(folder: Path) -> str | None:
    """Return by which cut a collection is cut; None where it is not, or is not there."""
    if not (folder.is_dir() and descent.is_file(folder, str(LEDGER_PATH))):
        return None
    with closing(read_ledger(folder)) as ledger:
        return ledger.slices.cut_id


def forget(folder: Path, handed: HandedOut) -> None:
    """Remove what is here of a collection that is handed out, by the same cut; and its slices.

    Raises `Refused` where a process works on it, `OSError`.
    """
    if os.path.lexists(moved(folder)):  # a kill came in the middle
        with _held(folder):
            _clear_moved(folder)
    if cut_of(folder) != handed.cut:
        return
    for part in handed.slices:
        _forget(slice_folder(folder, part.number))
    _forget(folder)


def _forget(folder: Path) -> None:
    """Remove a folder, whole or not at all."""
    with _held(folder):
        _clear_moved(folder)
        with suppress(FileNotFoundError):
            folder.rename(moved(folder))
        _clear_moved(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    lock = Lock({folder.parent}, folder.name)
    try:
        yield
    finally:
        lock.release()


def _clear_moved(folder: Path) -> None:
    rubbish = moved(folder)
    descent.clear(rubbish.parent, rubbish.name)


def publish(
    folder: Path, handed: HandedOut, package: Package, *, stop: Callable[[], bool],
    may: Callable[[], bool],
) -> bool:  # fmt: skip
    """Put what a machine has made of a package in its place; return whether it is that now.

    It is not where another was first, or it `may` not any more. Raises as `write_package`.
    """
    try:
        with _writing(handed.root, handed.below) as writing:
            write_package(folder, handed.root, writing, stop)
            done = may() and _name(handed.root, handed.below, writing, package.name)
        if done:
            _clear_older(handed, package)
    except FileNotFoundError:
        if last_generation(handed.root, handed.collection) == handed.generation:
            raise
        return False  # all of it is finished, or was handed out anew
    return done


def withdraw(root: Path, collection: str) -> None:
    """Remove all packages of a collection that is finished."""
    _clear(root, "", lambda name: name == collection)
    _clear(root, "", _is_writing)


def _is_writing(name: str) -> bool:
    return name.startswith(WRITING)


def _is_before(name: str, generation: int) -> bool:
    number = read_generation(name)
    return number is not None and number < generation


@contextmanager
def _writing(root: Path, below: str) -> Iterator[str]:
    """Give a place to write to, which is cleared where it has not got another name."""
    place = f"{below}/{WRITING}{uuid.uuid4().hex}"
    try:
        yield place
    finally:
        with suppress(OSError):
            descent.clear(root, place)


def _name(root: Path, below: str, writing: str, name: str) -> bool:
    """Give what was written its name; say whether nobody else was first."""
    with descent.opened_folder(root, below) as handle:
        try:
            os.rename(writing.rpartition("/")[2], name, src_dir_fd=handle, dst_dir_fd=handle)
        except OSError:
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=handle, follow_symlinks=False)
                return False
            raise
    sync_folder(root / below)
    return True


def _clear_older(handed: HandedOut, package: Package) -> None:
    """Remove the packages whose place another has taken."""
    current = look(handed.root, handed.collection)
    if current is None or current.generation != handed.generation:
        return
    counts = {current.whole.name, *(each.name for each in current.packages.values())}
    whole = package.kind is Kind.WHOLE

    def is_older(name: str) -> bool:
        each = read_package(name)
        if each is None or name in counts or each.number != package.number:
            return False
        return (each.kind is Kind.WHOLE) == whole

    _clear(handed.root, handed.below, is_older)


def _clear(root: Path, below: str, is_rubbish: Callable[[str], bool]) -> None:
    """Remove folders below root by their names; each is gone at once, for who reads it, too."""
    with suppress(FileNotFoundError):
        for name in filter(is_rubbish, folders_in(root, below)):
            rubbish = name if _is_writing(name) else f"{WRITING}{uuid.uuid4().hex}"
            with suppress(OSError), descent.opened_folder(root, below) as handle:
                os.rename(name, rubbish, src_dir_fd=handle, dst_dir_fd=handle)
                descent.clear(root, f"{below}/{rubbish}" if below else rubbish)
