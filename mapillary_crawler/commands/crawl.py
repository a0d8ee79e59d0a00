"""`scrapy crawl user`: Scrapy's command with the project's arguments, lines and exit codes."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import shlex
import shutil
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn

from scrapy import Spider
from scrapy.commands import crawl
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.settings import Settings
from scrapy.spiderloader import get_spider_loader
from scrapy.utils.log import configure_logging

from mapillary_crawler.collection.arguments import OF_PROCESSES
from mapillary_crawler.collection.configuration import Configuration, read_path
from mapillary_crawler.collection.configuration_file import in_force, validated
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.misspelt import misspelt
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.collection.token import read_token, secrets_of
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import (
    OF_SEVERAL,
    ProjectCommand,
    add_verbosity,
    crawl_options,
)
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.collection.balance import Balance
    from mapillary_crawler.crawl.open_collection import OpenCollection
    from mapillary_crawler.spiders.user import UserSpider

logger = logging.getLogger(__name__)

_SPIDER = "user"
#: After how many seconds a thread that waits for its turn interrupts another; Python's default is
#: 0.005. The threads that check images want a turn for an instant, several times an image, and the
#: reactor's thread is always busy: docs/performance.md.
_SWITCH_SECONDS = 0.000_05
#: Objects after which Python looks for cycles among the new ones; its default is 700, which is one
#: image. No image's bytes are in a cycle.
_NEW_OBJECTS = 50_000
#: What Scrapy keeps in a job's folder and would read again: nothing that the ledger does not know,
#: and half a file of it, which a kill may leave, would end every later run of the job.
_JOB_STATE = ("requests.queue/active.json", "spider.state")
#: Seconds after which a stop that came before the engine ran is tried again.
_SOON = 0.02


class Command(ProjectCommand, crawl.Command):
    """Refuses what cannot work before anything starts, and ends with an exit code that tells."""

    requires_crawler_process = True
    prints = False
    usage = "user -a username=NAME [-a quality=256|1024|2048|original] [options]"
    summary = "Archive the images of a Mapillary user"
    about = (
        "Archives the images of a Mapillary user; run it again to go on where it was. The token is "
        "read from the environment variable MAPILLARY_TOKEN."
    )
    epilog = f"""\
Arguments
=========

  -a username=NAME     the user's name, or the address of the profile
  -a quality=QUALITY   256, 1024, 2048 or original (default: original)
  -a webp=1            store WebP, which is smaller and no longer the same picture
  -a jxl=1             store JPEG XL, which is smaller and gives back the same JPEG
  -a tar=0             leave the images in folders, in no tars
  -a page=0            make no index.html and no sequences.geojson
  -a bbox=W,S,E,N      only images within these degrees: west, south, east, north
  -a start=YYYY-MM-DD  only images from this day on (UTC)
  -a end=YYYY-MM-DD    only images until this day
  -a sequence=ID,ID    only images of these sequences
  -a check_ia=0        crawl whether archive.org has the collection or not
  -a update=1          bring a finished collection up to date
  -a accept_failed=1   finish without the images that fail, and name them
  -a stop_after=LIMIT  end after a time, 2h say, or bytes of images, 500MB say
  -a upload=1          send tars to archive.org as they are made, and the rest at the end
  -a remove=1          with upload=1, remove tars here that archive.org is verified to have
  -a cut=1             for archive and clusters: list, then cut what is large into slices
  -a slice=N           for archive and clusters: crawl one slice of a collection that is cut,
                       which cut=1 uploads where upload=1 is said

Exit codes
==========

  0  complete, or already archived
  1  unexpected error
  2  wrong argument or setting
  3  images failed
  4  interrupted
  5  the token was refused
  6  the disk is full
  7  the service stayed away, or blocked us
  8  no images
  9  another process works on the collection
  10  complete here, but not all of it is on archive.org

After 3, 4, 6, 7 and 10 the same command goes on.

Examples
========

  {program_name()} crawl user -a username=alice -a quality=2048
  {program_name()} crawl user -a username=alice -a start=2024-01-01 -a stop_after=2h
