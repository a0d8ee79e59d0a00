"""What the project's commands have in common: their help, their errors, their tables."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from scrapy.commands import ScrapyHelpFormatter

from mapillary_crawler.collection.configuration import read_configuration
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.collection.places import Places


class KeepsLines(ScrapyHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of examples and lists in a help text."""


def say(command: str, message: object) -> None:
    """Write a line about a command to standard error."""
    sys.stderr.write(f"scrapy {command}: {message}\n")
    sys.stderr.flush()


def end(command: str, outcome: Outcome, message: object) -> NoReturn:
    """End with one line that says why."""
    say(command, message)
    sys.exit(outcome.exit_code)


def refuse(command: str, message: object) -> NoReturn:
    """End with one line for a user's mistake."""
    end(command, Outcome.REFUSED, message)


def refuse_errors(parser: argparse.ArgumentParser, command: str) -> None:
    """Let what a command's parser finds wrong end with one line, without the usage."""
    parser.error = partial(refuse, command)  # type: ignore[method-assign]


@contextmanager
def ends_with_reader() -> Iterator[None]:
    """End without a word where the reader of the output leaves early, as `head` does.

    For commands that have nothing left to do but to print; also a decorator of such a function.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        with Path(os.devnull).open("w") as nowhere:  # Python flushes once more when it ends
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def refuse_options(command: str, args: Sequence[str]) -> None:
    """End where an argument is an option that the command does not know."""
    for argument in args:
        if argument.startswith("-") and argument != "-":
            refuse(command, f"unknown option {argument}; see scrapy {command} -h")


def refuse_arguments(command: str, args: Sequence[str]) -> None:
    """End where there is an argument or an unknown option, for commands that have none."""
    if args:
        refuse(command, f"unexpected argument {args[0]}; see scrapy {command} -h")


def read_places(settings: Mapping[str, Any], environment: Mapping[str, str]) -> Places:
    """Return where collections are; raises `ArgumentRefused`."""
    configuration = read_configuration(settings, environment)
    return Places(configuration.store, configuration.staging)


def crawl_options(opts: argparse.Namespace) -> list[str]:
    """Return arguments, settings and options of the log as another crawl is to have them."""
    options = [part for argument in opts.spargs for part in ("-a", argument)]
    options += [part for setting in opts.set for part in ("-s", setting)]
    if opts.loglevel:
        options.append(f"--loglevel={opts.loglevel}")
    if opts.logfile:
        options.append(f"--logfile={opts.logfile}")
    return [*options, "--nolog"] if opts.nolog else options
