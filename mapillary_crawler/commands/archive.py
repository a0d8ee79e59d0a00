"""`scrapy archive`: several users, each a crawl of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.utils.conf import arglist_to_dict

from mapillary_crawler.collection.arguments import Arguments, validate
from mapillary_crawler.collection.configuration_file import with_defaults
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.collection.places import Places
from mapillary_crawler.collection.token import read_token
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import ProjectCommand, crawl_options
from mapillary_crawler.terminal.program import program, program_name

if TYPE_CHECKING:
    from mapillary_crawler.terminal.tables import Table


class Command(ProjectCommand):
    """Checks all arguments first, then runs one `scrapy crawl` a user."""

    prints = False
    usage = "USERNAME... [--from FILE] [--jobs N] [-a NAME=VALUE] [-s NAME=VALUE] [options]"
    summary = "Archive several Mapillary users"
    about = (
        "Archives several users with the same arguments, each in a crawl of its own,\n"
        "and ends with a table of what became of each."
    )
    epilog = f"""\
FILE has a user name a line; what follows a # is a comment. Crawls go on when one fails, and
the same command run again goes on where it was. They get -a, -s, -L, --nolog and --logfile,
which is one file for all of them; --profile, --pidfile and --pdb are for archive itself.

Exit codes
==========

  0  all users are complete
  2  wrong argument; nothing was started
  4  interrupted
  n  that of the worst crawl ({program_name()} crawl -h), the worst being the first of 1, 2, 9, 4,
     5, 6, 7, 3, 10, 8; the table says how each ended, and the last line counts them

Examples
========

  {program_name()} archive alice bob -a quality=2048
  {program_name()} archive --from names.txt --jobs 2 -a quality=original -a webp=1
  grep -v '^#' names.txt | {program_name()} archive --from -
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        parser.add_argument(
            "--from", dest="file", metavar="FILE", help="read user names from a file, - is input"
        )
        parser.add_argument(
            "--jobs", default="1", metavar="N",
            help="crawls at once (default: 1); they share the maximum concurrency and rate",
        )  # fmt: skip
        parser.add_argument(
            "-a", dest="spargs", action="append", default=[], metavar="NAME=VALUE",
            help=f"argument of every crawl, see {program_name()} crawl -h (may be repeated)",
        )  # fmt: skip

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check everything, crawl, and print the table."""
        from mapillary_crawler.collection.known_stores import require_disks
        from mapillary_crawler.crawl.several_users import Crawls, exit_code, shares

        arguments, jobs = _check(args, opts), _jobs(opts.jobs)
        configuration = self.configuration()
        require_disks(configuration)
        read_token(os.environ)
        share = shares(configuration, jobs)
        options = [
            *crawl_options(opts),
            *(f"--set={name}={value}" for name, value in share.items()),
        ]
        crawl = [*program(), "crawl", "user"]
        crawls = Crawls(
            list(arguments),
            jobs,
            lambda username: [*crawl, "-a", f"username={username}", *options],
        )
        folders = {name: given.collection.name for name, given in arguments.items()}
        places = Places(configuration.store, configuration.staging)
        where = {
            name: (places.staging / folder, places.store / folder)
            for name, folder in folders.items()
        }
        with _display(where, several=jobs > 1 and not opts.nolog) as watch:
            crawls.watch = watch
            crawls.run()
        codes = {name: crawls.codes.get(name) for name in folders}
        table = _table(codes, folders, places)
        table.print()
        print(_counted([row[-1] for row in table.rows]))
        self.exitcode = exit_code(crawls.codes.values(), stopped=crawls.stopped)


def _check(args: Sequence[str], opts: argparse.Namespace) -> dict[str, Arguments]:
    """Return the arguments of each user's crawl; raises `ArgumentRefused`."""
    from mapillary_crawler.crawl.several_users import read_names

    names = list(args)
    if opts.file == "-":
        names += read_names(sys.stdin)
    elif opts.file is not None:
        try:
            names += read_names(Path(opts.file).read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentRefused(f"{opts.file} cannot be read: {error}") from None
    if not names:
        raise ArgumentRefused(f"say which users: {program_name()} archive USERNAME, or --from FILE")
    try:
        given = arglist_to_dict(opts.spargs)
    except ValueError:
        raise ArgumentRefused("an argument is written -a NAME=VALUE") from None
    if "username" in given:
        raise ArgumentRefused("-a username= has no place here; name the users themselves")
    arguments = (validate({**with_defaults(given), "username": name}) for name in names)
    return {each.collection.username: each for each in arguments}


def _jobs(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ArgumentRefused(f"--jobs {value!r} cannot be; say a number from 1 on")
    return int(value)


@contextmanager
def _display(
    folders: Mapping[str, Sequence[Path]], *, several: bool
) -> Iterator[Callable[[Sequence[str]], None] | None]:
    """Give what shows several crawls at once on a terminal; a single one shows itself."""
    from mapillary_crawler.terminal.jobs_display import JobsDisplay
    from mapillary_crawler.terminal.live_lines import LiveTerminal, can_be_live

    if several and can_be_live(sys.stderr):
        with LiveTerminal() as lines:
            yield JobsDisplay(lines, folders).show
    else:
        yield None


def _table(codes: Mapping[str, int | None], folders: Mapping[str, str], places: Places) -> Table:
    """Return what became of each user."""
    from mapillary_crawler.archive.status import ARCHIVED, look_at
    from mapillary_crawler.terminal.tables import Table

    numbers = ("listed", "saved", "gone", "failed", "bytes")
    table = Table(("user", *numbers, "outcome"), frozenset(numbers))
    for username, code in codes.items():
        counts: tuple[str, ...] = ("-",) * len(numbers)
        is_here = False
        with suppress(ArgumentRefused):
            overview = look_at(places.find(folders[username]), places)
            is_here = overview.state == ARCHIVED
            if balance := overview.balance:
                gone = balance.gone + balance.unavailable
                amounts = (balance.listed, balance.saved, gone, balance.failed)
                counts = (*map("{:,}".format, amounts), quantities.size(balance.bytes_saved))
        table.rows.append((username, *counts, _words(code, is_here=is_here)))
    return table


def _counted(ends: Sequence[str]) -> str:
    """Return how many crawls ended in which way, the most frequent first."""
    said = [f"{count:,} {words}" for words, count in Counter(ends).most_common()]
    return f"{len(ends):,} user{'s' * (len(ends) != 1)}: {', '.join(said)}"


def _words(code: int | None, *, is_here: bool) -> str:
    """Return how a crawl ended, in a few words; `is_here` says that its collection is finished.

    Where it ended well and is not, archive.org has it.
    """
    if code is None:
        return "not started"
    if code == 0 and not is_here:
        return Outcome.ALREADY_ARCHIVED.words
    if code < 0:
        return f"killed by signal {-code}"
    found = next((outcome for outcome in Outcome if outcome.exit_code == code), Outcome.ERROR)
    return f"{found.words.partition(',')[0]} ({code})" if code else found.words
