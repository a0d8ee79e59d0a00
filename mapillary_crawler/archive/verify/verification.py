"""Compares a collection with its inventory, on all processors; never repairs anything."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mapillary_crawler.archive.verify.images import Eyes, check_file, check_members
from mapillary_crawler.archive.verify.inventory import ExpectedFile, Inventory, Kind, Problem
from mapillary_crawler.archive.verify.ledger_inventory import LedgerInventory
from mapillary_crawler.archive.verify.manifest_inventory import ManifestInventory
from mapillary_crawler.archive.verify.tars import TarCheck, WholeHash
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import LEDGER_PATH, is_clutter, is_state
from mapillary_crawler.collection.layout import files as files_below
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.records import Member

#: Bytes of members that are read in one go, and how many such goes wait for a processor.
_BATCH_BYTES, _WAITING = 4 << 20, 4


@dataclass
class Verdict:
    """What came of it; `elsewhere` are files that archive.org has and that are not here."""

    balance: Balance
    finished: bool
    files: int = 0
    bytes: int = 0
    problems: int = 0
    elsewhere: int = 0


def open_inventory(folder: Path) -> Inventory:
    """Return what a folder ought to hold: by its ledger, or else by its manifests.

    Raises `NoInventory`, `NotFollowed`, or what `read_ledger` raises.
    """
    if descent.is_file(folder, str(LEDGER_PATH)):
        return LedgerInventory(folder)
    return ManifestInventory(folder)


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files of a folder that may have to be read."""
    size = 0
    with suppress(OSError):  # what cannot be looked at is named when it is to be read
        for path in files_below(folder):
            if not is_state(path):
                size += descent.status(folder, path).st_size
    return size