"""
    #: Whether it only plans, and so decides nothing for later crawls.
    plan: ClassVar[bool] = False
    #: Whether the spider is none of this project's.
    _is_another = False

    def spider_class(self) -> type[UserSpider]:
        """Return the spider that the command runs."""
        from mapillary_crawler.spiders.user import UserSpider

        return UserSpider

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_verbosity(parser)

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check everything, lock the collection and say where it will be."""
        from mapillary_crawler.crawl.on_end import read_on_end
        from mapillary_crawler.crawl.open_files import fit_open_files
        from mapillary_crawler.crawl.opening import open_for_crawl
        from mapillary_crawler.crawl.scheduled import withhold
        from mapillary_crawler.crawl.scrapy_settings import check_scrapy_settings
        from mapillary_crawler.crawl.stopping import Stopping, end_now
        from mapillary_crawler.terminal.log_formatter import quieten
        from mapillary_crawler.terminal.terminal_log import is_quiet, set_up

        settings = self.given_settings
        opts.set, withheld = withhold(
            opts.set, opts.spargs, settings, os.environ, spider=args[0] if args else _SPIDER
        )
        if args[:1] != [_SPIDER]:
            self._process_options_of_another(args, opts, withheld)
            return
        self._opts = argparse.Namespace(**{**vars(opts), "spargs": list(opts.spargs)})
        self._reason = ""
        self._stopping = Stopping(end_now)
        self._stopping.install()
        super().process_options(args, opts)
        with self.ending_with_a_line(args):
            set_up(settings, opts)
            quieten(settings["LOG_LEVEL"])
            _check_scheduled(withheld)
            _check_arguments(args)
            check_scrapy_settings(settings)
            read_on_end(settings)
            read_token(os.environ)
            configuration = self.configuration()
            arguments = validated(opts.spargs)
            if arguments.upload and arguments.slice_number is None and not self.plan:
                from mapillary_crawler.crawl.rolling_upload import check_upload

                check_upload(settings)
            configuration, fewer = fit_open_files(
                configuration, encodes=arguments.collection.webp or arguments.collection.jxl
            )
            _make_room(settings, configuration)
            _make_job_folder(settings)
            self._staging = open_for_crawl(arguments, configuration, plan=self.plan)
        files = " and ".join(map(str, in_force().paths))
        from_files = f", with settings from {files}" if files else ""
        if settings["LOG_FILE"] or not is_quiet(settings):
            self._say(f"{self.first_line(self._staging)}{from_files}")
            if self._staging.used_before:
                self._say(f"This store is new; used before: {self._staging.used_before}")
            if fewer:
                self._say(fewer)

    def check_settings(self) -> None:
        """Check first where warnings go to."""
        _check_log(self.given_settings)
        super().check_settings()

    def _process_options_of_another(
        self, args: list[str], opts: argparse.Namespace, withheld: list[str]
    ) -> None:
        """Leave all to Scrapy where the spider is another one of SPIDER_MODULES."""
        self._is_another = True
        super().process_options(args, opts)
        with self.ending_with_a_line(args):
            _check_scheduled(withheld)
            _check_arguments(args)
            spiders = _spiders(self.given_settings)
            if args[0] not in spiders:
                raise ArgumentRefused(
                    f"there is no spider {args[0]!r}; there are: {', '.join(sorted(spiders))}"
                )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Crawl; another spider than this project's as Scrapy does."""
        if self._is_another:
            crawl.Command.run(self, args, opts)
        else:
            super().run(args, opts)

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Crawl, then say the balance and set the exit code."""
        from mapillary_crawler.crawl import scrapy_insides
        from mapillary_crawler.crawl.run import run_of
        from mapillary_crawler.spiders.user import UserSpider

        process = self.crawler_process
        assert isinstance(process, AsyncCrawlerProcess)
        crawler = process.create_crawler(self.spider_class())

        loop = asyncio.get_event_loop()  # the reactor's, or the process's own

        def stop() -> None:
            with suppress(RuntimeError):  # it is closed: all is over
                loop.call_soon_threadsafe(pass_on)

        def pass_on() -> None:
            if not scrapy_insides.is_running(crawler):
                loop.call_later(_SOON, pass_on)
                return
            run_of(crawler).stop()
            self._ending = asyncio.ensure_future(scrapy_insides.stop(crawler))

        self._stopping.forward_to(stop)
        self._stopping.last_words = self._say_recorded
        process.crawl(crawler, opened=self._staging)
        _set_up_interpreter()
        process.start(install_signal_handlers=False)
        spider = crawler.spider
        outcome = spider.run.outcome if isinstance(spider, UserSpider) else None
        outcome = outcome or Outcome.ERROR
        self._staging.close()
        self._run_on_end(outcome)
        self._reason = spider.run.reason if isinstance(spider, UserSpider) else ""
        if self._staging.needed is not None:
            self._say(_room(self._staging, self._staging.needed))
        self.conclude(self._staging, spider, outcome)
        self.exitcode = outcome.exit_code

    def _run_on_end(self, outcome: Outcome) -> None:
        """Run the command of ON_END, if this is a crawl; the last line stays the outcome's."""
        from mapillary_crawler.crawl.on_end import OnEnd, is_to_be_told, read_on_end, variables

        command = read_on_end(self.given_settings)
        if command and is_to_be_told(self._staging, outcome):
            on_end = OnEnd(command, variables(self._staging, outcome))
            self._stopping.hand_over(on_end.end)
            on_end.run()

    def first_line(self, staging: OpenCollection) -> str:
        """Return what is said before anything happens."""
        username, place = staging.collection.username, staging.destination
        if staging.slice_number is not None:
            return f"Archiving slice {staging.slice_number} of {username} in {staging.folder}"
        line = f"Archiving {username} to {place}"
        if staging.updating:
            return f"Updating {username} in {place}"
        if staging.takes_back:
            line += "; there is no room for its slices, so this process goes on with all of it"
        if staging.arguments.update:
            line += "; nothing of it is there yet, so this is a first crawl"
        whole = staging.whole()
        if whole:
            line += f"; all that this user had at this quality is here already: {whole}"
        siblings = [name for name in staging.siblings() if not whole or name != whole.name]
        if siblings:
            line += f" (also here: {', '.join(siblings)})"
        return line

    def conclude(self, staging: OpenCollection, spider: Spider | None, outcome: Outcome) -> None:
        """Say what has become of the collection."""
        self._say(self._last_line(outcome, staging.balance), _level(outcome))

    def _last_line(self, outcome: Outcome, balance: Balance) -> str:
        from mapillary_crawler.terminal.last_line import last_line

        opened = self._staging
        return last_line(
            opened.title,
            outcome,
            balance,
            reason=self._reason,
            folder=opened.destination,
            command=self._again(outcome),
            adopt=f"{program_name()} adopt --item {opened.collection.identifier}",
            changes=opened.changes,
        )

    def _again(self, outcome: Outcome) -> str | None:
        """Return the command that goes on, or fetches what archive.org has; None for a job.

        None is to be typed for a slice that is one of several processes' work.
        """
        from mapillary_crawler.terminal.redaction import Redactor

        if self._staging.slice_number is not None and OF_SEVERAL in self._opts.set:
            return ""
        if any(argument.startswith("_job=") for argument in self._opts.spargs):
            return None
        check = outcome is not Outcome.ALREADY_ARCHIVED
        words = self.words(self._staging.collection.username, again(self._opts, check=check))
        redact = Redactor(secrets=secrets_of(os.environ), hosts=()).without_tokens
        return redact(f"{program_name()} {shlex.join(words)}")

    def words(self, username: str, options: list[str]) -> list[str]:
        """Return what is typed behind the program's name to do the same once more."""
        return ["crawl", "user", "-a", f"username={username}", *options]

    def _say_recorded(self) -> None:
        """Say what the ledger knows of a run that hangs, whatever it is that hangs.

        By a connection of its own, which the end of the process closes: the ledger's thread may
        never give it the turn. The finish may have moved the folder.
        """
        from mapillary_crawler.ledger.ledger import Ledger

        staging = self._staging
        for folder in (staging.folder, staging.destination):
            with suppress(OSError, sqlite3.Error):
                balance = Ledger(folder / LEDGER_PATH, read_only=True).images.balance()
                self._say(self._last_line(Outcome.INTERRUPTED, balance), logging.WARNING)
                return
        line = f"{staging.title}: {Outcome.INTERRUPTED.sentence}"
        self._say(f"{line}; {program_name()} status shows what is there", logging.WARNING)

    def say(self, message: object) -> None:
        """Say something of the command itself, where the crawl's own lines go."""
        self._say(f"{self.typed}: {message}")

    def end(self, outcome: Outcome, message: object) -> NoReturn:
        """End with one line that says why, which in a log is an error unless all is well."""
        self._say(f"{self.typed}: {message}", _level(outcome))
        sys.exit(self.exitcode or outcome.exit_code)

    def _say(self, line: str, level: int = logging.INFO) -> None:
        """Print a line on the terminal, or write it, whatever LOG_LEVEL, to the log's file."""
        if self.given_settings["LOG_FILE"]:
            if not logging.root.handlers:
                configure_logging(self.given_settings)
            record = logger.makeRecord(logger.name, level, __file__, 0, line, (), None)
            for handler in logging.root.handlers:
                handler.handle(record)
        else:
            print(line, file=sys.stderr, flush=True)


