"""How far a long piece of work is: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from mapillary_crawler.terminal import quantities

#: Seconds between two lines about the same file.
_LINE_EVERY = 60.0


class Progress(Protocol):
    """Hears of work on files, and says it; a context that ends with the work."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def say(self, line: str) -> None:
        """Say something that stays."""

    def begin(self, doing: str, files: int, size: int) -> None:
        """Begin work on so many files and bytes."""

    def begin_file(self, name: str, size: int) -> None:
        """Begin a file, or begin it again."""

    def advance(self, size: int) -> None:
        """Note that so many bytes more of the file are done."""

    def end_file(self) -> None:
        """Note that the file is done."""


def progress() -> Progress:
    """Return what suits standard output."""
    console = Console(highlight=False, soft_wrap=True)
    return Terminal(console) if console.is_terminal else Lines()


class Lines:
    """A line a file, and one a minute within large files."""

    def __init__(self) -> None:
        self._doing, self._name = "", ""
        self._files = self._file = 0
        self._size = self._done = self._file_size = self._file_done = 0
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, line: str) -> None:
        """Print the line."""
        print(line, flush=True)  # noqa: T201 - what a command is for

    def begin(self, doing: str, files: int, size: int) -> None:
        """Start counting."""
        self._doing, self._files, self._size = doing, files, size
        self._file = self._done = 0

    def begin_file(self, name: str, size: int) -> None:
        """Start counting the file's bytes."""
        self._name, self._file_size, self._file_done = name, size, 0
        self._said = time.monotonic()

    def advance(self, size: int) -> None:
        """Count, and say how far a large file is."""
        self._file_done += size
        if time.monotonic() - self._said >= _LINE_EVERY:
            self._said = time.monotonic()
            done, whole = quantities.size(self._file_done), quantities.size(self._file_size)
            self.say(f"{self._doing} {self._name}: {done} of {whole}")

    def end_file(self) -> None:
        """Say that the file is done, and how far all of them are."""
        self._file += 1
        self._done += self._file_size
        self.say(
            f"{self._doing} {self._file}/{self._files} {self._name} "
            f"{quantities.size(self._file_size)} "
            f"({quantities.size(self._done)} of {quantities.size(self._size)})"
        )


class Terminal:
    """Two bars, the file and all of them."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._doing, self._files, self._file = "", 0, 0
        self._total: TaskID | None = None
        self._part: TaskID | None = None
        self._part_size = self._part_done = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Print the line above the bars."""
        self._bars.console.print(line, markup=False)

    def begin(self, doing: str, files: int, size: int) -> None:
        """Show the bars."""
        for task in (self._part, self._total):
            if task is not None:
                with suppress(KeyError):
                    self._bars.remove_task(task)
        self._doing, self._files, self._file = doing, files, 0
        self._part = self._bars.add_task("", total=None)
        self._total = self._bars.add_task(f"{doing} 0/{files}", total=size)

    def begin_file(self, name: str, size: int) -> None:
        """Show the file in its bar, from its start."""
        if self._part is not None and self._total is not None:
            self._bars.update(self._total, advance=-self._part_done)
            self._bars.reset(self._part, total=size, description=name)
        self._part_size, self._part_done = size, 0

    def advance(self, size: int) -> None:
        """Move both bars."""
        self._part_done += size
        for task in (self._part, self._total):
            if task is not None:
                self._bars.update(task, advance=size)

    def end_file(self) -> None:
        """Bring both bars to the file's end."""
        self.advance(self._part_size - self._part_done)
        self._part_done = 0
        self._file += 1
        if self._total is not None:
            self._bars.update(self._total, description=f"{self._doing} {self._file}/{self._files}")
