"""Crawls of several users, each a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, worst

#: Seconds between two looks at the processes.
_LOOK = 0.2

_COMMENT = re.compile(r"(?:^|\s)#.*")


def read_names(lines: Iterable[str]) -> list[str]:
    """Return the user names of a file, one a line, each once.

    What follows a `#` at the start of a line or behind a space is a comment.
    """
    names = (_COMMENT.sub("", line.rstrip("\r\n")).strip() for line in lines)
    return list(dict.fromkeys(name for name in names if name))


def all_names(given: Sequence[str], file: str | None) -> list[str]:
    """Return the user names of a command line, those given first, then those of a file.

    `-` is standard input. Raises `ArgumentRefused`.
    """
    if file is None:
        return list(dict.fromkeys(given))
    try:
        lines = sys.stdin if file == "-" else Path(file).read_text(encoding="utf-8").splitlines()
        return list(dict.fromkeys([*given, *read_names(lines)]))
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentRefused(f"{file} cannot be read: {error}") from None


def shares(configuration: Configuration, jobs: int) -> dict[str, int]:
    """Return the settings by which `jobs` crawls together keep the limits of one."""
    if jobs == 1:
        return {}
    most = max(1, configuration.concurrency_max // jobs)
    fixed, most_bytes = configuration.concurrency_fixed, configuration.max_bytes_per_second
    return {
        "MAX_BYTES_PER_SECOND": max(1, most_bytes // jobs) if most_bytes else 0,
        "MAPILLARY_CONCURRENCY_MAX": most,
        "MAPILLARY_CONCURRENCY_MIN": min(configuration.concurrency_min, most),
        "MAPILLARY_CONCURRENCY_START": min(configuration.concurrency_start, most),
        "MAPILLARY_CONCURRENCY_FIXED": max(1, fixed // jobs) if fixed else 0,
    }


def exit_code(codes: Iterable[int], *, stopped: bool) -> int:
    """Return what the worst of them ended with, a stop being an end of its own: `worst`."""
    return worst([*codes, *[Outcome.INTERRUPTED.exit_code] * stopped])


@dataclass
class Crawls:
    """Runs one command a user, `jobs` at once, whatever becomes of the others.

    `command` gives the command line of a user's crawl, `watch`, where there is one, hears
    now and then who is being crawled. Where several may run at once each line of output has the
    user's name before it.
    """

    usernames: Sequence[str]
    jobs: int
    command: Callable[[str], list[str]]
    watch: Callable[[Sequence[str]], None] | None = None
    #: Says with which exit code a user's crawl would end at once; None where it is to be started.
    settled: Callable[[str], int | None] | None = None
    #: Says whether a crawl that runs has all images and is at its upload alone: then it holds no
    #: place, so that the next begins. At most `jobs` are let go so.
    uploads: Callable[[str], bool] | None = None
    #: Hear of each crawl as it starts and, with its exit code, as it ends.
    starts: Callable[[str], None] | None = None
    ends: Callable[[str, int], None] | None = None
    #: Exit codes, as they come; a negative one is the signal that ended the process.
    codes: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    _relays: list[threading.Thread] = field(default_factory=list)

    def run(self) -> Mapping[str, int]:
        """Run them all; users that a signal left out have no exit code."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` wants it
            numbers.append(signal.SIGHUP)
        handlers = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            waiting = deque(self.usernames)
            while self._running or (waiting and not self.stopped):
                while waiting and self._has_place() and not self.stopped:
                    self._begin(waiting.popleft())
                    self._tell()
                if self._running:
                    self._look()
                    self._tell()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        for relay in self._relays:
            relay.join()
        return self.codes

    @property
    def _several(self) -> bool:
        """Whether more than one may run at once."""
        return self.jobs > 1 or self.uploads is not None

    def _has_place(self) -> bool:
        """Say whether another crawl may begin now."""
        uploading = sum(map(self.uploads, self._running)) if self.uploads else 0
        return len(self._running) - min(uploading, self.jobs) < self.jobs

    def _begin(self, username: str) -> None:
        """Start a user's crawl, unless it would end at once."""
        code = self.settled(username) if self.settled else None
        if code is not None:
            self._end(username, code)
            return
        if self.starts:
            self.starts(username)
        self._start(username)

    def _end(self, username: str, code: int) -> None:
        self.codes[username] = code
        if self.ends:
            self.ends(username, code)

    def _tell(self) -> None:
        if self.watch:
            self.watch(list(self._running))

    def _start(self, username: str) -> None:
        output = subprocess.PIPE if self._several else None
        process = subprocess.Popen(  # noqa: S603  this program
            self.command(username),
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,  # so Ctrl-C comes once, from here
        )
        self._running[username] = process
        if self.stopped:  # while it was being started
            process.send_signal(signal.SIGTERM)
        if output:
            relay = threading.Thread(target=_relay, args=(process, username))
            relay.start()
            self._relays.append(relay)

    def _look(self) -> None:
        """Wait a moment and take the exit codes of those that have ended."""
        time.sleep(_LOOK)
        for username, process in list(self._running.items()):
            if (code := process.poll()) is not None:
                del self._running[username]
                self._end(username, code)
        self._relays = [relay for relay in self._relays if relay.is_alive()]

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Start no more, and pass the signal on; a second one is passed on, too."""
        self.stopped = True
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(number)


def _relay(process: subprocess.Popen[str], username: str) -> None:
    """Write what a crawl says, with the user's name before each line."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            sys.stderr.write(f"[{username}] {line}")
            sys.stderr.flush()