@dataclass
class Verification:
    """One verification of one collection.

    `report` hears of each problem, `note` of files that are on archive.org or a desktop's,
    `advance` of bytes that were read; all are called in the thread that calls `run`. `walk`: as
    of `judge`. Raises `Refused` at the first JPEG XL where there is no decoder.
    """

    inventory: Inventory
    full: bool
    report: Callable[[Problem], None]
    note: Callable[[str], None]
    advance: Callable[[int], None]
    walk: bool = True
    processors: int = field(default_factory=usable_processors)

    def run(self) -> Verdict:
        """Compare everything."""
        self._verdict = Verdict(Balance(), self.inventory.finished)
        self._reported: set[tuple[str, Kind]] = set()
        self._running: deque[tuple[str, int, Future[list[Problem]]]] = deque()
        self._pool = ThreadPoolExecutor(self.processors, thread_name_prefix="verify")
        with Decoder() as jpeg_of:
            self._eyes = Eyes(self.walk, jpeg_of)
            try:
                self._check_files()
                for file, members in self.inventory.holders():
                    self._check_holder(file, members)
                while self._running:
                    self._collect()
            finally:
                self._pool.shutdown(wait=True, cancel_futures=True)
        for problem in self.inventory.disagreements():
            self._report(problem)
        self._verdict.balance = self.inventory.balance()
        return self._verdict

    def _check_files(self) -> None:
        """Go through the folder and the inventory side by side: both are in bytewise order."""
        there = self._there()
        path = next(there, None)
        for file in self.inventory.files():
            while path is not None and os.fsencode(path) < os.fsencode(file.path):
                self._check_stranger(path)
                path = next(there, None)
            if path == file.path:
                path = next(there, None)
            self._check_expected(file)
        while path is not None:
            self._check_stranger(path)
            path = next(there, None)

    def _there(self) -> Iterator[str]:
        """Yield the files of the folder, as far as it can be read."""
        try:
            yield from files_below(self.inventory.folder)
        except OSError as error:
            path = os.path.relpath(str(error.filename or "."), self.inventory.folder)
            self._report(_unreadable(path, error))

    def _check_stranger(self, path: str) -> None:
        if not self.inventory.finished or self.inventory.is_own(path):
            return
        if is_clutter(path):
            self.note(f"{path} is none of the collection's: left by a desktop")
        else:
            self._report(Problem(path, Kind.EXTRA, f"{self.inventory.authority} does not have it"))

    def _check_expected(self, file: ExpectedFile) -> None:
        """Check that a file is there, its size, and, but for tars, what is in it."""
        size = self._size(file)
        if size is None:
            return
        self._verdict.files += 1
        self._verdict.bytes += size
        if self.full and not file.is_tar:
            place, authority = self.inventory.folder, self.inventory.authority
            self._submit(file.path, size, check_file, place, file, authority, self._eyes)

    def _size(self, file: ExpectedFile) -> int | None:
        """Return the size of a file, None where there is none, and say what is wrong with it."""
        try:
            status = descent.status(self.inventory.folder, file.path)
        except FileNotFoundError:
            self._say_missing(file)
            return None
        except OSError as error:
            self._report(_unreadable(file.path, error))
            return None
        if not stat.S_ISREG(status.st_mode):
            detail = f"it is {descent.kind(status.st_mode)}, which is not followed"
            self._report(Problem(file.path, Kind.UNREADABLE, detail))
            return None
        if file.size not in (None, status.st_size):
            detail = f"{status.st_size} bytes instead of {file.size}"
            self._report(Problem(file.path, Kind.CHANGED, detail))
        return status.st_size

    def _say_missing(self, file: ExpectedFile) -> None:
        if file.elsewhere is None:
            self._report(Problem(file.path, Kind.MISSING, f"{self.inventory.authority} has it"))
        else:
            self._verdict.elsewhere += 1
            self.note(f"{file.path} is on archive.org, in {file.elsewhere}")

    def _check_holder(self, file: ExpectedFile, members: Iterator[Member] | None) -> None:
        """Check a tar with its members, or the size of an image that lies loose."""
        path = self.inventory.folder / file.path
        if file.elsewhere is not None and not os.path.lexists(path):
            return
        if self._size(file) is None or not self.full:
            return
        if not file.is_tar:
            if file.sha256_jpeg is not None:  # which `files` does not know
                place, authority = self.inventory.folder, self.inventory.authority
                self._submit(file.path, 0, check_file, place, file, authority, self._eyes)
            return
        batch = _Batch(path, self._submit, self._eyes)
        try:
            whole = WholeHash(path, self.advance)
            with closing(whole):
                if members is not None:
                    TarCheck(
                        path,
                        file,
                        members,
                        report=self._report,
                        read=batch.add,
                        follow=whole.follow,
                    ).run()
                    batch.submit()
                if file.sha256 is not None and whole.digest() != file.sha256:
                    detail = f"its checksum is not that of {self.inventory.authority}"
                    self._report(Problem(file.path, Kind.CHANGED, detail))
        except OSError as error:
            self._report(_unreadable(file.path, error))

    def _submit(
        self, path: str, size: int, check: Callable[..., list[Problem]], *arguments: object
    ) -> None:
        """Let a processor check something of a file, once not too much waits."""
        while len(self._running) >= self.processors * _WAITING:
            self._collect()
        self._running.append((path, size, self._pool.submit(check, *arguments)))

    def _collect(self) -> None:
        """Take the result of what was submitted first; what ended it is its own file's fault."""
        path, size, check = self._running.popleft()
        error = check.exception()
        if isinstance(error, Refused):  # nothing here can read such images
            raise error
        if error is None:
            for problem in check.result():
                self._report(problem)
        else:
            self._report(_unreadable(path, error))
        self.advance(size)

    def _report(self, problem: Problem) -> None:
        """Report a problem, one of a kind for each file."""
        if problem.member is None and problem.kind is not Kind.DISAGREES:
            if (problem.path, problem.kind) in self._reported:
                return
            self._reported.add((problem.path, problem.kind))
        self._verdict.problems += 1
        self.report(problem)


def _unreadable(path: str, error: BaseException) -> Problem:
    strerror = error.strerror if isinstance(error, OSError) else None
    return Problem(path, Kind.UNREADABLE, strerror or f"{type(error).__name__}: {error}")


class _Batch:
    """Members of a tar that are read in one go."""

    def __init__(self, tar: Path, submit: Callable[..., None], eyes: Eyes) -> None:
        self._tar = tar
        self._eyes = eyes
        self._submit = submit
        self._members: list[Member] = []
        self._bytes = 0

    def add(self, member: Member) -> None:
        """Take a member."""
        self._members.append(member)
        self._bytes += member.size
        if self._bytes >= _BATCH_BYTES:
            self.submit()

    def submit(self) -> None:
        """Let the members be read."""
        if self._members:
            self._submit(self._tar.name, 0, check_members, self._tar, self._members, self._eyes)
        self._members, self._bytes = [], 0
