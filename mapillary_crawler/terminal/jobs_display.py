"""The live display of several crawls at once, read from what each writes for monitors."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.live_lines import LiveLines
from mapillary_crawler.terminal.progress_file import read_progress
from mapillary_crawler.terminal.run_display import Parts

#: Seconds between two drawings.
_PAUSE = 1.0
#: Of a crawl that has not yet said anything; an outcome is an earlier run's.
_STARTING = ["starting", "", "", ""]


@dataclass(frozen=True, slots=True)
class SoFar:
    """What is done of all users: those that have ended and run, images and bytes saved by them."""

    users: int
    ended: int = 0
    running: int = 0
    failed: int = 0
    saved: int = 0
    bytes_saved: int = 0
    seconds_left: float | None = None

    def heading(self, running: Sequence[Mapping[str, Any]] = ()) -> str:
        """Return it as a line, with what those that run have saved, and how fast."""
        images, size, speed = self.saved, self.bytes_saved, 0.0
        for fields in running:
            with suppress(KeyError, TypeError):  # not there yet, or another version's
                if not fields["outcome"]:
                    images, size = images + fields["saved"], size + fields["bytes_saved"]
                    speed += fields["images_per_second"]
        parts = [
            f"user {min(self.users, self.ended + max(1, self.running)):,} of {self.users:,}",
            f"{self.failed:,} failed",
            f"{images:,} images",
            quantities.size(size),
        ]
        if running:
            parts.append(f"{quantities.rate(speed)} images/s")
        if self.seconds_left is not None:
            parts.append(f"{quantities.duration(self.seconds_left)} left")
        return " · ".join(parts)


class JobsDisplay:
    """A line for all, and one for each crawl that runs."""

    def __init__(self, lines: LiveLines) -> None:
        self._lines = lines
        self._drawn = 0.0
        self._shown: list[str] = []

    def show(
        self,
        running: Mapping[str, Sequence[Path]],
        so_far: SoFar,
        within: Container[str] = (),
    ) -> None:
        """Draw the lines anew, now and then, and at once where others run now.

        `running` are, by title, where a crawl's folder may be: in staging, then in the store. The
        figures of those `within` are part of another's.
        """
        now = time.monotonic()
        if now - self._drawn < _PAUSE and self._shown == list(running):
            return
        self._drawn, self._shown = now, list(running)
        found = {title: read_progress(folders) for title, folders in running.items()}
        counted = [fields for title, fields in found.items() if title not in within]
        heading = Parts(so_far.heading(counted).split(" · "), style="bold")
        jobs = Table.grid(padding=(0, 2))
        jobs.add_column(overflow="ellipsis")  # the figures stay where a name is too long
        for _ in _STARTING:
            jobs.add_column(no_wrap=True)
        for title, fields in found.items():
            jobs.add_row(Text(title), *map(Text, _cells(fields)))
        self._lines.show(Group(heading, jobs))


def _cells(fields: Mapping[str, Any]) -> list[str]:
    """Return phase, part that is done, speed and time left; empty where nothing is known."""
    try:
        if fields["outcome"]:
            return _STARTING
        left = fields["left"] + fields["failed"] - fields["accepted"] - fields["given_up"]
        listed = fields["listed"]
        seconds = fields["seconds_left"]
        return [
            str(fields["phase"]),
            f"{listed - left:,} of {listed:,}",
            f"{quantities.rate(fields['images_per_second'])} images/s",
            f"{quantities.duration(seconds)} left" if seconds is not None else "",
        ]
    except (KeyError, TypeError, ValueError):  # not there yet, or another version's
        return _STARTING
