"""Days into tars: written, read back, named, recorded, and only then the files removed.

Whatever instant a crash picks, the next run finds one of these, and goes on:

- a temporary name: rubbish, written over;
- a tar with its name that the ledger has as begun, with its checksum: removed and made again,
  since the files are still there;
- a recorded tar whose files are still there: the files are removed;
- all done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial

from mapillary_crawler.archive.finish.day_folder import (
    MemberChanged,
    changed,
    lies_elsewhere,
    read,
    remove,
    remove_empty,
    set_capture_time,
)
from mapillary_crawler.archive.finish.errors import ForeignTar, ReadBackFailed
from mapillary_crawler.archive.finish.lost_tars import lost_tars
from mapillary_crawler.archive.finish.parts import (
    Placed,
    ending,
    header,
    padding,
    parts,
    size_of,
    tar_size,
)
from mapillary_crawler.archive.finish.samples import Sample, sample_of
from mapillary_crawler.archive.finish.work import Work, require_space
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import (
    CHUNK,
    WholeFile,
    chunks,
    exists,
    sha256_of,
    sync_folder,
)
from mapillary_crawler.collection.layout import tar_name
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import DayState, ImageRecord, Piece


def forget_unfinished(work: Work) -> None:
    """Remove the tars that were begun and never recorded; what is not ours stays."""
    for piece in work.ledger.wait_for(lambda ledger: ledger.pieces.unfinished()):
        path = work.folder / piece.name
        is_ours = piece.sha256 and path.is_file() and not path.is_symlink()
        if is_ours and sha256_of(path, lambda _: work.check_stop()) == piece.sha256:
            path.unlink()
            sync_folder(work.folder)
        work.forget(piece.name)


def seal_day(work: Work, day: str, max_bytes: int) -> list[int]:
    """Bring a day's loose files into tars below `max_bytes`.

    Returns the numbers of images whose files are missing or changed; then the day is not
    sealed, while parts already recorded stand. Raises `ForeignTar`, `ReadBackFailed`,
    `RunStopped`, `OSError`.
    """
    _set_state(work, day, DayState.SEALING)
    remove_sealed(work, day)
    try:
        for piece, again in lost_tars(work, day):
            _seal_part(work, day, again, max_bytes, piece.part)
            work.ledger.wait_for(partial(_forget, piece))
        for part in parts(streams.loose(work.ledger, day), max_bytes):
            _seal_part(work, day, part, max_bytes)
    except MemberChanged:
        return _changed(work, day, streams.loose(work.ledger, day))
    remove_empty(work.folder, day)
    _set_state(work, day, DayState.SEALED)
    return []


def seal_first_part(work: Work, day: str, max_bytes: int) -> list[int]:
    """Bring the first part of a day's loose files into a tar.

    All images before its end are to be settled (`Front`). Returns the numbers of images whose
    files are missing or changed; then no tar was made. Raises what `seal_day` does.
    """
    part = next(parts(streams.loose(work.ledger, day), max_bytes))
    try:
        _seal_part(work, day, part, max_bytes)
    except MemberChanged:
        return _changed(work, day, [record for record, _ in part])
    return []


def remove_sealed(work: Work, day: str) -> None:
    """Remove the files that a crash has left of images that are in a day's tars."""
    remove(work.folder, streams.members_in_tars(work.ledger, day))


def _changed(work: Work, day: str, records: Iterable[ImageRecord]) -> list[int]:
    """Return the numbers of those images whose files are not what the ledger says."""
    numbers = changed(work, records)
    if not numbers:  # neither is the disk's word to be trusted
        raise ReadBackFailed(work.folder / day) from None
    return numbers


def check_day(work: Work, day: str) -> list[int]:
    """Compare a day's loose files with the ledger, where they are to stay loose.

    Returns the numbers of images whose files are missing or changed.
    """
    _set_state(work, day, DayState.SEALING)
    numbers = changed(work, streams.loose(work.ledger, day))
    if not numbers:
        for record in streams.loose(work.ledger, day):
            if not lies_elsewhere(work, record):
                set_capture_time(work.folder, record)
        if sample := sample_of(work, day, streams.loose(work.ledger, day)):
            work.ledger.wait_for(sample.keep)
        _set_state(work, day, DayState.SEALED)
    return numbers


