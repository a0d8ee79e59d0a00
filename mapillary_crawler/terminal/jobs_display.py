"""The live display of several crawls at once, read from what each writes for monitors."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.live_lines import LiveLines
from mapillary_crawler.terminal.progress_file import read_progress

#: Seconds between two drawings.
_PAUSE = 1.0
#: Of a crawl that has not yet said anything; an outcome is an earlier run's.
_STARTING = ["starting", "", "", ""]


class JobsDisplay:
    """A line for each crawl that runs.

    `folders` are, by user, where its collection may be: in staging, then in the store.
    """

    def __init__(self, lines: LiveLines, folders: Mapping[str, Sequence[Path]]) -> None:
        self._lines = lines
        self._folders = folders
        self._drawn = 0.0

    def show(self, running: Sequence[str]) -> None:
        """Draw the lines anew, now and then."""
        now = time.monotonic()
        if now - self._drawn < _PAUSE:
            return
        self._drawn = now
        rows = Table.grid(padding=(0, 2))
        for username in running:
            rows.add_row(Text(username), *map(Text, _cells(read_progress(self._folders[username]))))
        self._lines.show(rows)


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
