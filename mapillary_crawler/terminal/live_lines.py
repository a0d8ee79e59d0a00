"""A few lines at the foot of a terminal that are drawn anew, below what is written meanwhile."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from mapillary_crawler.terminal.folding import columns_of

#: Empty the cursor's row, where a key is echoed, then go one row up and empty that; erasing all
#: that is below would fill some terminals' history.
_TAKE_ECHO, _TAKE_BACK = "\r\x1b[2K", "\x1b[1A\x1b[2K"


def can_be_live(stream: TextIO) -> bool:
    """Say whether lines can be drawn anew on a stream: a terminal that moves its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


class LiveLines(io.TextIOBase):
    """Stands in for a terminal's stream: what is written to it goes above the live lines.

    The lines are cut to the width that the terminal has at that moment, and the rows that they
    take are counted anew each time, since a terminal that has become narrower has
    wrapped them. The cursor stays below them, so whatever ends the process, the shell's
    prompt follows on a line of its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = Console(file=stream, highlight=False)
        self._lock = threading.RLock()
        self._content: RenderableType | None = None
        self._drawn: list[int] = []
        self._unfinished = ""

    def show(self, content: RenderableType | None) -> None:
        """Draw other lines in the place of those there are; None takes them away."""
        with self._lock:
            self._content = content
            self._put("")

    def write(self, text: str) -> int:
        """Write whole lines above the live ones; the rest waits for its end."""
        with self._lock:
            whole, newline, rest = (self._unfinished + text).rpartition("\n")
            self._unfinished = rest
            if newline:
                self._put(whole + newline)
        return len(text)

    def forget(self) -> None:
        """Leave the lines where they are: others have written below them meanwhile."""
        self._drawn = []

    def flush(self) -> None:
        """Flush the terminal."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Say that this is a terminal."""
        return True

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self._stream.fileno()

    def close(self) -> None:
        """Take the live lines away; the stream stays open."""
        if not self.closed:
            self.show(None)
            self._stream.write(self._unfinished)
            self._stream.flush()
        super().close()

    def _put(self, text: str) -> None:
        columns = max(2, columns_of(self._stream))
        rows = sum(max(1, -(-cells // columns)) for cells in self._drawn)
        erase = _TAKE_ECHO + _TAKE_BACK * rows if rows else ""
        self._stream.write(erase + text + self._render(columns - 1))
        self._stream.flush()

    def _render(self, width: int) -> str:
        """Return the live lines, each ended, and remember how long each is.

        They leave the last column free: some terminals wrap as soon as it is written.
        """
        if self._content is None or not self._in_foreground():
            self._drawn = []
            return ""
        self._console.width = width
        with self._console.capture() as capture:
            self._console.print(self._content, no_wrap=True, overflow="ellipsis", crop=True)
        drawn = capture.get()
        self._drawn = [Text.from_ansi(line).cell_len for line in drawn.splitlines()]
        return drawn

    def _in_foreground(self) -> bool:
        """Say whether the terminal is ours now, and not the shell's that put us aside."""
        with suppress(OSError):
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        return True


class LiveTerminal:
    """Live lines for the process's standard error, and output where that is a terminal too."""

    def __enter__(self) -> LiveLines:
        self._before = sys.stdout, sys.stderr
        self.lines = LiveLines(sys.stderr)
        if sys.stdout.isatty():
            sys.stdout.flush()
            sys.stdout = self.lines
        sys.stderr = self.lines
        # After Ctrl-Z and fg the shell's own lines stand where ours were.
        self._handler = signal.signal(signal.SIGCONT, lambda *_: self.lines.forget())
        return self.lines

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGCONT, self._handler)
        sys.stdout, sys.stderr = self._before
        self.lines.close()
