"""Runs a command on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnTerminal:
    """A running command, and all that it wrote to its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # that is how a terminal says that it is closed
            while chunk := os.read(self._terminal, 65536):
                self._written += chunk

    @property
    def raw(self) -> str:
        """Everything written, control sequences included."""
        return self._written.decode(errors="replace")

    @property
    def text(self) -> str:
        """Everything written, without control sequences."""
        return CONTROL.sub("", self.raw).replace("\r", "")

    def resize(self, columns: int, rows: int = 24) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait(self, timeout: float = 60) -> int:
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code


@contextmanager
def on_terminal(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, columns: int = 80
) -> Iterator[OnTerminal]:
    """Run a command whose input, output and errors are one terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    running = OnTerminal(process, ours)
    running.resize(columns)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        running.wait()
        os.close(ours)
