"""The pace that all machines keep together, asked of the worker that has started this crawl.

Over a socket whose number is in the environment, lines of text: `take SURFACE NUMBER` is answered
by `go SURFACE` once so much may be asked of the API; `refused SURFACE SECONDS`, with `-` where the
seconds are not known, tells that it wants to rest. Where the worker is gone nobody waits: the
crawl's own pace (graph/pace.py) holds anyway.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress

logger = logging.getLogger(__name__)

#: The variable that has the socket's number.
FLEET_PACE = "MAPILLARY_FLEET_PACE"


class FleetPace:
    """This crawl's end."""

    def __init__(self, end: socket.socket) -> None:
        self._end: socket.socket | None = end
        self._writer: asyncio.StreamWriter | None = None
        self._opening = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> FleetPace | None:
        """Return that of the environment, None where no worker has started this."""
        number = environment.get(FLEET_PACE, "")
        if not number.isdecimal():
            return None
        with suppress(OSError):
            return cls(socket.socket(fileno=int(number)))
        return None

    async def take(self, surface: str, amount: int) -> None:
        """Wait until so many may be asked for; not at all where the worker is gone."""
        async with self._turns.setdefault(surface, asyncio.Lock()):
            if not await self._is_open():
                return
            answered = self._waiting[surface] = asyncio.get_running_loop().create_future()
            self._say(f"take {surface} {amount}\n")
            await answered

    async def refused(self, surface: str, seconds: float | None) -> None:
        """Tell that the API has refused more, and for how long it wants to rest."""
        if await self._is_open():
            self._say(f"refused {surface} {'-' if seconds is None else seconds}\n")

    def _say(self, line: str) -> None:
        assert self._writer
        with suppress(OSError):
            self._writer.write(line.encode())

    async def _is_open(self) -> bool:
        """Connect where that is not done; say whether the worker is there."""
        async with self._opening:
            if end := self._end:
                self._end = None
                with suppress(OSError):
                    reader, self._writer = await asyncio.open_connection(sock=end)
                    self._reading = asyncio.create_task(self._read(reader))
        return self._reading is not None and not self._reading.done()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, IndexError):
            while line := await reader.readline():
                self._answer(line.decode("ascii", "replace").split()[-1])
        logger.debug("The worker's end of the pace is gone")
        assert self._writer
        self._writer.close()
        for surface in list(self._waiting):
            self._answer(surface)

    def _answer(self, surface: str) -> None:
        waiting = self._waiting.pop(surface, None)
        if waiting and not waiting.done():
            waiting.set_result(None)
