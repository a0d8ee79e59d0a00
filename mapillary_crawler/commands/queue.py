"""`scrapy queue`: who waits, who is crawled where, and what failed, on several machines."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mapillary_crawler.collection.configuration import read_number
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.units import read_span
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.workers.overview import Overview, UserInQueue

_NUMBERS = ("slices", "listed", "saved", "gone", "failed", "left", "size", "images/s")
#: Characters of a reason.
_REASON = 400
#: Words of the command, and how many names follow each.
_WORDS = {"init": 0, "cancel": 1, "retry": 1}


class Command(ProjectCommand):
    """Looks at the queue, makes its tables, takes users out of it and lets them go on."""

    usage = "[init | cancel USER | retry USER] [--json]"
    summary = "Show the queue of several machines, or change it"
    about = (
        "Shows the queue of MAPILLARY_QUEUE: users with their slices, machines, rates, what\n"
        "failed and how long the rest takes. `init` makes its tables, or brings them up to date;\n"
        "`cancel` takes a user out of it, and what is crawled of it ends; `retry` lets a user go\n"
        "on that failed or was cancelled, and all machines that a refused token has stopped."
    )
    epilog = f"""\
MAPILLARY_QUEUE, in the environment alone, is postgresql://USER:PASSWORD@HOST:PORT/DATABASE; it is
shown nowhere. docs/scale.md says how to set it up, and what the fields of --json are. Until some of
a user's images are listed, nobody knows how many are left: - or null.

States
======

  waiting    nobody has taken it yet, its machine has no place for it now, or
             has no worker (a line below says so), or none has the version of
             the program that has cut it
  running    it is being listed, fetched, merged or finished
  later      it is tried again once the time is over that is shown: the API
             was away, say
  failed     it is not tried again by itself; its exit code says why
             ({program_name()} crawl -h)
  cancelled  somebody has cancelled it
  done       it is finished

States of workers
=================

  working    something is being done on its machine
  idle       nothing is
  halted     nothing is, and no machine takes anything: a line above says why
  paused     its machine takes nothing for a while: the disk is full, say
  ended      it was told to end
  lost       nothing was heard of it for a lease; others get what it had

Exit codes: 0, 2 where the queue cannot be reached, its tables are of another version, or it has
nothing of the user that could be cancelled or tried again.

Examples
========

  {program_name()} queue init
  {program_name()} archive --from names.txt --queue
  watch -n 10 {program_name()} queue
  {program_name()} queue --json | jq 'select(.state == "failed")'
  {program_name()} queue retry alice
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option of the command."""
        super().add_options(parser)
        parser.add_argument(
            "--json", action="store_true", help="print JSON: a line each user, worker and the sum"
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Do what is asked for, or show the queue."""
        from mapillary_crawler.workers import enqueue, schema
        from mapillary_crawler.workers.database import connected, warn_without_tls
        from mapillary_crawler.workers.dsn import read_dsn
        from mapillary_crawler.workers.no_task import why_not_cancelled, why_not_retried
        from mapillary_crawler.workers.overview import look

        word, name = _asked_for(args)
        lease = read_number(self.given_settings, "QUEUE_LEASE", 1, read_span)
        dsn = read_dsn(os.environ)
        warn_without_tls(dsn, self.say)
        with connected(dsn) as queue:
            if word == "init":
                print(f"{schema.init(queue)}: {dsn.where}")
                return
            schema.check(queue)
            if word == "cancel":
                if not enqueue.cancel(queue, name):
                    raise ArgumentRefused(
                        why_not_cancelled(name, look(queue, lease).users.values())
                    )
                print(f"{name}: cancelled; what is being crawled of it ends")
            elif word == "retry":
                if not enqueue.retry(queue, name, lease):
                    raise ArgumentRefused(why_not_retried(name, look(queue, lease).users.values()))
                print(f"{name}: it goes on where it was, if its machine has a worker; else on any")
            else:
                _show(look(queue, lease), opts)


