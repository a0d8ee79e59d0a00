"""How far a long piece of work on files is: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.live_lines import can_be_live

#: Seconds between two lines about the same file.
_LINE_EVERY = 60.0
#: Cells of a bar that is still one and of the figures behind it, of how fast it goes among them,
#: and of a name at least.
_FIGURES, _PACE, _LEAST_NAME = 46, 22, 16

#: With what names of collections begin.
_PREFIX = "mapillary-"


class WorkDisplay:
    """Hears of work on files; a context that ends with the work.

    This one says nothing but what stays.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, line: str) -> None:
        """Print something that stays, on standard output."""
        print(line, flush=True)  # noqa: T201 - what a command is for

    def begin(self, doing: str, files: int, size: int) -> None:
        """Begin work on so many files and bytes."""

    def begin_file(self, name: str, size: int) -> None:
        """Begin a file, or begin it again."""

    def advance(self, size: int) -> None:
        """Note that so many bytes more of the file are done."""

    def end_file(self) -> None:
        """Note that the file is done."""


def work_display(elsewhere: type[WorkDisplay] = WorkDisplay) -> WorkDisplay:
    """Return bars where standard error is a terminal, and what is to be there `elsewhere`."""
    if can_be_live(sys.stderr):
        return Bars(Console(stderr=True, highlight=False, soft_wrap=True))
    return elsewhere()


class Lines(WorkDisplay):
    """A line a file, and one a minute within large files."""

    def __init__(self) -> None:
        self._doing, self._name = "", ""
        self._files = self._file = 0
        self._size = self._done = self._file_size = self._file_done = 0
        self._said = 0.0

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


def _has_room(console: Console) -> bool:
    """Say whether how fast it goes can be shown, too; a narrow terminal says less."""
    return console.width >= _FIGURES + _LEAST_NAME


class _Doing(TextColumn):
    """What is being done with which file; a long name is cut, so that the figures are not."""

    def __init__(self, console: Console) -> None:
        super().__init__("{task.description}", markup=False)
        self._console = console

    def render(self, task: Task) -> Text:
        """Return as much as there is room for beside the figures."""
        figures = _FIGURES if _has_room(self._console) else _FIGURES - _PACE
        room = max(_LEAST_NAME, self._console.width - figures)
        text = super().render(task)
        if text.cell_len > room:
            text = Text(text.plain.replace(f" {_PREFIX}", " "))
            text.truncate(room, overflow="ellipsis")
        return text


class Bars(WorkDisplay):
    """A bar for the file and one for all of them; a single file has but one.

    What is printed meanwhile goes above them, unless it does not go to a terminal.
    """

    def __init__(self, console: Console) -> None:
        pace = [TransferSpeedColumn(), TimeRemainingColumn()] if _has_room(console) else []
        self._bars = Progress(
            _Doing(console),
            BarColumn(bar_width=None),
            DownloadColumn(),
            *pace,
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._doing, self._files, self._file = "", 0, 0
        self._part: TaskID | None = None
        self._total: TaskID | None = None
        self._part_size = self._part_done = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, doing: str, files: int, size: int) -> None:
        """Show the bars."""
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        self._doing, self._files, self._file = doing, files, 0
        self._part_size = self._part_done = 0
        self._part = self._bars.add_task("", total=None) if files > 1 else None
        self._total = self._bars.add_task(self._heading(), total=size)

    def begin_file(self, name: str, size: int) -> None:
        """Show the file in its bar, from its start."""
        assert self._total is not None, "begin comes first"
        self._bars.update(self._total, advance=-self._part_done)
        if self._part is None:
            self._bars.update(self._total, description=f"{self._doing} {name}")
        else:
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
        if self._part is not None and self._total is not None:
            self._bars.update(self._total, description=self._heading())

    def _heading(self) -> str:
        return f"{self._doing} {self._file}/{self._files}"
