"""What a machine does where all have one folder: slices of one user are any machine's.

A user is listed and cut on one machine, then handed out: from then on what counts lies on the
shared folder, as packages (archive/packages). A task copies what it needs to this machine's disk,
crawls it there, and puts what came of it back, behind the fence. So a lost machine costs the slices
that it had in hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mapillary_crawler.archive.finish.errors import ReadBackFailed
from mapillary_crawler.archive.packages.attempts import Attempts
from mapillary_crawler.archive.packages.errors import DamagedPackage, Moved
from mapillary_crawler.archive.packages.handed_out import HandedOut, look
from mapillary_crawler.archive.packages.made import balance_of, made_of, renewals
from mapillary_crawler.archive.packages.names import Kind, Package
from mapillary_crawler.archive.packages.publishing import (
    forget,
    hand_out,
    may_be_handed_out,
    publish,
    withdraw,
)
from mapillary_crawler.collection.configuration_file import with_defaults
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import LEDGER_PATH, PACKAGES, STAGING, slice_folder
from mapillary_crawler.collection.outcome import Outcome, Refused, end_of_run, is_disk_full
from mapillary_crawler.ledger.records import Slice, SliceState
from mapillary_crawler.workers.fence import Taken, Waits
from mapillary_crawler.workers.leases import shared_queue
from mapillary_crawler.workers.work import Work

#: Seconds until what the shared folder did not take is given to it again.
_AGAIN = 10.0
#: How often a task looks anew where packages gave way to others while they were copied.
_LOOKS = 3

#: Threads that copy, of which there are no more than tasks at once.
_MOST_THREADS = 64
#: Of how many tasks it is known what they saw: more than are done at once.
_MOST_SEEN = 1000
_Result = TypeVar("_Result")

Crawl = Callable[[Path], Awaitable[int]]


@dataclass(frozen=True)
class Signs:
    """Whether a task was told to end, and whether it is no longer behind the fence."""

    stopped: Callable[[], bool]
    lost: Callable[[], bool]

    def end(self) -> bool:
        """Say whether it is to end, with nothing to be kept."""
        return self.stopped() or self.lost()

    def may(self) -> bool:
        """Say whether what it has made still counts."""
        return not self.lost()


@dataclass
class SharedWork:
    """The tasks of one machine, whose program is of a `version`; `store` is the shared folder."""

    store: Path
    attempts: Attempts
    version: str
    say: Callable[[str], None]
    #: How far collections were when the tasks of these keys last looked.
    _seen: dict[str, HandedOut | None] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    #: Keys of those whom this machine has taken back from all others: its disk has what is new.
    _alone: set[str] = field(default_factory=set)
    _threads: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, _MOST_THREADS))

    @property
    def root(self) -> Path:
        """Where packages are."""
        return self.store / STAGING / PACKAGES

    def begin(self) -> None:
        """Make the place of packages, in a folder that is known to be that of all machines.

        Never again: where it is not there later, the folder is away, as one that is not mounted.
        What dead workers have left here goes. Raises `OSError`.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self.attempts.remove_left(self.root)

    def slices(self, work: Work) -> Sequence[Slice] | None:
        """Return the slices as they were after a task; None where the user is not handed out."""
        handed = self._seen.get(work.key)
        if handed is None:
            return None
        if handed.version == self.version:
            return handed.slices
        # The user's own task takes them all back.
        return [replace(part, wants_urls=True) for part in handed.slices]

    def queue(self, key: str) -> str | None:
        """Return where a task waits; None where the user is this machine's."""
        handed = self._seen.get(key)
        if handed is None or key in self._alone:
            return None
        return shared_queue(handed.version)

    async def run(
        self, work: Work, crawl: Crawl, signs: Signs, versions: Callable[[], Awaitable[set[str]]]
    ) -> int:
        """Do a task, whose `crawl` works in the staging folder that it is given.

        Returns the exit code. Raises `Waits` where only another of the `versions` can do it, and
        `Taken`, as `versions` does.
        """
        try:
            code = await self._tried(work, crawl, signs, versions)
        except Taken:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is this task's
            self.say(f"{work.title}: {end_of_run(error)}")
            code = _code_of(error)
        with suppress(OSError):  # what others have taken over meanwhile
            await self._thread(self.attempts.remove_left, self.root)
        return await self._seen_after(work, code, signs)

    async def _tried(
        self, work: Work, crawl: Crawl, signs: Signs, versions: Callable[[], Awaitable[set[str]]]
    ) -> int:
        for _ in range(_LOOKS):
            with suppress(Moved):
                return await self._run(work, crawl, signs, versions)
        return Outcome.LOCKED.exit_code

    async def _seen_after(self, work: Work, code: int, signs: Signs) -> int:
        """Look how far all are, as soon as that can be seen: by it somebody goes on."""
        while True:
            try:
                await self._look(work)
            except DamagedPackage as error:
                self.say(f"{work.title}: {error}")
                return error.outcome.exit_code
            except OSError:
                if signs.end():  # it is put back
                    return code
                await asyncio.sleep(_AGAIN)
            else:
                return code

    async def _look(self, work: Work) -> HandedOut | None:
        handed = await self._thread(look, self.root, work.collection.name)
        self._seen.pop(work.key, None)
        self._seen[work.key] = handed
        while len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return handed

    async def _run(
        self, work: Work, crawl: Crawl, signs: Signs, versions: Callable[[], Awaitable[set[str]]]
    ) -> int:
        handed = await self._look(work)
        if handed is None:
            return await self._here(work, crawl, signs)
        if await self._thread(self._is_finished, handed):
            await self._thread(withdraw, self.root, handed.collection)
            return await crawl(self.attempts.staging)
        if handed.version != self.version and handed.version in await versions():
            self._tell_version(work, handed)
            raise Waits(shared_queue(handed.version))
        await self._thread(forget, self.attempts.staging / handed.collection, handed)
        if work.is_slice:
            return await self._slice(work, handed, crawl, signs)
        if handed.open_ones and handed.version == self.version and work.may_be_shared:
            if any(part.wants_urls for part in handed.open_ones):
                return await self._renew(handed, crawl, signs)
            return Outcome.CUT.exit_code
        return await self._finish(work, handed, crawl, signs)

    def _is_finished(self, handed: HandedOut) -> bool:
        return (self.store / handed.collection / LEDGER_PATH).is_file()

    def _tell_version(self, work: Work, handed: HandedOut) -> None:
        if work.title not in self._told:
            self._told.add(work.title)
            self.say(
                f"{work.title}: cut by version {handed.version}, this is {self.version}; it waits "
                "for a machine that has that one"
            )

    async def _here(self, work: Work, crawl: Crawl, signs: Signs) -> int:
        """Crawl a user who is this machine's; one who is cut is handed out."""
        code = await crawl(self.attempts.staging)
        folder = self.attempts.staging / work.collection.name
        if not work.is_slice and code == Outcome.CUT.exit_code and not signs.end():
            await self._hand_out(folder, None, signs)
            if handed := await self._look(work):
                await self._thread(forget, folder, handed)
        return code

    async def _hand_out(self, folder: Path, before: HandedOut | None, signs: Signs) -> bool:
        if not await self._thread(may_be_handed_out, folder, before):
            return False
        self.say(f"{folder.name}: handed out to all machines, by {self.store}")
        give = partial(hand_out, folder, self.root, stop=signs.end, may=signs.may)
        return await self._thread(give)

    async def _slice(self, work: Work, handed: HandedOut, crawl: Crawl, signs: Signs) -> int:
        part = next((each for each in handed.slices if each.number == work.number), None)
        if part is None or part.state is SliceState.ENDED:
            return Outcome.SLICE_COMPLETE.exit_code
        if handed.version != self.version:
            return Outcome.INTERRUPTED.exit_code
        is_left = await self._thread(self.attempts.has_slice, handed, part)
        async with self._entered(self.attempts.of_slice(handed, part, signs.end)) as staging:
            folder = slice_folder(staging / handed.collection, part.number)
            # What a dead worker has left is more than its package has.
            before = None if is_left else await self._thread(balance_of, folder)
            code = await crawl(staging)
            if signs.lost() or code == Outcome.LOCKED.exit_code:
                return code  # it is gone on with here, unless others are first
            made = await self._thread(made_of, folder, handed, part, before)
            if made:
                await self._publish(folder, handed, made, signs)
            if signs.may():
                await self._thread(self.attempts.done, handed, part)
        return code

    async def _renew(self, handed: HandedOut, crawl: Crawl, signs: Signs) -> int:
        """Let the whole get fresh URLs for all slices; they take them when they are begun."""
        async with self._entered(self.attempts.of_ledgers(handed, signs.end)) as staging:
            folder = staging / handed.collection
            before = await self._thread(renewals, folder)
            code = await crawl(staging)
            if await self._thread(renewals, folder) > before:
                made = Package(Kind.WHOLE, version=handed.whole.version + 1)
                await self._publish(folder, handed, made, signs)
        return code

    async def _finish(self, work: Work, handed: HandedOut, crawl: Crawl, signs: Signs) -> int:
        """Merge the slices on this machine's disk, and finish; or cut anew what was taken back."""
        meant = with_defaults(work.arguments)
        alone = "1" in (meant.get("upload"), meant.get("update"))
        async with self._entered(self.attempts.of_whole(handed, signs.end, alone=alone)) as staging:
            if alone:
                self._alone.add(work.key)
            code = await crawl(staging)
            if signs.lost():
                return code
            if await self._thread(self._is_finished, handed):
                await self._thread(withdraw, self.root, handed.collection)
                is_over = True
            elif code == Outcome.CUT.exit_code and not signs.stopped():
                is_over = await self._hand_out(staging / handed.collection, handed, signs)
            else:  # another machine may have room, unless the user is this one's
                is_over = code == Outcome.DISK_FULL.exit_code and not alone
            if is_over:
                self._alone.discard(work.key)
                await self._thread(partial(self.attempts.done, handed, alone=alone))
        return code

    async def _thread(self, work: Callable[..., _Result], *given: Any) -> _Result:
        """Do what waits for disks, in a thread that nothing else waits for: heartbeats do not."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    @asynccontextmanager
    async def _entered(self, context: AbstractContextManager[Path]) -> AsyncIterator[Path]:
        """Enter and leave a context in a thread: it copies, and removes."""
        stack = ExitStack()
        try:
            yield await self._thread(stack.enter_context, context)
        finally:
            await self._thread(stack.close)

    async def _publish(self, folder: Path, handed: HandedOut, made: Package, signs: Signs) -> None:
        """Put a package on the shared folder, as soon as that takes it.

        Raises `OSError` where this machine's own disk is at fault, for which nobody waits.
        """
        told = False
        give = partial(publish, folder, handed, made, stop=signs.lost, may=signs.may)
        while signs.may():
            try:
                await self._thread(give)
            except (NotFollowed, ReadBackFailed):
                raise
            except (OSError, Refused) as error:
                if signs.stopped() or _is_about(error, folder):
                    raise
                if not told:
                    self.say(f"{folder.name}: {end_of_run(error)}; it is tried again")
                told = True
                await asyncio.sleep(_AGAIN)
            else:
                return


def _is_about(error: Exception, folder: Path) -> bool:
    """Say whether an error is about what lies in a folder."""
    path = error.filename if isinstance(error, OSError) else None
    return isinstance(path, str) and Path(path).is_relative_to(folder)


def _code_of(error: Exception) -> int:
    """Return the exit code of a task that an error has ended: a folder that is away comes back."""
    ours = (NotFollowed, ReadBackFailed)
    if isinstance(error, OSError) and not (isinstance(error, ours) or is_disk_full(error)):
        return Outcome.SERVICE_AWAY.exit_code
    if isinstance(error, NotFollowed):
        return Outcome.REFUSED.exit_code
    return end_of_run(error).outcome.exit_code
