"""`scrapy plan`: lists users without archiving them, and says what a crawl would bring."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from scrapy import Spider
from scrapy.settings import Settings
from scrapy.utils.conf import arglist_to_dict

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.collection.arguments import refuse_processes
from mapillary_crawler.collection.configuration import read_configuration
from mapillary_crawler.collection.configuration_file import validated
from mapillary_crawler.collection.names import user_and_quality
from mapillary_crawler.collection.outcome import ArgumentRefused, EndOfRun, Outcome, end_of_run
from mapillary_crawler.collection.places import Places
from mapillary_crawler.collection.token import read_token, secrets_of
from mapillary_crawler.commands import crawl
from mapillary_crawler.terminal.command import crawl_options
from mapillary_crawler.terminal.program import program, program_name

if TYPE_CHECKING:
    from mapillary_crawler.crawl.open_collection import OpenCollection
    from mapillary_crawler.crawl.plan.update import WouldBring
    from mapillary_crawler.spiders.user import UserSpider

#: Seconds for an answer of the API about a finished collection.
_TIMEOUT = 120.0
#: Options that are not passed on where there are several users.
_FOR_ONE = {
    "output": "-o",
    "overwrite_output": "-O",
    "profile": "--profile",
    "pidfile": "--pidfile",
    "pdb": "--pdb",
}


class Command(crawl.Command):
    """Runs the listing of a crawl, and no more of its images than a sample."""

    default_settings = DEFAULTS
    usage = "USERNAME|COLLECTION... [--from FILE] [--json] [-a NAME=VALUE] [options]"
    summary = "List users and estimate what a crawl would bring and need"
    about = (
        "Lists a user's images, and shows how many there are, their dates, sequences and\n"
        "cameras, the bytes they would have at each quality (judged by 20, spread over the\n"
        "listing, that are fetched at all four), and the disk and time that a crawl needs."
    )
    epilog = f"""\
The listing is kept, so a crawl with the same arguments does not list again, and the sample's
images of the chosen quality count as saved. --json prints one line a user, and for several one
more, whose username is null: their sum; null stands for what is not known. Of a finished
collection it says how many new images an update would bring, and writes nothing. Several users are
planned one after another, with -a, -s, -L, -v, -q, --logfile, --nolog.

Exit codes
==========

  0  planned, or already archived
  n  those of {program_name()} crawl user -h; of several users, that of the worst (archive -h)

Examples
========

  {program_name()} plan alice -a quality=2048
  {program_name()} plan alice bob --json | jq .bytes.original.size
  {program_name()} plan --from names.txt -a quality=2048
  {program_name()} plan alice -a bbox=13.3,52.4,13.5,52.6 -a start=2024-01-01
