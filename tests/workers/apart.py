"""A network of its own for a machine that a test plays, which the test can cut off.

The machine reaches a few ports of this one's loopback at the same numbers of its own: by sockets
that lie in its network namespace, and are served from here. Linux alone, for who may make one.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

#: setns(2): a network namespace.
_CLONE_NEWNET = 0x40000000
#: Bytes that are passed on at once.
_CHUNK = 1 << 16
_HOLD = "ip link set lo up && echo up && exec sleep infinity"


class Apart:
    """A network namespace; `command` runs programs in it, `cut` and `join` are its cable."""

    def __init__(self, holder: int) -> None:
        self.command = ["nsenter", f"--net=/proc/{holder}/ns/net", "--"]
        self._joined: asyncio.Event
        self._loop: asyncio.AbstractEventLoop

    def cut(self) -> None:
        """Pass nothing on: who waits for an answer waits, as where a cable is pulled."""
        self._loop.call_soon_threadsafe(self._joined.clear)

    def join(self) -> None:
        """Pass on what has waited, and what follows."""
        self._loop.call_soon_threadsafe(self._joined.set)

    async def serve(self, listening: Sequence[socket.socket]) -> None:
        """Pass on what comes to some sockets to the same ports here, until cancelled."""
        self._loop, self._joined = asyncio.get_running_loop(), asyncio.Event()
        self._joined.set()
        async with asyncio.TaskGroup() as group:
            for each in listening:
                port = each.getsockname()[1]
                group.create_task(self._serve(each, port))

    async def _serve(self, listening: socket.socket, port: int) -> None:
        async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._joined.wait()
            with suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
            writer.close()

        server = await asyncio.start_server(passed_on, sock=listening)
        async with server:
            await server.serve_forever()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._joined.wait()
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError):
            writer.close()


@contextmanager
def apart(ports: Sequence[int]) -> Iterator[Apart | None]:
    """Give a namespace from which some ports can be reached; None where none can be made."""
    with ExitStack() as stack:
        holder = _holder(stack)
        if holder is None:
            yield None
            return
        made = Apart(holder)
        listening = _listening(f"/proc/{holder}/ns/net", ports)
        serving = _Loop(made, listening)
        stack.callback(serving.end)
        yield made


def _holder(stack: ExitStack) -> int | None:
    """Return the process that a namespace lives by; None where there can be none."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return None
    process = stack.enter_context(
        subprocess.Popen(
            ["unshare", "--net", "sh", "-c", _HOLD],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
    )  # fmt: skip
    stack.callback(process.kill)
    output: IO[str] | None = process.stdout
    assert output is not None
    return process.pid if output.readline() == "up\n" else None


def _listening(namespace: str, ports: Sequence[int]) -> list[socket.socket]:
    """Return sockets that listen in another namespace: a thread goes there, and ends there."""
    made: list[socket.socket] = []

    def make() -> None:
        place = os.open(namespace, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(place, _CLONE_NEWNET):
                return
        finally:
            os.close(place)
        made.extend(socket.create_server(("127.0.0.1", port)) for port in ports)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert len(made) == len(ports), "the namespace cannot be entered"
    return made


class _Loop:
    """Serves a machine's sockets in a thread, until it is ended."""

    def __init__(self, made: Apart, listening: Sequence[socket.socket]) -> None:
        self._begun = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(made, listening),))
        self._thread.start()
        self._begun.wait()

    async def _run(self, made: Apart, listening: Sequence[socket.socket]) -> None:
        self._loop, self._task = (
            asyncio.get_running_loop(),
            asyncio.create_task(made.serve(listening)),
        )
        await asyncio.sleep(0)
        self._begun.set()
        with suppress(asyncio.CancelledError):
            await self._task

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
