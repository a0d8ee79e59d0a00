"""What the project's commands have in common: help, one line for every error, exit codes.

Scrapy imports every module of `commands/` whatever is asked for, `scrapy -h` included, and takes
every command that one defines for one of its own. So this base lies here; and a module there
imports at its top what its help and options need, and where it works what it works with.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sqlite3
import sys
import textwrap
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import ClassVar, NoReturn

from scrapy.commands import ScrapyCommand, ScrapyHelpFormatter
from scrapy.settings import Settings, default_settings

from mapillary_crawler.collection.arguments import read_quality
from mapillary_crawler.collection.configuration import Configuration, read_configuration
from mapillary_crawler.collection.configuration_file import IN_THE_ENVIRONMENT_ALONE
from mapillary_crawler.collection.misspelt import misspelt
from mapillary_crawler.collection.outcome import (
    ArgumentRefused,
    Outcome,
    ProjectError,
    is_disk_full,
    worst,
)
from mapillary_crawler.collection.places import Places
from mapillary_crawler.terminal.program import program_name
from mapillary_crawler.terminal.streams import secure_streams

#: A setting that nobody reads: what a command sets for its crawls stands behind it, and is not
#: what somebody is to type.
OF_SEVERAL = "ONE_OF_SEVERAL=1"


class KeepsLines(ScrapyHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of examples and lists in a help text, and fills its paragraphs."""

    def format_help(self) -> str:
        """Return the help, no line wider than the terminal."""
        from mapillary_crawler.terminal.folding import folded  # noqa: PLC0415  loads rich

        lines = super().format_help().split("\n")
        return "\n".join(folded(line, self._width + 2) for line in lines)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = text.strip("\n").split("\n\n")
        return "\n\n".join(map(partial(_filled, width=width), blocks)) + "\n"


def _filled(block: str, width: int) -> str:
    """Return the lines of a paragraph filled anew; others are kept."""
    lines = block.split("\n")
    if any(line.startswith((" ", "=")) for line in lines):
        return block
    return "\n".join(textwrap.wrap(block, width, break_long_words=False, break_on_hyphens=False))