"""
    plan: ClassVar[bool] = True

    def spider_class(self) -> type[UserSpider]:
        """Return the spider that the command runs."""
        from mapillary_crawler.spiders.plan import PlanSpider

        return PlanSpider

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option of the command."""
        super().add_options(parser)
        parser.add_argument(
            "--from", dest="file", metavar="FILE", help="read user names from a file, - is input"
        )
        parser.add_argument(
            "--json", action="store_true", help="print JSON, one line a user and one for the sum"
        )
        parser.add_argument(
            "--log-json", metavar="FILE", help="append a line of JSON for each user that is planned"
        )

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check everything; with one user, open the collection."""
        from mapillary_crawler.crawl.usernames_given import all_names
        from mapillary_crawler.terminal.json_lines import JsonLog

        self._json = opts.json
        self._given = crawl_options(opts)
        with self.ending_with_a_line(args):
            self._usernames = all_names(self.arguments(args), opts.file)
            self._log = JsonLog(opts.log_json) if opts.log_json else None
            settings = self._settings_of(opts)
            self._item_max_bytes = read_options(settings).item_max_bytes
            users = _check(self._usernames, opts, settings)
            given = arglist_to_dict(opts.spargs)
            self._collection = validated({**given, **users[0]}).collection
            self._quality = self._collection.quality
            if len(users) > 1:
                _check_several(opts)
        if len(users) == 1:
            given = arglist_to_dict(opts.spargs)
            opts.spargs += [f"{name}={value}" for name, value in users[0].items() - given.items()]
            super().process_options(["user"], opts)
        else:
            self.given_settings.set("LOG_ENABLED", value=False, priority="cmdline")

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Plan one user, or several one after another, each in a process of its own."""
        from mapillary_crawler.workers.process import one_after_another

        if len(self._usernames) == 1:
            super().main(args, opts)
            return
        plan = [*program(), "plan"]
        options = [*self._given, *(["--json"] if self._json else [])]
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", suffix=".jsonl") as plans:
            options += ["--log-json", plans.name]
            commands = ([*plan, *options, "--", username] for username in self._usernames)
            self.exitcode = one_after_another(commands)
            planned = [json.loads(fields) for fields in plans]
        if self._log:
            for fields in planned:
                self._log.write(fields)
        self._sum_up(planned)

    def _sum_up(self, planned: list[dict[str, Any]]) -> None:
        """Print what all plans come to."""
        from mapillary_crawler.crawl.plan import sums
        from mapillary_crawler.terminal.json_lines import line

        total = sums.total(planned, users=len(self._usernames))
        if self._json:
            print(line(total), flush=True)
        else:
            print("\n".join(sums.lines(total, self._quality)), flush=True)

    def first_line(self, staging: OpenCollection) -> str:
        """Return what is said before anything happens."""
        return f"Planning {staging.collection.title}; the listing is kept in {staging.folder}"

    def conclude(self, staging: OpenCollection, spider: Spider | None, outcome: Outcome) -> None:
        """Print the plan, or why there is none."""
        from mapillary_crawler.archive.internet_archive.presence import Presence
        from mapillary_crawler.crawl.plan import report
        from mapillary_crawler.spiders.plan import PlanSpider
        from mapillary_crawler.terminal.json_lines import line

        if not isinstance(spider, PlanSpider) or spider.plan is None:
            super().conclude(staging, spider, outcome)
            return
        fields = spider.plan.fields(self._item_max_bytes)
        if self._log:
            self._log.write(fields)
        if self._json:
            print(line(fields))
            return
        check = spider.plan.presence is not Presence.EXISTS
        options = crawl.again(self._opts, check=check)
        words = crawl.Command.words(self, staging.collection.username, options)
        command = f"{program_name()} {shlex.join(words)}"
        print("\n".join(report.overview(spider.plan)))
        print()
        report.sizes(spider.plan).print()
        print()
        print("\n".join(report.needs(spider.plan, self._item_max_bytes, command)), flush=True)

    def words(self, username: str, options: list[str]) -> list[str]:
        """Return what is typed behind the program's name to plan the same once more."""
        return ["plan", *options, *(["--json"] if self._json else []), "--", username]

    def end(self, outcome: Outcome, message: object) -> NoReturn:
        """Say in one line why there is nothing to plan, and end."""
        from mapillary_crawler.terminal.json_lines import line

        if outcome is Outcome.ALREADY_ARCHIVED:
            found = self._would_bring()
            message = f"{message}; {found if isinstance(found, EndOfRun) else found.words}"
            if isinstance(found, EndOfRun):
                self.exitcode = found.outcome.exit_code
            if self._json:
                new = None if isinstance(found, EndOfRun) else found.new
                fields = {"username": self._usernames[0], "archived": True, "new": new}
                print(line({**fields, "message": str(message)}), flush=True)
        elif outcome is Outcome.PLANNED and self._json:
            fields = {"username": self._usernames[0], "archived": False, "message": str(message)}
            print(line(fields), flush=True)
        super().end(outcome, message)

    def _would_bring(self) -> WouldBring | EndOfRun:
        """Return what an update of the finished collection would bring, or why nobody knows."""
        from mapillary_crawler.archive.read_ledger import read_ledger
        from mapillary_crawler.crawl.doctor.asking import NoReply, ask
        from mapillary_crawler.crawl.plan.update import would_bring
        from mapillary_crawler.graph.answers import Answer, Meaning, read_answer
        from mapillary_crawler.terminal.redaction import Redactor

        configuration = self.configuration()
        redactor = Redactor(secrets=secrets_of(os.environ), hosts=())
        headers = {
            "Accept": "application/json",
            "Authorization": f"OAuth {read_token(os.environ)}",
            "User-Agent": str(self.given_settings["USER_AGENT"]),
        }

        def answer(url: str) -> Answer:
            reply = ask(url, headers, _TIMEOUT)
            if isinstance(reply, NoReply):
                return Answer(Meaning.RETRY, f"there is no answer ({reply.said})")
            return read_answer(reply.status, reply.body, redactor=redactor)

        folder = configuration.store / self._collection.name
        try:
            with closing(read_ledger(folder)) as ledger:
                return would_bring(ledger, self._collection, configuration.api_url, answer)
        except (EndOfRun, sqlite3.Error) as error:
            return end_of_run(error)

    def _settings_of(self, opts: argparse.Namespace) -> Settings:
        """Return a copy of the settings with those given: the crawl takes its own over."""
        settings = self.given_settings.copy()
        try:
            settings.setdict(arglist_to_dict(opts.set), priority="cmdline")
        except ValueError:
            raise ArgumentRefused("settings are written -s NAME=VALUE") from None
        return settings


def _check(
    usernames: list[str], opts: argparse.Namespace, settings: Settings
) -> list[dict[str, str]]:
    """Return the checked arguments of every user or collection; raises `ArgumentRefused`."""
    if not usernames:
        raise ArgumentRefused(f"say which user: {program_name()} plan USERNAME, or --from FILE")
    try:
        given = arglist_to_dict(opts.spargs)
    except ValueError:
        raise ArgumentRefused("arguments are written -a NAME=VALUE") from None
    if "username" in given:
        raise ArgumentRefused("-a username= has no place here; name the users themselves")
    refuse_processes(given)
    users = []
    for named in usernames:
        user = _collection(named, settings) or {"username": named}
        for name in user.keys() & given.keys():
            if user[name] != given[name]:
                raise ArgumentRefused(f"{named} has {name}={user[name]}, not {given[name]}")
        validated({**given, **user})
        users.append(user)
    return users


def _collection(named: str, settings: Settings) -> dict[str, str] | None:
    """Return the arguments of a collection that is here, None for a user's name."""
    from mapillary_crawler.archive.collection_arguments import collection_arguments

    name = Path(named).name
    if not user_and_quality(name):
        return None
    configuration = read_configuration(settings, os.environ)
    try:
        folder = Places(configuration.store, configuration.staging).find(named)
    except ArgumentRefused:
        return None
    return collection_arguments(folder) if folder.name == name else None


def _check_several(opts: argparse.Namespace) -> None:
    for name, option in _FOR_ONE.items():
        if getattr(opts, name):
            raise ArgumentRefused(f"{option} is for a single user")
