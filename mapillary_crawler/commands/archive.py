"""`scrapy archive`: several users, each a crawl of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scrapy.utils.conf import arglist_to_dict

from mapillary_crawler.collection.arguments import Arguments, refuse_processes
from mapillary_crawler.collection.configuration import read_number
from mapillary_crawler.collection.configuration_file import refuse_stop_after, validated
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.collection.places import Places
from mapillary_crawler.collection.token import read_token
from mapillary_crawler.collection.units import read_span
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import (
    ProjectCommand,
    add_verbosity,
)
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.collection.balance import Balance
    from mapillary_crawler.collection.configuration import Configuration
    from mapillary_crawler.crawl.user_ends import UserEnd, UserEnds
    from mapillary_crawler.ledger.records import Slice
    from mapillary_crawler.terminal.json_lines import JsonLog
    from mapillary_crawler.terminal.tables import Table
    from mapillary_crawler.workers.one_machine import Crawls
    from mapillary_crawler.workers.overview import UserInQueue
    from mapillary_crawler.workers.work import Work


_NUMBERS = ("listed", "saved", "gone", "failed", "bytes")
#: Columns of users whose collections go to archive.org.
_OF_UPLOADS = ("archive.org", "waits")


class Command(ProjectCommand):
    """Checks all arguments first, then runs one `scrapy crawl` a user."""

    prints = False
    usage = (
        "USERNAME... [--from FILE] [--jobs N | --queue [--wait]] [-a NAME=VALUE] [-s NAME=VALUE] "
        "[options]"
    )
    summary = "Archive several Mapillary users"
    about = (
        "Archives several users with the same arguments, each in a crawl of its own, but for\n"
        "those that are archived already; names those that need somebody, and counts the rest."
    )
    epilog = f"""\
FILE has a user name a line; what follows a # is a comment. Crawls go on when one fails, and
the same command run again goes on where it was, with the names that FILE has then. With N > 1
a user of more than SLICE_IMAGES images is cut into slices, which are crawled at once, too. With
-a upload=1 what a slice has ended with is sent while others are crawled, and the next crawl begins
when all that the one before still waits for is archive.org: at most N crawls beside N that wait.
They get -a, -s, -L, -v, -q, --nolog and
--logfile, which is one file for all of them; --profile, --pidfile and --pdb are for archive itself.

Exit codes
==========

  0  all users are complete
  2  wrong argument; nothing was started
  4  interrupted
  n  that of the worst crawl ({program_name()} crawl -h), the worst being the first of \
1, 2, 9, 4, 5, 6, 7, 3, 10, 8; the table says how each ended, and the last line counts them

