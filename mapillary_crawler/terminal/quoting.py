"""Pure: what others said, made fit for a log, a terminal and the ledger."""

from __future__ import annotations

import re

#: A token: as the service makes it, behind the header's OAuth (where "OAuth 2.0" and "OAuth access
#: token" are but words), or as a URL's parameter.
CREDENTIAL = (
    r"MLY(?:\||%7C)[^\s\"'<>]+"
    r"|(?<=OAuth )(?!2\.0\b)(?=\S*[\d|])[^\s\"'<>]+"
    r"|access_token=[^\s\"'<>]+"
)
#: Characters of what others call something: no identifier of this program has more.
_BRIEF = 100
#: Whatever an answer may echo of a token or of a signed URL.
_SECRET = re.compile(rf"{CREDENTIAL}|\?\S+=\S+", re.IGNORECASE)


def one_line(said: str, longest: int) -> str:
    """Return `said` on one line of at most `longest` characters, without secrets.

    Control characters and lone surrogates, which a terminal obeys and UTF-8 cannot hold,
    become U+FFFD.
    """
    line = _SECRET.sub("…", " ".join(said.split()))[:longest]
    return "".join(character if character.isprintable() else "\ufffd" for character in line)


def printable(text: str) -> str:
    """Return a name from a disk or a tar as a terminal may be given it."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def brief(text: str, longest: int = _BRIEF) -> str:
    """Return what others call something as `printable`, of at most so many of its characters."""
    return printable(text) if len(text) <= longest else f"{printable(text[: longest - 1])}…"
