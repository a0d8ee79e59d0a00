"""The configuration file: settings and defaults of arguments, below the environment.

`mapillary-crawler.toml` may lie in the working folder and in the user's configuration folder; what
the former says wins. Whoever unpacks or clones something works in a folder that others filled, so a
file there names neither a program nor a place of trust, and accepts no loss. No file has a token.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from platformdirs import user_config_path

from mapillary_crawler.collection.arguments import (
    ARGUMENTS,
    OF_PROCESSES,
    Arguments,
    validate,
)
from mapillary_crawler.collection.limits import MIB
from mapillary_crawler.collection.nearest import nearest
from mapillary_crawler.collection.outcome import ArgumentRefused

NAME = "mapillary-crawler.toml"

#: Programs that are run, and where the token and the keys are sent: not from the working folder.
OF_TRUST = frozenset({"MAPILLARY_API_URL", "ARCHIVE_ORG_URL", "ARCHIVE_ORG_S3_URL", "ON_END"})
#: All settings that a file may have.
SETTINGS = OF_TRUST | {
    "MAPILLARY_STORE", "MAPILLARY_STAGING", "NEW_STORE",
    "MAPILLARY_CONCURRENCY_START", "MAPILLARY_CONCURRENCY_MIN", "MAPILLARY_CONCURRENCY_MAX",
    "MAPILLARY_CONCURRENCY_FIXED", "API_PATIENCE", "SEARCHES_PER_MINUTE",
    "ENTITIES_PER_MINUTE", "IMAGE_ATTEMPTS", "JPEG_WALK",
    "PROCESSORS", "IN_FLIGHT_BYTES", "MIN_FREE_BYTES", "MAX_BYTES_PER_SECOND", "TAR_MAX_BYTES",
    "STAGING_MAX_BYTES", "SLICE_IMAGES", "QUEUE_LEASE",
    "WEBP_QUALITY", "WEBP_METHOD", "WEBP_ENCODER", "JXL_ENCODER", "JXL_EFFORT",
    "IA_ITEM_MAX_BYTES", "IA_ITEM_MAX_FILES", "IA_COLLECTION", "IA_RETRY_WAIT", "IA_PATIENCE",
    "IA_TIMEOUT",
}  # fmt: skip
#: Neither of a file nor of `-s`: what they say must hold whoever types a command.
IN_THE_ENVIRONMENT_ALONE = frozenset(
    {"MAPILLARY_QUEUE", "MAPILLARY_SHARED", "MAPILLARY_STORE_ROOT", "MAPILLARY_TRUSTED_API_HOST"}
)
_SECRETS = frozenset({"MAPILLARY_TOKEN", "TOKEN", "IA_ACCESS_KEY_ID", "IA_SECRET_ACCESS_KEY"})
_SECRET = re.compile(r"MLY\|", re.IGNORECASE)
#: Arguments by which something is lost, sent or changed: not from the working folder either.
_OF_CONSEQUENCE = frozenset({"upload", "remove", "accept_failed", "update"})
#: Arguments that may be lists.
_LISTS = frozenset({"bbox", "sequence"})
#: TOML: integers have 64 bits; Python's parser takes longer ones.
_MOST = 2**63
_FOLDERS = frozenset({"MAPILLARY_STORE", "MAPILLARY_STAGING"})
_TABLES = ("settings", "arguments")


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """What a file says, or several of which the later ones win; values as they could be typed."""

    settings: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    #: The files that said something.
    paths: tuple[Path, ...] = ()
    #: Which file each setting is from.
    origins: Mapping[str, Path] = field(default_factory=dict)

    def below(self, other: ConfigurationFile) -> ConfigurationFile:
        """Return both, where `other` wins."""
        return ConfigurationFile(
            {**self.settings, **other.settings},
            {**self.arguments, **other.arguments},
            self.paths + other.paths,
            {**self.origins, **other.origins},
        )


def user_file() -> Path:
    """Return where the user's own file would be (on Linux: in XDG_CONFIG_HOME)."""
    return user_config_path("mapillary-crawler", appauthor=False) / NAME


@cache
def in_force() -> ConfigurationFile:
    """Return what the files of this process say; raises `ArgumentRefused`.

    They are read once, so that a change of the working folder changes nothing.
    """
    own, here = user_file(), Path.cwd() / NAME
    content = _read(own)
    found = ConfigurationFile() if content is None else parse(content, own, trusted=True)
    content = _read(here)
    if content is None or (found.paths and own.samefile(here)):
        return found
    return found.below(parse(content, here, trusted=False))


def files_or_end() -> ConfigurationFile:
    """Return what the files say, or end the process with one line: for Scrapy's settings.

    Scrapy reads these before any command, and shows a traceback of whatever they raise.
    """
    try:
        return in_force()
    except ArgumentRefused as refused:
        sys.stderr.write(f"{refused}\n")
        raise SystemExit(refused.outcome.exit_code) from None


def validated(given: Mapping[str, str]) -> Arguments:
    """Return the arguments of a crawl with the defaults of the files; raises `ArgumentRefused`.

    Where `upload=0` is given, a default of `remove` has nothing to be about.
    """
    meant = with_defaults(given)
    return replace(validate(meant), from_file=frozenset(meant.keys() - given.keys()))


def with_defaults(given: Mapping[str, str]) -> dict[str, str]:
    """Return what is given of a crawl's arguments, and of the rest what the files have."""
    defaults = {**in_force().arguments}
    if given.get("upload") == "0":
        defaults.pop("remove", None)
    return {**defaults, **given}