class ProjectCommand(ScrapyCommand):
    """A command by a few texts and `main`; whatever goes wrong is one line and an exit code."""

    requires_crawler_process = False

    #: What stands behind the command's name in its usage.
    usage: ClassVar[str] = ""
    #: The line of `scrapy -h`, and the first paragraph of the command's own help.
    summary: ClassVar[str]
    about: ClassVar[str]
    #: Exit codes and examples, with their line breaks.
    epilog: ClassVar[str] = ""
    #: Whether there may be arguments besides options.
    takes_arguments: ClassVar[bool] = True
    #: Whether what it prints is what it is for: it ends where nobody reads that any more, as with
    #: `| head`. Another goes on with its work.
    prints: ClassVar[bool] = True
    #: What is said of a run that Ctrl-C, SIGTERM or SIGHUP has ended.
    interrupted: ClassVar[str] = "interrupted"

    @property
    def name(self) -> str:
        """The command's name, which Scrapy takes from the module."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def typed(self) -> str:
        """All of what is typed: `scrapy verify`, say."""
        return f"{program_name()} {self.name}"

    @property
    def given_settings(self) -> Settings:
        """The settings, which Scrapy gives a command before it asks anything of it."""
        assert isinstance(self.settings, Settings)
        return self.settings

    def syntax(self) -> str:
        """Return what stands behind the command's name."""
        return self.usage

    def short_desc(self) -> str:
        """Return the line of the list of commands."""
        return self.summary

    def long_desc(self) -> str:
        """Return what the command does."""
        return self.about

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Let what the parser finds wrong end with one line, and add the end of the help."""
        secure_streams(needs_output=self.prints)  # the first that Scrapy calls, and before it logs
        super().add_options(parser)
        parser.error = partial(self.end, Outcome.REFUSED)  # type: ignore[method-assign]
        parser.formatter_class = KeepsLines
        if self.epilog:
            parser.epilog = self.epilog
        fold_streams()

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Set the settings that the options give; warn of those that are nearly ours."""
        if getattr(opts, "json", False):  # what a program reads is not folded
            sys.stdout = getattr(sys.stdout, "stream", sys.stdout)
        with self.ending_with_a_line(args):
            super().process_options(args, opts)
            self.check_settings()

    def check_settings(self) -> None:
        """Warn of settings that nobody reads and that are one letter from one of ours.

        Raises `ArgumentRefused` for those that are read from the environment alone.
        """
        for name in sorted(IN_THE_ENVIRONMENT_ALONE & set(self.given_settings)):
            raise ArgumentRefused(f"-s {name} is not read: set {name} in the environment")
        for line in misspelt(set(self.given_settings) - set(dir(default_settings)), os.environ):
            self.say(line)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check the arguments, and work."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores the latter
                signal.signal(number, _interrupt)
        with self.ending_with_a_line(args):
            self.main(self.arguments(args), opts)
            sys.stdout.flush()

    @abstractmethod
    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Do what the command is for, and set `exitcode` where that is not 0.

        May raise `ProjectError`, `OSError`, `sqlite3.Error` and KeyboardInterrupt.
        """

    @contextmanager
    def ending_with_a_line(self, args: Sequence[str]) -> Iterator[None]:
        """End with one line and an exit code where an error comes out of the context.

        The code is that of the error's class (collection/outcome.py).
        """
        try:
            yield
        except ProjectError as error:
            self.end(error.outcome, error)
        except KeyboardInterrupt:
            self.end(Outcome.INTERRUPTED, self.interrupted)
        except BrokenPipeError:
            _end_with_reader()
        except (OSError, sqlite3.Error) as error:
            outcome = Outcome.DISK_FULL if is_disk_full(error) else Outcome.ERROR
            self.end(outcome, _cause(error, args))

    def arguments(self, args: Sequence[str]) -> list[str]:
        """Return what is no option: all of it behind `--`, whatever it begins with."""
        known = args.index("--") if "--" in args else len(args)
        self.refuse_unknown(args[:known])
        if args[known + 1 :] and not self.takes_arguments:
            raise ArgumentRefused(f"unexpected argument {args[known + 1]}; see {self.typed} -h")
        return [*args[:known], *args[known + 1 :]]

    def refuse_unknown(self, args: Sequence[str]) -> None:
        """Refuse options that the parser did not know, and arguments where there are none."""
        if args and not self.takes_arguments:
            raise ArgumentRefused(f"unexpected argument {args[0]}; see {self.typed} -h")
        for argument in args:
            if argument.startswith("-") and argument != "-":
                raise ArgumentRefused(f"unknown option {argument}; see {self.typed} -h")

    def end(self, outcome: Outcome, message: object) -> NoReturn:
        """End with one line that says why; the exit code is the worst of all that went wrong."""
        self.say(message)
        sys.exit(worst((self.exitcode, outcome.exit_code)))

    def say(self, message: object) -> None:
        """Say something of the command itself, on standard error."""
        sys.stderr.write(f"{self.typed}: {message}\n")
        sys.stderr.flush()

    def configuration(self) -> Configuration:
        """Return the checked settings; raises `ArgumentRefused`."""
        return read_configuration(self.given_settings, os.environ)

    def places(self) -> Places:
        """Return where collections are; raises `ArgumentRefused`."""
        configuration = self.configuration()
        return Places(configuration.store, configuration.staging)


def fold_streams() -> None:
    """Let lines be folded at terminals."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream.isatty() and isinstance(stream, io.TextIOWrapper):
            from mapillary_crawler.terminal.folding import Folding  # noqa: PLC0415  loads rich

            setattr(sys, name, Folding(stream))


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Add -v and -q to a command that crawls."""
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("-v", "--verbose", action="store_true", help="at a terminal, the log, too")
    amount.add_argument("-q", "--quiet", action="store_true", help="say nothing but the last line")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_with_reader() -> NoReturn:
    """End without a word where the reader of the output has left early, as `head` does."""
    sys.exit(128 + signal.SIGPIPE)


def _cause(error: OSError | sqlite3.Error, args: Sequence[str]) -> str:
    """Return what an error is about, or else what was asked for, and why it came."""
    about, why = None, str(error)
    if isinstance(error, OSError) and error.strerror:
        about, why = error.filename, error.strerror
    return f"{about or ' '.join(args)}: {why}".removeprefix(": ")


def add_quality(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says which of a user's collections is meant."""
    parser.add_argument(
        "-a", dest="spargs", action="append", default=[], metavar="quality=QUALITY",
        help="which of a user's collections is meant, where there are several",
    )  # fmt: skip


def quality_of(opts: argparse.Namespace) -> str | None:
    """Return which of a user's collections is meant, None where nothing says it."""
    quality = None
    for argument in opts.spargs:
        name, _, value = argument.partition("=")
        if name != "quality":
            raise ArgumentRefused(f"-a {argument} has no place here; allowed is -a quality=QUALITY")
        quality = read_quality(value)
    return quality


def crawl_options(opts: argparse.Namespace) -> list[str]:
    """Return arguments, settings and options of what is said as another crawl is to have them."""
    typed = opts.set[: opts.set.index(OF_SEVERAL)] if OF_SEVERAL in opts.set else opts.set
    options = [part for argument in opts.spargs for part in ("-a", argument)]
    options += [part for setting in typed for part in ("-s", setting)]
    if opts.loglevel:
        options.append(f"--loglevel={opts.loglevel}")
    if opts.logfile:
        options.append(f"--logfile={opts.logfile}")
    flags = ("nolog", "verbose", "quiet")
    return [*options, *(f"--{flag}" for flag in flags if getattr(opts, flag))]
