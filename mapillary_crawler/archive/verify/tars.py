"""A tar as it is, side by side with the members it ought to hold."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from mapillary_crawler.archive.finish.parts import padded
from mapillary_crawler.archive.verify.images import CHUNK
from mapillary_crawler.archive.verify.inventory import ExpectedFile, Kind, Problem
from mapillary_crawler.archive.verify.tar_walk import Entry, TarWalk
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.limits import TAR_STRANGERS
from mapillary_crawler.ledger.records import Member

#: Members of one tar that are told one by one where the tar ought not to have them.
_NAMED = 100


class WholeHash:
    """The checksum of a file, taken as far as a walk through it has come."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        self._file = os.fdopen(descent.open_file(path.parent, path.name), "rb", buffering=0)
        self._buffer = memoryview(bytearray(CHUNK))
        self._sha256 = hashlib.sha256()
        self._place = 0
        self._advance = advance

    def follow(self, place: int | None = None) -> None:
        """Read up to that place or a little beyond, or to the end."""
        while place is None or self._place < place:
            count = self._file.readinto(self._buffer)
            if not count:
                return
            self._sha256.update(self._buffer[:count])
            self._place += count
            self._advance(count)

    def digest(self) -> bytes:
        """Read what is left and return the checksum."""
        self.follow()
        return self._sha256.digest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Wanted:
    """The members that a tar ought to hold, by name.

    They come by offset, as the tar has them, so there is never more than one in memory,
    unless the tar is in another order.
    """

    def __init__(self, members: Iterator[Member]) -> None:
        self._members = members
        self._next = next(members, None)
        self._rest: dict[str, Member] | None = None
        self._by_offset: deque[Member] = deque()

    def claim(self, name: str) -> Member | None:
        """Return the member of that name, once."""
        if self._rest is None and self._next and self._next.name == name:
            member, self._next = self._next, next(self._members, None)
            return member
        return self._loaded().pop(name, None)

    def claim_behind(self, place: int) -> Member | None:
        """Return the first member behind a place, once."""
        rest = self._loaded()
        while self._by_offset:
            member = self._by_offset.popleft()
            if member.name in rest and member.offset > place:
                return rest.pop(member.name)
        return None

    def unclaimed(self) -> Iterator[Member]:
        """Yield the members that were not asked for."""
        if self._rest is not None:
            return iter(self._rest.values())
        return chain([self._next] if self._next else [], self._members)

    def _loaded(self) -> dict[str, Member]:
        if self._rest is None:
            self._rest = {member.name: member for member in self.unclaimed()}
            self._by_offset.extend(self._rest.values())
        return self._rest


class TarCheck:
    """Compares one tar with its members.

    Damage that another tool's tar had from the beginning is no problem, and neither are members
    that were passed over then.
    Problems go to `report`, members whose bytes are to be read to `read`, and `follow` hears
    how far the walk is.
    """

    def __init__(
        self,
        path: Path,
        file: ExpectedFile,
        members: Iterator[Member],
        *,
        report: Callable[[Problem], None],
        read: Callable[[Member], None],
        follow: Callable[[int], None],
    ) -> None:
        self._path = path
        self._file = file
        self._wanted = _Wanted(members)
        self._report = report
        self._read = read
        self._follow = follow
        self._strangers = 0

    def run(self) -> None:
        """Go through the tar; raises OSError where it cannot be opened."""
        walk = TarWalk.of(self._path)
        try:
            place: int | None = 0
            while place is not None:
                place = self._run_from(walk, place)
            if self._strangers > _NAMED:
                detail = f"{self._strangers - _NAMED:,} further members that are no images"
                self._problem(Kind.EXTRA, detail)
            if self._strangers <= TAR_STRANGERS:
                for member in self._wanted.unclaimed():
                    self._problem(Kind.MISSING, member=member.name)
        finally:
            walk.close()

    def _run_from(self, walk: TarWalk, start: int) -> int | None:
        """Compare until the end or a damaged header; return where to go on behind that."""
        for entry in walk.entries(start):
            self._follow(entry.end)
            if entry.name is None:
                return self._resume(walk, entry)
            self._compare(entry, entry.name)
            if self._strangers > TAR_STRANGERS:  # what follows is not looked at
                detail = (
                    f"more than {TAR_STRANGERS:,} members that are no images: it is no such tar"
                )
                self._problem(Kind.UNREADABLE, detail)
                break
        return None

    def _resume(self, walk: TarWalk, entry: Entry) -> int | None:
        """Say what is damaged; the next member that is known shows where the tar goes on."""
        place = entry.offset
        if self._file.damaged:
            return entry.end if entry.end < walk.size else None
        member = self._wanted.claim_behind(place) if place < walk.size else None
        if member is None or member.offset >= walk.size:
            cut = place >= walk.size or member is not None
            detail = f"cut off at {walk.size} bytes" if cut else f"damaged at byte {place}"
            self._problem(Kind.CHANGED, detail)
            if member:
                self._problem(Kind.MISSING, member=member.name)
            return None
        self._problem(Kind.CHANGED, "its header is damaged", member.name)
        self._read(member)
        end = member.offset + padded(member.size)
        return end if end < walk.size else None

    def _compare(self, entry: Entry, name: str) -> None:
        if (name, entry.offset) in self._file.passed_over:
            return
        member = self._wanted.claim(name)
        if member is None and self._file.superseded(name.rpartition(".")[0]):
            return
        if member is None:
            self._strangers += 1
            if self._strangers <= _NAMED:
                self._problem(Kind.EXTRA, "", name)
        elif not entry.is_file:
            self._problem(Kind.CHANGED, "it is no file", name)
        elif entry.size != member.size:
            self._problem(Kind.CHANGED, f"{entry.size} bytes instead of {member.size}", name)
        else:
            if entry.offset != member.offset:
                detail = f"it lies at byte {entry.offset} instead of {member.offset}"
                self._problem(Kind.CHANGED, detail, name)
            self._read(replace(member, offset=entry.offset))

    def _problem(self, kind: Kind, detail: str = "", member: str | None = None) -> None:
        self._report(Problem(self._path.name, kind, detail, member))
