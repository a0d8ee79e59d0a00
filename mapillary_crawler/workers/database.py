"""Connections to the queue's PostgreSQL server; what goes wrong with one is a line."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import psycopg.types.json

from mapillary_crawler.collection.outcome import Outcome, ProjectError
from mapillary_crawler.workers.dsn import NAME, Dsn, warning

#: All of the queue's tables lie in this schema of the database, procrastinate's among them.
SCHEMA = "mapillary_crawler"
#: Seconds until a connection is given up.
_CONNECT = 10
#: The server lets go of a machine that has vanished, and of its locks, after 25 seconds.
_OPTIONS = (
    f"-c search_path={SCHEMA} -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
    "-c tcp_keepalives_count=3"
)


class QueueRefused(ProjectError):
    """The queue cannot be used as it is; the message says why, and never shows the address."""

    outcome = Outcome.REFUSED


class QueueAway(ProjectError):
    """The queue went away while it was worked with."""

    outcome = Outcome.SERVICE_AWAY


def read_json(text: str | bytes) -> Any:
    """Return what a column of JSON holds; {} for what PostgreSQL takes and Python does not.

    Numbers of thousands of digits, say: who writes one would else silence all who read it.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}


psycopg.types.json.set_json_loads(read_json)


def parameters(dsn: Dsn) -> dict[str, Any]:
    """Return how each connection is made, besides the address."""
    given = psycopg.conninfo.conninfo_to_dict(dsn.conninfo).get("options") or ""
    return {
        "options": f"{given} {_OPTIONS}".strip(),
        "connect_timeout": _CONNECT,
        "application_name": "mapillary_crawler",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }


@contextmanager
def connected(dsn: Dsn) -> Iterator[psycopg.Connection]:
    """Give a connection whose statements are each a transaction; raises `QueueRefused`."""
    with in_a_line(dsn), psycopg.connect(dsn.conninfo, autocommit=True, **parameters(dsn)) as made:
        yield made


@contextmanager
def in_a_line(dsn: Dsn) -> Iterator[None]:
    """Raise `QueueRefused` for the library's errors: its words may have what is secret."""
    try:
        yield
    except psycopg.Error as error:
        raise QueueRefused(f"the queue of {NAME} ({dsn.where}): {said(dsn, error)}") from None


def said(dsn: Dsn, error: BaseException) -> str:
    """Return in one line why something with the queue went wrong, without what is secret."""
    of_server = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return dsn.clean(of_server or str(error)) or "cannot be reached"


def warn_without_tls(dsn: Dsn, say: Callable[[str], None]) -> None:
    """Say where the queue is asked over the internet without TLS."""
    if words := warning(dsn, _addresses_of):
        say(f"warning: {words}")


def _addresses_of(host: str) -> list[str]:
    """Return the IP addresses of a host, none where it is not known."""
    with suppress(OSError, UnicodeError):
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
    return []