def again(opts: argparse.Namespace, *, check: bool) -> list[str]:
    """Return the options of the same crawl again, but for the user's name.

    Without `check`, archive.org is not asked whether it has the collection. What divides the crawl
    among processes is said only where a person has typed it.
    """
    left_out = {"username"} if check else {"username", "check_ia"}
    if OF_SEVERAL in opts.set:
        left_out |= OF_PROCESSES
    spargs = [each for each in opts.spargs if each.partition("=")[0] not in left_out]
    if not check:
        spargs.append("check_ia=0")
    return crawl_options(argparse.Namespace(**{**vars(opts), "spargs": spargs}))


def _level(outcome: Outcome) -> int:
    """Return the level of a last line in a log, that of a server's job among others."""
    if outcome.exit_code == 0:
        return logging.INFO
    expected = outcome in (Outcome.INTERRUPTED, Outcome.ACCEPTED)
    return logging.WARNING if expected else logging.ERROR


def _room(staging: OpenCollection, needed: int) -> str:
    """Return how much room a collection still needs where the disk is full."""
    place = staging.configuration.staging
    line = f"The whole, as far as it is listed, needs about {quantities.size(needed)} more"
    least = staging.configuration.min_free_bytes
    with suppress(OSError):
        free = max(0, shutil.disk_usage(_existing(place)).free - least)
        line += f"; {quantities.size(free)} are free at {place}"
        if least:
            line += f" besides MIN_FREE_BYTES {least}"
    return line


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def _check_log(settings: Settings) -> None:
    """Refuse a log that Scrapy could not write; it is put right, to say so."""
    level, log = settings["LOG_LEVEL"], settings["LOG_FILE"]
    if level not in logging.getLevelNamesMapping():
        settings.set("LOG_LEVEL", "INFO", priority="cmdline")
        raise ArgumentRefused(
            f"LOG_LEVEL {level!r} is unknown; allowed are CRITICAL, ERROR, WARNING, INFO, DEBUG"
        )
    if not log:
        return
    try:
        path = read_path("LOG_FILE", str(log))
        path.open("a").close()
    except OSError as error:
        settings.set("LOG_FILE", None, priority="cmdline")
        raise ArgumentRefused(f"LOG_FILE {log} cannot be written: {error.strerror}") from None
    except ArgumentRefused:
        settings.set("LOG_FILE", None, priority="cmdline")
        raise
    settings.set("LOG_FILE", str(path), priority="cmdline")


