"""MAPILLARY_QUEUE, the address of the queue's PostgreSQL server.

It holds a password: of the environment alone, and never shown, wherever libpq's own words might
have it. So only an address whose parts cannot be mistaken for one another is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from mapillary_crawler.collection.addresses import is_loopback, is_public
from mapillary_crawler.collection.outcome import ArgumentRefused

NAME = "MAPILLARY_QUEUE"
_FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[\w.%-]*)(?::\d+)?"
#: What libpq would read as something else (a password with `@` or `/` as a host) is none of these.
_ADDRESS = re.compile(
    rf"postgres(?:ql)?://(?:[^@/:?#\s]*(?::[^@/:?#\s]*)?@)?{_HOST}(?:,{_HOST})*(?:/[^@/?#\s]*)?"
    r"(?:\?[a-z_]+=[^@&#\s]*(?:&[a-z_]+=[^@&#\s]*)*)?"
)
#: PostgreSQL: the modes of `sslmode` in which nothing is sent in clear.
_ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})


@dataclass(frozen=True)
class Dsn:
    """Where the queue is; shown as `where`, which lacks the password."""

    conninfo: str = field(repr=False)
    #: What is connected to: where addresses are given beside names, those.
    hosts: tuple[str, ...]
    ports: tuple[str, ...]
    database: str
    user: str
    sslmode: str
    password: str = field(repr=False)

    @property
    def where(self) -> str:
        """Server, database and user, for people."""
        named = [f"host {', '.join(self.hosts) or '(local socket)'}"]
        of_rest = {"port": ", ".join(self.ports), "database": self.database, "user": self.user}
        return ", ".join([*named, *(f"{name} {value}" for name, value in of_rest.items() if value)])

    def clean(self, said: str) -> str:
        """Return what the library said as one line; nothing of it where the password is in it."""
        if self.password and self.password in said:
            return (
                f"(its words are not shown, since the password is in them; look at what {NAME} has "
                "behind its ?)"
            )
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return lines[0].rpartition(" failed: ")[2] if lines else ""


def read_dsn(environment: Mapping[str, str]) -> Dsn:
    """Return the queue of the environment; raises `ArgumentRefused`, which never shows it."""
    conninfo = environment.get(NAME, "").strip()
    if not conninfo:
        raise ArgumentRefused(f"{NAME} is not set; export it as {_FORM}")
    if "\0" in conninfo or not _ADDRESS.fullmatch(conninfo):  # the library would stop there
        raise ArgumentRefused(
            f"{NAME} is no address of a PostgreSQL server; write {_FORM}, in which @, :, /, ?, # "
            "and % of a user or password are %40, %3A, %2F, %3F, %23 and %25 (it is not shown, "
            "since it may hold a password)"
        )
    try:
        found = conninfo_to_dict(conninfo)
    except (ProgrammingError, UnicodeDecodeError):  # the message may have the password
        raise ArgumentRefused(
            f"{NAME} is not understood by PostgreSQL's library; write {_FORM} (it is not shown, "
            "since it may hold a password)"
        ) from None
    given = {name: str(value) for name, value in found.items() if value is not None}
    of_server = {name: given.get(name) or environment.get(variable, "") for name, variable in {
        "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE",
        "user": "PGUSER",
        "sslmode": "PGSSLMODE", "password": "PGPASSWORD",
    }.items()}  # fmt: skip
    return Dsn(
        conninfo,
        hosts=tuple(filter(None, (of_server["hostaddr"] or of_server["host"]).split(","))),
        ports=tuple(dict.fromkeys(filter(None, of_server["port"].split(",")))),
        database=of_server["dbname"],
        user=of_server["user"],
        sslmode=of_server["sslmode"] or "prefer",
        password=of_server["password"],
    )


def warning(dsn: Dsn, addresses_of: Callable[[str], Sequence[str]]) -> str | None:
    """Return a line where the queue is asked over the internet without TLS; None where not.

    `addresses_of` gives a name's IP addresses, none where it is not known.
    """
    if dsn.sslmode in _ENCRYPTED:
        return None
    for host in dsn.hosts:
        if host.startswith("/") or is_loopback(host):
            continue
        if any(map(is_public, addresses_of(host))):
            return (
                f"{NAME} has no TLS (sslmode={dsn.sslmode}), and {host} is neither this machine "
                "nor of a private network: whoever is between reads the password; add "
                "?sslmode=verify-full, or use a VPN"
            )
    return None