Examples
========

  {program_name()} archive alice bob -a quality=2048
  {program_name()} archive --from names.txt --jobs auto -a quality=original -a webp=1
  grep -v '^#' names.txt | {program_name()} archive --from -
  {program_name()} archive --from names.txt --queue
  {program_name()} archive --from names.txt -a upload=1 -a remove=1 --log-json ends.jsonl
  jq -r 'select(.exit_code != 0) | .username' ends.jsonl
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        parser.add_argument(
            "--from", dest="file", metavar="FILE", help="read user names from a file, - is input"
        )
        parser.add_argument(
            "--jobs", metavar="N",
            help="crawls at once (default: 1), auto: one a processor; they share what one may use",
        )  # fmt: skip
        parser.add_argument(
            "-a", dest="spargs", action="append", default=[], metavar="NAME=VALUE",
            help=f"argument of every crawl, see {program_name()} crawl -h (may be repeated)",
        )  # fmt: skip
        parser.add_argument(
            "--queue", action="store_true",
            help="put them into the queue of MAPILLARY_QUEUE, for workers on several machines",
        )  # fmt: skip
        parser.add_argument(
            "--wait", action="store_true", help="with --queue, until all of them have ended"
        )
        parser.add_argument(
            "--log-json", metavar="FILE", help="append a line of JSON for each user that has ended"
        )
        parser.add_argument(
            "--json", action="store_true", help="print such lines, and the sum, instead of a table"
        )
        add_verbosity(parser)

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check everything, crawl, and say what became of whom."""
        from mapillary_crawler.collection.known_stores import require_disks
        from mapillary_crawler.collection.processors import usable_memory, usable_processors
        from mapillary_crawler.crawl.user_ends import UserEnds
        from mapillary_crawler.terminal.json_lines import JsonLog, line
        from mapillary_crawler.workers.process import exit_code
        from mapillary_crawler.workers.shares import read_jobs, shares

        machine = {"processors": usable_processors(), "memory": usable_memory()}
        arguments = _check(args, opts)
        jobs = read_jobs("1" if opts.jobs is None else opts.jobs, **machine)
        if opts.queue:
            self._enqueue(arguments, opts)
            return
        configuration = self.configuration()
        require_disks(configuration)
        read_token(os.environ)
        if any(each.upload for each in arguments.values()):
            from mapillary_crawler.crawl.rolling_upload import check_upload

            check_upload(self.given_settings)
        log = JsonLog(opts.log_json) if opts.log_json else None
        places = Places(configuration.store, configuration.staging)
        ends = UserEnds({name: each.collection.name for name, each in arguments.items()}, places)
        uploads = len(arguments) > 1 and any(each.upload for each in arguments.values())
        several = jobs > 1 or uploads  # one may begin while the one before is at its upload
        # Slices of a single user begin when the user's own crawl has ended: it shares with nobody.
        at_once = {False: jobs if len(arguments) > 1 else 1, True: jobs}
        options = {
            is_slice: _options(opts, shares(configuration, count, **machine), relays=several)
            for is_slice, count in at_once.items()
        }
        users = _users(arguments, opts)
        crawls = _crawls(ends, users, jobs, options, configuration.staging_max_bytes)

        def end(username: str, code: int) -> None:
            fields = ends.end(username, code).fields()
            if opts.json:
                print(line(fields), flush=True)
            if log:
                self._append(log, fields)

        crawls.settled = lambda username: _settled(arguments[username], configuration)
        crawls.ends = end
        crawls.uploads = ends.is_uploading if uploads else None
        with _display(ends, opts, several=several) as (starts, watch):
            crawls.starts, crawls.watch = starts, watch
            crawls.run_all()
        self.exitcode = exit_code(crawls.codes.values(), stopped=crawls.stopped)
        if opts.json:
            print(line(ends.fields(self.exitcode)))
        else:
            _table(ends).print()
            print(ends.counted())

    def _enqueue(self, users: Mapping[str, Arguments], opts: argparse.Namespace) -> None:
        """Put users into the queue, and wait for them where that is wanted."""
        from mapillary_crawler.collection.configuration_file import with_defaults
        from mapillary_crawler.terminal.json_lines import JsonLog, line
        from mapillary_crawler.workers import enqueue, schema
        from mapillary_crawler.workers.database import connected, warn_without_tls
        from mapillary_crawler.workers.dsn import read_dsn
        from mapillary_crawler.workers.process import exit_code
        from mapillary_crawler.workers.waiting import (
            code_of,
            counted_in_queue,
            fields_of,
            sum_of,
            wait_for,
        )
        from mapillary_crawler.workers.work import Work, queued

        lease = read_number(self.given_settings, "QUEUE_LEASE", 1, read_span)
        dsn = read_dsn(os.environ)
        warn_without_tls(dsn, self.say)
        given = queued(with_defaults(arglist_to_dict(opts.spargs)))
        log = JsonLog(opts.log_json) if opts.log_json else None
        with connected(dsn) as queue:
            schema.check(queue)
            done = enqueue.enqueue(queue, [Work(name, given) for name in users], lease)
        before = f"; {len(users) - done.new:,} in it already" if done.new < len(users) else ""
        self.say(f"{done.new:,} of {len(users):,} put into the queue{before}")
        for line_of_machine in done.lines():
            self.say(line_of_machine)
        if not opts.wait:
            return
        names = [each.collection.name for each in users.values()]

        def end(user: UserInQueue) -> None:
            if opts.json:
                print(line(fields_of(user)), flush=True)
            if log:
                self._append(log, fields_of(user))

        ended = wait_for(dsn, names, lease, self.say, end)
        self.exitcode = exit_code(map(code_of, ended), stopped=False)
        print(line(sum_of(ended, self.exitcode)) if opts.json else counted_in_queue(ended))

    def _append(self, log: JsonLog, fields: dict[str, Any]) -> None:
        """Write a line of --log-json; where that fails, say so and go on."""
        try:
            log.write(fields)
        except OSError as error:
            self.say(f"--log-json lacks {fields['username']}: {error.strerror}")


def _check(args: Sequence[str], opts: argparse.Namespace) -> dict[str, Arguments]:
    """Return the arguments of each user's crawl; raises `ArgumentRefused`."""
    from mapillary_crawler.crawl.usernames_given import all_names

    if opts.wait and not opts.queue:
        raise ArgumentRefused("--wait goes with --queue alone")
    if opts.queue:
        _check_queue(opts)
    names = all_names(args, opts.file)
    if not names:
        raise ArgumentRefused(f"say which users: {program_name()} archive USERNAME, or --from FILE")
    try:
        given = arglist_to_dict(opts.spargs)
    except ValueError:
        raise ArgumentRefused("an argument is written -a NAME=VALUE") from None
    if "username" in given:
        raise ArgumentRefused("-a username= has no place here; name the users themselves")
    if opts.queue:
        refuse_stop_after(given)
    refuse_processes(given)
    arguments = (validated({**given, "username": name}) for name in names)
    return {each.collection.username: each for each in arguments}


