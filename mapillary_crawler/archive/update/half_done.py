"""What is said of a collection whose update is half done, by those who only read."""

from __future__ import annotations

import shlex
from pathlib import Path

from mapillary_crawler.archive.collection_arguments import collection_arguments, crawl_command
from mapillary_crawler.archive.read_ledger import title
from mapillary_crawler.archive.update.journal import is_half_done
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.terminal.program import program_name


def half_done(folder: Path) -> str | None:
    """Return one line that says so, and what ends it without any request; None where none is."""
    if not is_half_done(folder):
        return None
    try:
        command = crawl_command(collection_arguments(folder))
    except ArgumentRefused:
        command = f"{program_name()} repair {shlex.quote(folder.name)}"
    return f"{title(folder)}: an update is half done; finish it with: {command}"


def refuse_half_done(folder: Path) -> None:
    """Raise `Refused` with that line."""
    line = half_done(folder)
    if line:
        raise Refused(Outcome.INCOMPLETE, line)