def refuse_stop_after(given: Mapping[str, str]) -> None:
    """Refuse a crawl that ends after a while, for a queue: be it given, or a default of a file."""
    why = "does not go with --queue, where what has stopped is taken again at once"
    if "stop_after" in given:
        raise ArgumentRefused(f"-a stop_after= {why}")
    if "stop_after" in in_force().arguments:
        files = " or ".join(map(str, in_force().paths))
        raise ArgumentRefused(f"stop_after, as {files} has it, {why}; take it out there")


def origin_of(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Say where a setting has its value from, unless the command line has one.

    `environment`, the path of a file, or `default`.
    """
    if environment.get(name):
        return "environment"
    return str(in_force().origins.get(name, "default"))


def _read(path: Path) -> bytes | None:
    """Return the bytes of a file, None where there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ArgumentRefused(f"{path} is no file; move it away")
        with path.open("rb") as file:
            content = file.read(MIB + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArgumentRefused(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MIB:
        raise ArgumentRefused(f"{path} has more than {MIB:,} bytes; it is no such file")
    return content


def parse(content: bytes, path: Path, *, trusted: bool) -> ConfigurationFile:
    """Return what a file says; raises `ArgumentRefused` with one line that names the file.

    `trusted` is the user's own, which may name programs and places of trust.
    """
    import tomllib  # noqa: PLC0415  only where there is a file

    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ArgumentRefused(f"{path}: not UTF-8 (at line {line})") from None
    except RecursionError:
        raise ArgumentRefused(f"{path}: nested too deep") from None
    except ValueError as error:
        last = f"at line {len(content.splitlines())}, the last"
        said = _printable(error).replace("at end of document", last)
        raise ArgumentRefused(f"{path}: {said}") from None
    for name, value in document.items():
        if name not in _TABLES:
            _refuse_stray(path, name)
        if not isinstance(value, dict):
            raise ArgumentRefused(f"{path}: {name} is no table; write [{name}]")
    settings = _settings(path, document.get("settings", {}), trusted=trusted)
    arguments = _arguments(path, document.get("arguments", {}), trusted=trusted)
    origins = dict.fromkeys(settings, path)
    return ConfigurationFile(settings, arguments, (path,) if settings or arguments else (), origins)


def _settings(path: Path, table: Mapping[str, Any], *, trusted: bool) -> dict[str, str]:
    settings = {}
    for name, value in table.items():
        _refuse_secret(path, name)
        if name in IN_THE_ENVIRONMENT_ALONE:
            raise ArgumentRefused(f"{path}: {name} may stand in the environment alone")
        if name not in SETTINGS:
            raise ArgumentRefused(f"{path}: unknown setting {name!r}{nearest(name, SETTINGS)}")
        if name in OF_TRUST and not trusted:
            _refuse_here(path, name)
        if text := _text(path, name, value):
            settings[name] = str(Path(text).expanduser()) if name in _FOLDERS else text
    return settings


def _arguments(path: Path, table: Mapping[str, Any], *, trusted: bool) -> dict[str, str]:
    arguments = {}
    for name, value in table.items():
        _refuse_secret(path, name)
        if name in _OF_CONSEQUENCE and not trusted:
            _refuse_here(path, name)
        if name == "username":
            raise ArgumentRefused(f"{path}: username has no default; name the user when crawling")
        if name in OF_PROCESSES:
            raise ArgumentRefused(f"{path}: {name} has no default; say it when crawling")
        if name not in ARGUMENTS:
            raise ArgumentRefused(f"{path}: unknown argument {name!r}{nearest(name, ARGUMENTS)}")
        if name in _LISTS and isinstance(value, list):
            arguments[name] = ",".join(_text(path, name, each) for each in value)
        else:
            arguments[name] = _text(path, name, value)
    try:
        validate({"username": "somebody", **arguments})
    except ArgumentRefused as refused:
        raise ArgumentRefused(f"{path}: {refused}") from None
    return arguments


def _text(path: Path, name: str, value: Any) -> str:
    """Return a value of TOML as it would be typed; switches are 1 and 0."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int) and abs(value) > _MOST:
        raise ArgumentRefused(f"{path}: {name} is out of range")
    if isinstance(value, str | int | float) or type(value) is date:
        text = str(value)
        if _SECRET.search(text):
            raise ArgumentRefused(
                f"{path}: {name} holds a token; no file may, and nothing needs it"
            )
        return text
    raise ArgumentRefused(f"{path}: {name} is neither text nor a number")


def _refuse_secret(path: Path, name: str) -> None:
    if name.upper() in _SECRETS:
        raise ArgumentRefused(
            f"{path}: {name} is never read from this file; set it in the environment, and take it "
            "out of here"
        )


def _refuse_here(path: Path, name: str) -> NoReturn:
    raise ArgumentRefused(
        f"{path}: {name} may not stand in a file of the working folder; it may on the command "
        f"line{', in the environment' if name in OF_TRUST else ''} or in {user_file()}"
    )


def _refuse_stray(path: Path, name: str) -> NoReturn:
    _refuse_secret(path, name)
    for table, known in (("settings", SETTINGS), ("arguments", ARGUMENTS)):
        if name in known:
            raise ArgumentRefused(f"{path}: {name} stands in no table; put it below [{table}]")
    raise ArgumentRefused(f"{path}: unknown table {name!r}; known are [settings], [arguments]")


def _printable(error: ValueError) -> str:
    return "".join(each if each.isprintable() else "\ufffd" for each in str(error))