def _check_queue(opts: argparse.Namespace) -> None:
    """Refuse what would be of no effect on users in the queue."""
    if opts.set:
        raise ArgumentRefused(
            "-s does not go with --queue: settings are those of each machine, set them there"
        )
    if opts.jobs is not None:
        raise ArgumentRefused(
            f"--jobs does not go with --queue: say it to each {program_name()} worker"
        )
    if not opts.wait and (opts.json or opts.log_json):
        option = "--json" if opts.json else "--log-json"
        raise ArgumentRefused(
            f"{option} goes with --queue only where users are waited for: add --wait"
        )


def _options(opts: argparse.Namespace, share: Mapping[str, int], *, relays: bool) -> list[str]:
    """Return the options of every crawl, but for its arguments."""
    from mapillary_crawler.terminal.terminal_log import relayed
    from mapillary_crawler.workers.command import options_of

    return [*options_of(opts, share), *(relayed() if relays else ())]


def _settled(arguments: Arguments, configuration: Configuration) -> int | None:
    """Return 0 for a finished collection that is here, as its crawl would say; else None."""
    from mapillary_crawler.crawl.open_collection import OpenCollection

    refusal = OpenCollection.refusal(arguments, configuration)
    is_archived = refusal is not None and refusal.outcome is Outcome.ALREADY_ARCHIVED
    return Outcome.ALREADY_ARCHIVED.exit_code if is_archived else None


