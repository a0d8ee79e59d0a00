"""`scrapy worker`: one machine of several, which crawls what the queue has."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.utils.log import configure_logging

from mapillary_crawler import __version__
from mapillary_crawler.collection.configuration import read_number
from mapillary_crawler.collection.configuration_file import refuse_stop_after
from mapillary_crawler.collection.places import Places
from mapillary_crawler.collection.token import read_token
from mapillary_crawler.collection.units import read_span
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name
from mapillary_crawler.terminal.quoting import brief

if TYPE_CHECKING:
    from mapillary_crawler.ledger.records import Slice
    from mapillary_crawler.workers.work import Work

#: Of the environment, what no crawl is given: how the queue is reached, and by which password.
_OF_THE_QUEUE = ("MAPILLARY_QUEUE", "PG")
#: Characters of a line.
_LINE = 1000


class Command(ProjectCommand):
    """Takes tasks of MAPILLARY_QUEUE until it is told to end."""

    prints = False
    usage = "[--jobs N|auto] [-s NAME=VALUE] [options]"
    summary = "Crawl what the queue of several machines has"
    about = (
        "Takes users and slices from the queue of MAPILLARY_QUEUE, N at once, each crawled by a\n"
        "process of its own with its share of this machine's limits, until SIGTERM or Ctrl-C:\n"
        "then what is being crawled is put back with what it has. The folders, the token and all\n"
        "settings are this machine's; the queue has user names and arguments of crawls alone.\n"
        "With MAPILLARY_SHARED, a folder that all machines see, any of them crawls slices of the\n"
        "same user, on its own disk."
    )
    epilog = f"""\
A service manager is to start it again whenever it ends (systemd: Restart=always), since it ends
where the queue goes away. docs/scale.md has the unit, and says what a lost machine costs.

Exit codes
==========

  0  told to end
  2  wrong argument or setting, no token, or a queue that cannot be used
  7  the queue went away

Examples
========

  {program_name()} worker --jobs auto
  {program_name()} worker --jobs 2 -s MAPILLARY_STORE=/srv/mapillary
  MAPILLARY_SHARED=/mnt/archive {program_name()} worker -s MAPILLARY_STAGING=/srv/staging
"""
    takes_arguments = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option of the command."""
        super().add_options(parser)
        parser.add_argument(
            "--jobs", default="auto", metavar="N",
            help="crawls at once, or auto: as many as it may use processors (default)",
        )  # fmt: skip

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check everything, and work."""
        from mapillary_crawler.archive.packages.attempts import Attempts
        from mapillary_crawler.archive.slices.reading import known_slices
        from mapillary_crawler.collection.known_stores import require_disks
        from mapillary_crawler.collection.processors import usable_memory, usable_processors
        from mapillary_crawler.workers import schema
        from mapillary_crawler.workers.brake import application_of
        from mapillary_crawler.workers.command import crawl_command, may_be_cut, options_of
        from mapillary_crawler.workers.database import connected, warn_without_tls
        from mapillary_crawler.workers.dsn import read_dsn
        from mapillary_crawler.workers.machine import QueueMachine
        from mapillary_crawler.workers.shared import NAME as SHARED
        from mapillary_crawler.workers.shared import ensure_same, is_anywhere, read_shared
        from mapillary_crawler.workers.shared_work import SharedWork
        from mapillary_crawler.workers.shares import read_jobs, shares

        of_machine = {"processors": usable_processors(), "memory": usable_memory()}
        configuration, jobs = self.configuration(), read_jobs(opts.jobs, **of_machine)
        lease = read_number(self.given_settings, "QUEUE_LEASE", 1, read_span)
        dsn = read_dsn(os.environ)
        refuse_stop_after({})
        require_disks(configuration)
        token = read_token(os.environ)
        warn_without_tls(dsn, self.say)
        shared = read_shared(os.environ, configuration.staging)
        with connected(dsn) as queue:
            schema.check(queue)
            if shared:
                ensure_same(queue, shared)
            elif is_anywhere(queue):
                self.say(
                    f"warning: {SHARED} is not set here, though machines of this queue have such a "
                    "folder: what this one takes stays on its own disk"
                )
        configure_logging(self.given_settings)
        places = Places(shared or configuration.store, configuration.staging)

        def slices(work: Work) -> list[Slice] | None:
            return known_slices(places.staging / work.collection.name)

        options = options_of(
            argparse.Namespace(**{**vars(opts), "verbose": False, "quiet": False}),
            shares(configuration, jobs, **of_machine),
        )
        of_all = None
        if shared:
            options += [
                f"--set=MAPILLARY_STORE={shared}",
                f"--set=MAPILLARY_STAGING={places.staging}",
            ]
            attempts = Attempts(places.staging, configuration.min_free_bytes)
            of_all = SharedWork(shared, attempts, __version__, self.say)
            of_all.begin()

        room = configuration.staging_max_bytes
        machine = QueueMachine(
            name=_name(configuration.staging),
            version=__version__,
            jobs=jobs,
            lease=lease,
            dsn=dsn,
            command=lambda work: crawl_command(
                work,
                options,
                cut=may_be_cut(work, is_shared=shared is not None),
                room=room,
                among=lambda work: len(slices(work) or range(jobs)),
            ),
            store=places.store,
            staging=places.staging,
            slices_of=slices,
            environment=_environment(os.environ),
            application=application_of(token),
            say=self.say,
            shared=of_all,
        )
        where = f"shared folder {shared}" if shared else f"store {places.store}"
        self.say(f"{machine.name}: {jobs} at once, of the queue on {dsn.where}, into {where}")
        machine.run_worker()

    def say(self, message: object) -> None:
        """Say something that may quote what a stranger has written into the queue."""
        super().say(brief(str(message), _LINE))


def _name(staging: Path) -> str:
    """Return what the machine is called: two that have folders of their own are two."""
    return f"{socket.gethostname()}-{sha256(bytes(staging)).hexdigest()[:6]}"


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what crawls are given of the environment."""
    return {
        name: value for name, value in environment.items() if not name.startswith(_OF_THE_QUEUE)
    }
