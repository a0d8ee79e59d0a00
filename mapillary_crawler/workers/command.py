"""The command line of a crawl that a task is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from mapillary_crawler.collection.configuration_file import with_defaults
from mapillary_crawler.terminal.command import OF_SEVERAL, crawl_options
from mapillary_crawler.terminal.program import program
from mapillary_crawler.workers.work import Work

#: Arguments that change nothing for who schedules.
_OF_ONE_RUN = frozenset({"accept_failed", "check_ia", "page", "tar"})


def options_of(opts: argparse.Namespace, share: Mapping[str, int]) -> list[str]:
    """Return what every crawl has besides its arguments: options that were typed, and its share."""
    return [
        *crawl_options(argparse.Namespace(**{**vars(opts), "spargs": []})),
        f"--set={OF_SEVERAL}",
        *(f"--set={name}={value}" for name, value in share.items()),
    ]


def may_be_cut(work: Work, *, is_shared: bool) -> bool:
    """Say whether a user of the queue may be cut into slices on this machine.

    Where a file of this machine has arguments that the task lacks, those who go on by the task
    would not know of which collection the slices are, or that they wait for an upload. With a
    folder of several machines what is uploaded is never cut.
    """
    meant = with_defaults(work.arguments)
    untold = {name for name, value in meant.items() if value != "0"} - work.arguments.keys()
    return untold <= _OF_ONE_RUN and not (is_shared and meant.get("upload") == "1")


def crawl_command(
    work: Work,
    options: Sequence[str],
    *,
    cut: bool,
    room: int,
    among: Callable[[Work], int],
) -> list[str]:
    """Return the command line; all slices that are here keep to `room` bytes together.

    `among` says how many those of a work are, at least. Those that wait for room see to that
    themselves.
    """
    words = [*program(), "crawl", "user", *work.options(cut=cut), *options]
    if room and work.is_slice and not work.removes:
        words.append(f"--set=STAGING_MAX_BYTES={max(1, room // among(work))}")
    return words