def _users(arguments: Mapping[str, Arguments], opts: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of each user's task, what a file says of uploads among them."""
    from mapillary_crawler.workers.work import queued

    given = queued(arglist_to_dict(opts.spargs))
    return {
        name: {**given, **{word: "1" for word in ("upload", "remove") if getattr(each, word)}}
        for name, each in arguments.items()
    }


def _crawls(
    ends: UserEnds,
    users: Mapping[str, Mapping[str, str]],
    jobs: int,
    options: Mapping[bool, Sequence[str]],
    room: int,
) -> Crawls:
    """Return the crawls of all users.

    `options` are those of users and of slices, `room` is what a collection in the making may have
    here.
    """
    from mapillary_crawler.archive.slices.reading import known_slices
    from mapillary_crawler.workers.command import crawl_command
    from mapillary_crawler.workers.one_machine import Crawls

    def slices(work: Work) -> list[Slice] | None:
        return known_slices(ends.folders(work.username)[0]) if jobs > 1 else None

    def command(work: Work) -> list[str]:
        return crawl_command(
            work, options[work.is_slice], cut=jobs > 1, room=room,
            among=lambda work: len(slices(work) or [work]),
        )  # fmt: skip

    return Crawls(users, jobs, command, find_slices=slices, again=jobs > 1)


@contextmanager
def _display(
    ends: UserEnds, opts: argparse.Namespace, *, several: bool
) -> Iterator[tuple[Callable[[str], None], Callable[[Sequence[Work]], None] | None]]:
    """Give what hears of each start, and what shows several crawls at once on a terminal.

    A single one shows itself, below a line that says which of all it is.
    """
    from mapillary_crawler.terminal.jobs_display import JobsDisplay, SoFar
    from mapillary_crawler.terminal.live_lines import LiveTerminal, can_be_live

    def so_far(running: Sequence[Work] = ()) -> SoFar:
        saved, size = ends.run_now((work.username, work.number) for work in running)
        return SoFar(
            users=len(ends.usernames),
            ended=len(ends.ended),
            running=len({work.username for work in running}),
            failed=sum(end.needs_attention for end in ends.ended.values()),
            saved=saved,
            bytes_saved=size,
            seconds_left=ends.seconds_left(),
        )

    def say(username: str) -> None:
        ends.start(username)
        if len(ends.usernames) > 1 and not opts.quiet:
            print(f"{username}: {so_far().heading()}", file=sys.stderr, flush=True)

    if several and not opts.quiet and can_be_live(sys.stderr):
        with LiveTerminal() as lines:
            shown = JobsDisplay(lines)

            def show(running: Sequence[Work]) -> None:
                folders = {work.title: ends.folders(work.username, work.number) for work in running}
                wholes = {work.username for work in running if not work.is_slice}
                slices = {
                    work.title for work in running if work.is_slice and work.username in wholes
                }
                shown.show(folders, so_far(running), slices)

            yield ends.start, show
    else:
        yield say, None


def _table(ends: UserEnds) -> Table:
    """Return what became of those users that need somebody, and the sum of all."""
    from mapillary_crawler.terminal.tables import Table

    uploads = any(end.archive_org for end in ends.all())
    numbers = (*_NUMBERS, *(_OF_UPLOADS if uploads else ()))
    spare = ("gone", "bytes") if uploads else ()
    table = Table(("user", *numbers, "outcome"), frozenset(numbers), spare=spare)
    for end in ends.all():
        if end.needs_attention:
            row = (*_cells(end.balance), *(_uploaded([end]) if uploads else ()))
            table.rows.append((end.username, *row, end.words))
    row = (*_cells(ends.total()), *(_uploaded(ends.all()) if uploads else ()))
    table.rows.append(("in all", *row, ""))
    return table


def _uploaded(ends: Sequence[UserEnd]) -> tuple[str, ...]:
    """Return the bytes that archive.org has of some users, and those that wait."""
    found = [end.archive_org for end in ends if end.archive_org]
    if not found:
        return ("-",) * len(_OF_UPLOADS)
    amounts = (sum(each.size for each in found), sum(each.waiting for each in found))
    return tuple(map(quantities.size, amounts))


def _cells(balance: Balance | None) -> tuple[str, ...]:
    if balance is None:
        return ("-",) * len(_NUMBERS)
    gone = balance.gone + balance.unavailable
    amounts = (balance.listed, balance.saved, gone, balance.failed)
    return (*map("{:,}".format, amounts), quantities.size(balance.bytes_saved))
