"""Standard streams that may be closed, lose their reader, or lie on a disk that is full.

What is said is news; whether it arrives decides nothing about the work that it tells of.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO, cast

#: Names of the streams, for errors about them.
_NAMES = {1: "standard output", 2: "standard error"}


def secure_streams(*, needs_output: bool) -> None:
    """Let standard error, and output unless it is needed, get lost without an error.

    With `needs_output` writing to standard output raises `OSError` once, then that is lost, too.
    A stream that is closed at the start leads nowhere from now on: the next file that is opened
    would have its number, and get what is said.
    """
    for number in (0, 1, 2):
        with suppress(OSError):
            _open_if_closed(number)
    sys.stdout = _secured(sys.stdout, sys.__stdout__, 1, needed=needs_output)
    sys.stderr = _secured(sys.stderr, sys.__stderr__, 2, needed=False)


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        _lead_nowhere(number)


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    os.set_inheritable(number, True)


def _secured(
    stream: TextIO | None, original: TextIO | None, number: int, *, needed: bool
) -> TextIO:
    """Return what stands for a stream of the process; one that somebody has replaced stays."""
    if stream is None:  # closed when Python began
        return cast("TextIO", io.TextIOWrapper(io.BufferedWriter(_Outlet(number, needed=needed))))
    if stream is not original or not isinstance(stream, io.TextIOWrapper):
        return stream
    with suppress(OSError):
        stream.flush()
    outlet = _Outlet(number, needed=needed)
    unbuffered = isinstance(stream.buffer, io.RawIOBase)
    return cast(
        "TextIO",
        io.TextIOWrapper(
            cast("io.BufferedWriter", outlet) if unbuffered else io.BufferedWriter(outlet),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        ),
    )


class _Outlet(io.FileIO):
    """A standard stream of the process; once it has refused something it leads nowhere."""

    def __init__(self, number: int, *, needed: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.name = f"<{_NAMES[number]}>"
        self._number = number
        self._needed = needed

    def write(self, data: object) -> int:
        """Write, or lead nowhere; raises `OSError` where the stream is needed."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BlockingIOError:
            raise
        except OSError as error:
            _lead_nowhere(self._number)
            if self._needed:
                raise OSError(error.errno, error.strerror, _NAMES[self._number]) from None
            return memoryview(data).nbytes  # type: ignore[arg-type]