def _set_state(work: Work, day: str, state: DayState) -> None:
    work.ledger.wait_for(lambda ledger: ledger.days.set_state(day, state))


def _forget(piece: Piece, ledger: Ledger) -> None:
    ledger.lost.forget(piece)


def _seal_part(
    work: Work, day: str, part: list[Placed], max_bytes: int, lost: int | None = None
) -> None:
    tell = work.ledger.wait_for
    number = tell(lambda ledger: ledger.pieces.next_part(day)) if lost is None else lost
    path = work.folder / tar_name(day, number)
    require_space(work.folder, tar_size(part), path.name, work.reserve)
    if exists(path):
        raise ForeignTar(path)
    piece = tell(lambda ledger: ledger.pieces.start_tar(path.name, day, number))
    with WholeFile(path, work.scratch) as file:
        for data in contents(work, part):
            file.write(data)
        file.flush()
        digests = file.digests
        read_back(work, file, part)
        tell(lambda ledger: ledger.pieces.written(piece, **asdict(digests)))
        if exists(path):
            raise ForeignTar(path)
    places = [(record.number, offset) for record, offset in part]
    sample = sample_of(work, day, (record for record, _ in part))
    tell(lambda ledger: _record(ledger, piece, places, max_bytes, sample))
    work.sealed()
    remove(work.folder, (record.member for record, _ in part))


def _record(
    ledger: Ledger,
    piece: int,
    places: list[tuple[int, int]],
    max_bytes: int,
    sample: Sample | None,
) -> None:
    """Record a tar, the first of which fixes how large the others may be."""
    with ledger.database.transaction():
        if sample:
            sample.keep(ledger)
        ledger.pieces.seal_tar(piece, places)
        if ledger.facts.get("tar_max_bytes") is None:
            ledger.facts.set(tar_max_bytes=max_bytes)


def contents(work: Work, part: list[Placed]) -> Iterator[bytes]:
    """Yield the bytes of a part's tar; raises `MemberChanged`, `RunStopped`.

    Some megabytes at once: while they are hashed and written, others work.
    """
    gathered: list[bytes] = []
    size = 0
    for data in _pieces(work, part):
        gathered.append(data)
        size += len(data)
        if size >= CHUNK:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def _pieces(work: Work, part: list[Placed]) -> Iterator[bytes]:
    with descent.Visit(work.folder) as visit:
        for record, _ in part:
            work.check_stop()
            yield header(record)
            yield from read(work.folder, record, visit)
            yield padding(size_of(record))
    yield ending(part)


def read_back(work: Work, file: WholeFile, part: list[Placed]) -> None:
    """Compare a tar, as it lies on the disk, with what was written and with the ledger.

    Raises `ReadBackFailed` if the disk gives back something else, `MemberChanged` if what
    was written is not what the ledger has.
    """
    whole = hashlib.sha256()
    members = _Members(part)
    for chunk in chunks(file.temporary):
        work.check_stop()
        whole.update(chunk)
        members.take(chunk)
    if whole.digest() != file.digests.sha256:
        raise ReadBackFailed(file.path)
    if not members.are_as_recorded:
        raise MemberChanged


class _Members:
    """The images of a part, hashed as the bytes of its tar go by."""

    def __init__(self, part: list[Placed]) -> None:
        self._left = iter(part)
        self._placed = next(self._left, None)
        self._sha256 = hashlib.sha256()
        self._position = 0
        self.are_as_recorded = True

    def take(self, chunk: bytes) -> None:
        """Take what comes next of the tar."""
        view, start = memoryview(chunk), self._position
        self._position += len(chunk)
        while self._placed and self._placed.offset < self._position:
            record, offset = self._placed
            end = offset + size_of(record)
            self._sha256.update(view[max(0, offset - start) : end - start])
            if end > self._position:
                return
            self.are_as_recorded &= self._sha256.digest() == record.sha256_stored
            self._placed, self._sha256 = next(self._left, None), hashlib.sha256()
