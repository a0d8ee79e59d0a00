"""The one thread that owns a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from mapillary_crawler.ledger.ledger import Ledger

_Result = TypeVar("_Result")


class LedgerAccess(Protocol):
    """A ledger wherever it is: what is asked of it is done where it may be used.

    A work is a short transaction; what takes long (reading, hashing, writing) is done outside.
    """

    def wait_for(self, work: Callable[[Ledger], _Result]) -> _Result:
        """Return what `work` makes of the ledger, which is not kept."""


class LedgerHere:
    """A ledger that is used in the thread that has opened it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def wait_for(self, work: Callable[[Ledger], _Result]) -> _Result:
        """Do the work at once."""
        return work(self._ledger)


class LedgerThread:
    """A ledger, opened and used in a thread of its own: work goes there, only answers come back.

    The ledger is the argument of the work and must not be kept. Opening raises what `Ledger` does.
    """

    def __init__(self, path: Path, *, wal: bool = True) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        try:
            self._ledger = self._executor.submit(partial(Ledger, path, wal=wal)).result()
        except BaseException:
            self._executor.shutdown(wait=True)
            raise

    async def ask(self, work: Callable[[Ledger], _Result]) -> _Result:
        """Return what `work` makes of the ledger, in the order of asking and off the reactor.

        It sees the context variables of who asks.
        """
        context = copy_context()
        return await asyncio.wrap_future(self._executor.submit(context.run, work, self._ledger))

    def wait_for(self, work: Callable[[Ledger], _Result]) -> _Result:
        """Block until `work` is done: before the reactor runs, after, and in other threads."""
        return self._executor.submit(work, self._ledger).result()

    def close(self) -> None:
        """Close the ledger once all work is done, and end the thread."""
        try:
            self.wait_for(Ledger.close)
        finally:
            self._executor.shutdown(wait=True)
