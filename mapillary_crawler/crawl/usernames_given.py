"""Which users a command is for: those of its command line, and of a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mapillary_crawler.collection.outcome import ArgumentRefused

_COMMENT = re.compile(r"(?:^|\s)#.*")


def read_names(lines: Iterable[str]) -> list[str]:
    """Return the user names of a file, one a line, each once.

    What follows a `#` at the start of a line or behind a space is a comment.
    """
    names = (_COMMENT.sub("", line.rstrip("\r\n")).strip() for line in lines)
    return list(dict.fromkeys(name for name in names if name))


def all_names(given: Sequence[str], file: str | None) -> list[str]:
    """Return the user names of a command line, those given first, then those of a file.

    `-` is standard input. Raises `ArgumentRefused`.
    """
    if file is None:
        return list(dict.fromkeys(given))
    try:
        lines = sys.stdin if file == "-" else Path(file).read_text(encoding="utf-8").splitlines()
        return list(dict.fromkeys([*given, *read_names(lines)]))
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentRefused(f"{file} cannot be read: {error}") from None
