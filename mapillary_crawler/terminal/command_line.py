"""Scrapy's command line with the program's own name in what it says.

Scrapy 2.19 spells its own in its usage lines and its list of commands, and takes no other; hence
the three names of `scrapy.cmdline` that are replaced, and tests/crawl/test_scrapy_insides.py.
"""

from __future__ import annotations

import sys
from typing import Any, TextIO

import scrapy
from scrapy import cmdline
from scrapy.commands import ScrapyCommand
from scrapy.settings import BaseSettings

from mapillary_crawler.collection.nearest import nearest
from mapillary_crawler.terminal.command import fold_streams
from mapillary_crawler.terminal.program import program_name


class Parser(cmdline.ScrapyArgumentParser):
    """A command's parser, whose usage begins with what was typed."""

    def __init__(self, *, usage: str | None = None, **options: Any) -> None:
        name = program_name()
        if usage is not None:
            usage = f"{name} {usage.removeprefix('scrapy ')}"
        super().__init__(**{"prog": name, **options}, usage=usage)


def run() -> None:
    """Run the command that the command line names; ends the process."""
    cmdline.ScrapyArgumentParser = Parser  # type: ignore[assignment, misc]
    cmdline._print_commands = _print_commands
    cmdline._print_unknown_command = _print_unknown_command
    cmdline.execute()


def commands(settings: BaseSettings) -> dict[str, ScrapyCommand]:
    """Return Scrapy's commands and the project's, by name, in order."""
    return dict(sorted(cmdline._get_commands_dict(settings, inproject=True).items()))


def _print_commands(settings: BaseSettings, inproject: bool) -> None:
    name = program_name()
    listed = [f"  {each:<13} {one.short_desc()}" for each, one in commands(settings).items()]
    fold_streams()
    _write(
        sys.stdout,
        f"Scrapy {scrapy.__version__} - active project: {settings['BOT_NAME']}",
        "",
        "Usage:",
        f"  {name} <command> [options] [args]",
        "",
        "Available commands:",
        *listed,
        "",
        f'Use "{name} <command> -h" to see more info about a command',
    )


def _print_unknown_command(settings: BaseSettings, cmdname: str, inproject: bool) -> None:
    name = program_name()
    fold_streams()
    meant = nearest(cmdname, commands(settings)) or ";"
    _write(sys.stderr, f"{name}: there is no command {cmdname!r}{meant} see {name} -h")


def _write(stream: TextIO, *lines: str) -> None:
    stream.writelines(f"{line}\n" for line in lines)