def _make_room(settings: Settings, configuration: Configuration) -> None:
    """Let as many connections to a host, and images on their way, as transfers are allowed."""
    from mapillary_crawler.pipelines.storage import BATCH_IMAGES

    most = max(configuration.concurrency_max, configuration.concurrency_fixed)
    for name, beside in (
        ("CONCURRENT_REQUESTS_PER_DOMAIN", 0),
        ("CONCURRENT_ITEMS", BATCH_IMAGES),
    ):
        if settings.getint(name) < most + beside:  # what the user has set stays
            settings.set(name, most + beside, priority="project")


def _make_job_folder(settings: Settings) -> None:
    if not settings["JOBDIR"]:
        return
    jobs = read_path("JOBDIR", str(settings["JOBDIR"]))
    settings.set("JOBDIR", str(jobs), priority="cmdline")
    try:
        jobs.mkdir(parents=True, exist_ok=True)
        for name in _JOB_STATE:
            (jobs / name).unlink(missing_ok=True)
    except OSError as error:
        raise ArgumentRefused(f"JOBDIR {jobs} cannot be used: {error.strerror}") from None


def _check_scheduled(withheld: list[str]) -> None:
    from mapillary_crawler.crawl.scheduled import SCHEDULABLE

    if withheld:
        meant = misspelt(withheld[:1], {})
        raise ArgumentRefused(
            f"{withheld[0]!r} is no setting that may be scheduled, or not with this value; allowed "
            f"are {', '.join(sorted(SCHEDULABLE))}, numbers of Scrapy's, LOG_LEVEL and JOBDIR"
            f"{'; ' if meant else ''}{''.join(meant)}"
        )


def _check_arguments(args: list[str]) -> None:
    if not args:
        raise ArgumentRefused(f"say which spider: {program_name()} crawl user -a username=NAME")
    if len(args) > 1:
        raise ArgumentRefused(f"{args[1]!r} is not understood; see {program_name()} crawl -h")


def _spiders(settings: Settings) -> list[str]:
    try:
        return get_spider_loader(settings).list()
    except ImportError as error:
        raise ArgumentRefused(f"SPIDER_MODULES cannot be loaded: {error}") from None


def _set_up_interpreter() -> None:
    """Let threads have their turn soon, and the collector of cycles its own rarely."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()  # what the imports have made stays
    gc.set_threshold(_NEW_OBJECTS)
