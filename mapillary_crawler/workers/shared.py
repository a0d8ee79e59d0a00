"""MAPILLARY_SHARED: the store of all machines, on a file system that all of them see.

Collections come into it as into any store on another disk, when they are finished: copied under a
hidden name, verified, renamed. What is worked on is on a machine's own disk, since SQLite's WAL is
not for a network file system; what any machine may take lies here as packages (shared_work.py). A
file in the folder, and a row of the queue, have the same token, so that no machine takes another
folder for it: one that is not mounted, say.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg

from mapillary_crawler.collection.configuration import read_path
from mapillary_crawler.collection.outcome import ArgumentRefused

NAME = "MAPILLARY_SHARED"
#: The file that has the token; hidden, so that nobody takes it for part of a collection.
_FILE = ".mapillary-queue"
_MOST_BYTES = 64
_MARK = re.compile(r"[0-9a-f]{32}")


def read_shared(environment: Mapping[str, str], staging: Path) -> Path | None:
    """Return the folder of the environment, None where there is none; raises `ArgumentRefused`."""
    value = environment.get(NAME, "")
    if not value:
        return None
    folder = read_path(NAME, value)
    if not folder.is_dir():
        raise ArgumentRefused(f"{NAME} {folder} is no folder; is it mounted?")
    if staging.resolve().is_relative_to(folder.resolve()):
        raise ArgumentRefused(
            f"MAPILLARY_STAGING {staging} lies in {NAME}: what is worked on must be on this "
            "machine's own disk"
        )
    return folder


def ensure_same(connection: psycopg.Connection, folder: Path) -> None:
    """Raise `ArgumentRefused` unless the folder is the one that the other machines have.

    The first machine decides which that is. `OSError` where it cannot be read or written.
    """
    path = folder / _FILE
    with connection.transaction():
        connection.execute("LOCK TABLE shared")
        row = connection.execute("SELECT token FROM shared").fetchone()
        if row is None:
            with suppress(FileExistsError):
                _create(path, uuid.uuid4().hex)
            connection.execute("INSERT INTO shared (token) VALUES (%s)", (_read(path, folder),))
        elif _read(path, folder) != row[0]:
            raise ArgumentRefused(_other(folder))


def is_anywhere(connection: psycopg.Connection) -> bool:
    """Say whether machines of this queue have such a folder."""
    return connection.execute("SELECT FROM shared").fetchone() is not None


def _create(path: Path, token: str) -> None:
    """Make the file, whole or not at all."""
    made = path.with_name(f"{path.name}-{token}")
    made.write_text(token)
    try:
        os.link(made, path)  # refuses where it is there, on network file systems too
    except FileExistsError:
        raise
    except OSError:  # SMB: there may be no links; machines of this queue come one after another
        if not path.exists():
            made.rename(path)
    finally:
        made.unlink(missing_ok=True)


def _read(path: Path, folder: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(_MOST_BYTES).decode("ascii", "replace").strip()
    except FileNotFoundError:
        raise ArgumentRefused(_other(folder)) from None
    if not _MARK.fullmatch(token):
        raise ArgumentRefused(f"{path} is no file of the queue; look at it, and move it away")
    return token


def _other(folder: Path) -> str:
    return (
        f"{NAME} {folder} is not the folder that the other machines of this queue have; is it "
        "mounted, and the same?"
    )
