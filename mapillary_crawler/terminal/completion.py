"""What could come next on the command line, for the shell's Tab.

The shell asks through argcomplete, which wants a parser of all commands; Scrapy makes one of the
command that is run, when it is run. argcomplete is an extra of the distribution, [completion]: who
imports this module does without where it is not installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from argcomplete import autocomplete
from argcomplete.completers import ChoicesCompleter, DirectoriesCompleter
from argcomplete.shell_integration import shellcode
from scrapy.commands import ScrapyCommand
from scrapy.settings import Settings
from scrapy.utils.conf import arglist_to_dict
from scrapy.utils.project import get_project_settings

from mapillary_crawler import settings as defaults
from mapillary_crawler.collection.arguments import ARGUMENTS
from mapillary_crawler.collection.configuration import read_configuration
from mapillary_crawler.collection.outcome import ProjectError
from mapillary_crawler.collection.places import Places
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.command_line import Parser, commands

_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


def complete() -> None:
    """Answer the shell, and end the process."""
    autocomplete(_parser_of_all(get_project_settings()), always_complete_options=False)


def shell_code(command: str, shell: str) -> str:
    """Return what makes a shell (bash, zsh, fish) ask `command` at Tab."""
    return str(shellcode([command], shell=shell))


def suggested_arguments() -> list[str]:
    """Return what could stand behind -a."""
    return [f"{name}={value}" for name, values in ARGUMENTS.items() for value in values or ("",)]


def suggested_settings() -> list[str]:
    """Return what could stand behind -s, to which a value is added."""
    return [f"{name}=" for name in vars(defaults) if name.isupper()]


def suggested_collections(settings: Settings, given: Iterable[str]) -> list[str]:
    """Return the names of the collections where the settings, and those `given`, say they are."""
    try:
        changed = settings.copy()
        changed.setdict(arglist_to_dict(list(given)), priority="cmdline")
        configuration = read_configuration(changed, {})
        places = Places(configuration.store, configuration.staging)
        return [folder.name for folder in places.all()]
    except (ProjectError, OSError, ValueError):  # the command itself says what is wrong
        return []


def _parser_of_all(settings: Settings) -> argparse.ArgumentParser:
    parser = Parser()
    parsers = parser.add_subparsers()
    for name, command in commands(settings).items():
        command.settings = settings
        one = parsers.add_parser(name, help=command.short_desc(), conflict_handler="resolve")
        command.add_options(one)
        one.add_argument("words", nargs="*")
        for action in one._actions:
            _suggest(action, command, settings)
    return parser


def _suggest(action: argparse.Action, command: ScrapyCommand, settings: Settings) -> None:
    """Let an option or the arguments of a command suggest values; others suggest files."""
    folders = DirectoriesCompleter()

    def collections(prefix: str, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
        yield from suggested_collections(settings, getattr(parsed_args, "set", None) or ())
        yield from folders(prefix=prefix)

    values: Sequence[str] | None = None
    if "-a" in action.option_strings:
        values = suggested_arguments()
    elif "-s" in action.option_strings:
        values = suggested_settings()
    elif "-L" in action.option_strings:
        values = _LEVELS
    elif action.dest == "words" and isinstance(command, ProjectCommand):
        usage = command.syntax()
        if "COLLECTION" in usage:
            action.completer = collections  # type: ignore[attr-defined]
        elif "FOLDER" in usage:
            action.completer = folders  # type: ignore[attr-defined]
        else:
            values = ["user"] if usage.startswith("user ") else []
    if values is not None:
        action.completer = ChoicesCompleter(dict.fromkeys(values, ""))  # type: ignore[attr-defined]
