"""Inspects bodies off the reactor's thread, several at a visit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_Result = TypeVar("_Result")
#: A body, and how many pixels it may have.
_Work = tuple[bytes, int]

#: Bodies that share a visit: so many, and no more than so many bytes, which take milliseconds.
_BODIES, _BYTES = 16, 400_000


class Inspector(Generic[_Result]):
    """Calls `inspect` for bodies in worker threads, never in more than `workers` at once.

    A way into a thread and back costs about as much as the check of a small image, so what
    gathers while the workers are busy shares one. Their number also bounds what the checks
    cost in memory: a progressive image of 12 million pixels takes tens of megabytes.
    """

    def __init__(self, inspect: Callable[[bytes, int], _Result], workers: int) -> None:
        self._inspect = inspect
        self._workers = workers
        # Threads of their own: each that ever decodes keeps the memory of its largest picture.
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="inspector")
        self._gathered: deque[tuple[_Work, asyncio.Future[_Result]]] = deque()
        self._visits: set[asyncio.Task[None]] = set()

    async def __call__(self, body: bytes, most_pixels: int) -> _Result:
        """Return what `inspect` makes of a body, or raise what it raises."""
        found: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._gathered.append(((body, most_pixels), found))
        if len(self._visits) < self._workers:
            self._visits.add(asyncio.create_task(self._visit()))
        return await found

    async def _visit(self) -> None:
        """Have bodies inspected until none is left."""
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        while self._gathered:
            bodies, waiting = zip(*self._share(), strict=True)
            results: Sequence[_Result | Exception]
            try:
                results = await loop.run_in_executor(self._threads, self._inspect_all, bodies)
            except Exception as error:  # noqa: BLE001  no thread can be had: nobody waits for ever
                results = [error] * len(bodies)
            for found, result in zip(waiting, results, strict=True):
                if found.done():  # nobody waits any more
                    continue
                if isinstance(result, Exception):
                    found.set_exception(result)
                else:
                    found.set_result(result)
        # Not in a callback: a body that came between the two would wait for the next, or for ever.
        self._visits.discard(this)

    def _share(self) -> list[tuple[_Work, asyncio.Future[_Result]]]:
        """Take what one visit is to inspect: a worker's part of what has gathered."""
        most = min(_BODIES, -(-len(self._gathered) // self._workers))
        share = [self._gathered.popleft()]
        size = len(share[0][0][0])
        while len(share) < most and size + len(self._gathered[0][0][0]) <= _BYTES:
            share.append(self._gathered.popleft())
            size += len(share[-1][0][0])
        return share

    def _inspect_all(self, bodies: Sequence[_Work]) -> list[_Result | Exception]:
        return [self._outcome(*body) for body in bodies]

    def _outcome(self, body: bytes, most_pixels: int) -> _Result | Exception:
        try:
            return self._inspect(body, most_pixels)
        except Exception as error:  # noqa: BLE001  raised where the body came from
            return error