def _asked_for(args: list[str]) -> tuple[str, str]:
    """Return the word and the name of the command line; raises `ArgumentRefused`."""
    if not args:
        return "", ""
    word, *names = args
    if word not in _WORDS:
        raise ArgumentRefused(f"{word!r} is unknown; allowed are {', '.join(_WORDS)}, or nothing")
    if len(names) != _WORDS[word]:
        wanted = f"name one user: {program_name()} queue {word} USER"
        raise ArgumentRefused(wanted if _WORDS[word] else f"unexpected argument {names[0]!r}")
    return word, names[0] if names else ""


def _show(found: Overview, opts: argparse.Namespace) -> None:
    from mapillary_crawler.terminal.json_lines import line
    from mapillary_crawler.terminal.quoting import brief
    from mapillary_crawler.terminal.tables import Table

    if opts.json:
        for fields in found.fields():
            print(line(fields))
        return
    if found.halted:
        print(f"No machine takes anything: {brief(found.halted, _REASON)}")
    table = Table(
        ("collection", "state", *_NUMBERS, "machine"),
        frozenset(_NUMBERS),
        spare=("machine", "gone", "size", "slices", "images/s"),
        prefix="mapillary-",
    )
    table.rows += [_row(user) for user in found.users.values()]
    if table.rows:
        table.print()
    for user in found.users.values():
        if user.waits_for_version:
            version = brief(user.waits_for_version)
            print(
                f"{brief(user.collection)} waits for a machine with version {version}, which "
                "has cut it"
            )
    for line_of_machine in _absent(found):
        print(line_of_machine)
    for task in found.refused:
        print(f"task {task.task} is refused: {brief(task.reason, _REASON)}")
    for worker in found.workers:
        seen = f", last seen {quantities.age(worker.seconds_unseen)}" if worker.is_gone else ""
        state = f"{brief(worker.state, _REASON)}{seen}"
        print(f"{brief(worker.machine)}: {worker.jobs} at once, {state}")
    print(_sum(found))


def _absent(found: Overview) -> Iterator[str]:
    """Yield a line for each machine that is waited for and has no worker."""
    from mapillary_crawler.terminal.quoting import brief

    waiting: dict[str, set[str]] = {}
    for user in found.users.values():
        if user.waits_for_machine is not None:
            waiting.setdefault(user.waits_for_machine, set()).add(user.username)
    for machine, names in waiting.items():
        who, typed = f"{len(names):,} users wait", "USER"
        if len(names) == 1:
            (name,) = names
            who, typed = f"{brief(name)} waits", brief(shlex.quote(name))
        yield (
            f"{brief(machine)} has no worker now, and {who} for it: start one there, or let any "
            f"other machine begin anew: {program_name()} queue retry {typed}"
        )


def _row(user: UserInQueue) -> tuple[str, ...]:
    from mapillary_crawler.terminal.quoting import brief

    amounts = (user.listed, user.saved, user.gone + user.unavailable, user.failed)
    return (
        brief(user.collection),
        user.words,
        f"{user.slices_ended}/{user.slices}" if user.slices else "-",
        *map("{:,}".format, amounts),
        "-" if user.left is None else f"{user.left:,}",
        quantities.size(user.bytes_saved),
        quantities.rate(user.images_per_second) if user.images_per_second else "-",
        brief(user.machine or "-"),
    )


def _sum(found: Overview) -> str:
    states = [user.state for user in found.users.values()]
    counts = [f"{states.count(state):,} {state}" for state in dict.fromkeys(states)]
    line = f"{len(states):,} user{'s' * (len(states) != 1)}"
    line += f": {', '.join(counts)}" if counts else ""
    if rate := found.images_per_second:
        line += f"; {quantities.rate(rate)} images/s"
    if left := found.seconds_left:
        line += f", {quantities.duration(left)} left for those that are listed"
    return line
