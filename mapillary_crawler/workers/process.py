"""Crawls as processes: started, heard, stopped, and ended with this one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mapillary_crawler.collection.outcome import Outcome, worst

#: Signals that end a crawl, and are passed on.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LEASH = Path(__file__).with_name("leash.py")
#: Bytes of output that are read at once; a longer line is written in pieces.
_CHUNK = 1 << 16


def leashed(command: Sequence[str]) -> list[str]:
    """Return a command line whose process ends, by SIGTERM, when this one has ended.

    The thread that starts it must live as long as it: prctl(2), PR_SET_PDEATHSIG.
    """
    return [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *command]


def exit_code(codes: Iterable[int], *, stopped: bool) -> int:
    """Return what the worst of them ended with, a stop being an end of its own: `worst`."""
    return worst([*codes, *[Outcome.INTERRUPTED.exit_code] * stopped])


def one_after_another(commands: Iterable[Sequence[str]]) -> int:
    """Run commands whatever becomes of the others; return their `exit_code`."""
    processes = Processes(several=False)

    async def run() -> list[int]:
        return [await processes.run("", each) for each in commands if not processes.stopped]

    with processes.passing_signals():
        codes = asyncio.run(run())
    return exit_code(codes, stopped=processes.stopped)


@dataclass
class Processes:
    """The processes of a machine; where they are several, output has a title before each line."""

    several: bool
    #: Their environment; None is this process's own.
    environment: Mapping[str, str] | None = None
    #: Open files that they are given besides, by their numbers here.
    files: Sequence[int] = ()
    #: Nobody else is started.
    stopped: bool = False
    _running: set[Process] = field(default_factory=set)
    _relays: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, title: str, command: Sequence[str]) -> int:
        """Run a command to its end; return its exit code, negative the signal that ended it.

        One that was told to end before it could hear that is interrupted, as any other is.
        """
        if self.stopped:
            return Outcome.INTERRUPTED.exit_code
        with self._output(title) as output:
            process = await asyncio.create_subprocess_exec(
                *leashed(command),
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                pass_fds=self.files,
                start_new_session=True,  # so Ctrl-C comes once, from here
            )
        self._running.add(process)
        try:
            if self.stopped:  # while it was being started
                _send(process, signal.SIGTERM)
            code = await process.wait()
            if self.stopped and -code in _ENDING:
                return Outcome.INTERRUPTED.exit_code
            return code
        finally:
            self._running.discard(process)

    @contextmanager
    def passing_signals(self) -> Iterator[None]:
        """Start no more on a signal that ends, and pass it on; a second one is passed on, too."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` wants it
            numbers.append(signal.SIGHUP)
        handlers = {number: signal.signal(number, self._heard) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        # Of a crawl that still begins, Python makes a traceback for Ctrl-C, and an end for SIGTERM.
        self.stop(signal.SIGTERM if number == signal.SIGINT else number)

    def stop(self, number: int) -> None:
        """Start no more, and pass a signal on; for a handler of signals, too."""
        self.stopped = True
        for process in list(self._running):
            _send(process, number)

    async def relayed(self) -> None:
        """Wait until all that was said is written."""
        await asyncio.gather(*self._relays)

    @contextmanager
    def _output(self, title: str) -> Iterator[int | None]:
        """Give what a process is to write to; None is where this one writes to.

        A pipe that asyncio does not know of: a process has ended when it has, though one that it
        started may still hold the pipe.
        """
        if not self.several:
            yield None
            return
        reads, writes = os.pipe()
        relay = asyncio.create_task(_relay(reads, title))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)
        try:
            yield writes
        finally:
            os.close(writes)


def _send(process: Process, number: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        process.send_signal(number)


async def _relay(pipe: int, title: str) -> None:
    """Write what comes through a pipe, with a title before each line, and close it."""
    output, rest = asyncio.StreamReader(), b""
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(output), os.fdopen(pipe, "rb", buffering=0)
    )
    with closing(transport):
        while chunk := await output.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _CHUNK:
                lines, rest = [*lines, rest], b""
            _write(lines, title)
        _write([rest] if rest else [], title)


def _write(lines: Sequence[bytes], title: str) -> None:
    for line in lines:
        sys.stderr.write(f"[{title}] {line.decode(errors='replace').rstrip()}\n")
    sys.stderr.flush()
