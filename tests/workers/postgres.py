"""A real PostgreSQL server of a test's own, on loopback, which ends with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

PASSWORD = "of-the-tests"
USER = "archive"
#: Nothing is flushed: what a killed server has written, the system's cache keeps.
_FAST = {"fsync": "off", "full_page_writes": "off"}


def binaries() -> Path | None:
    """Return the folder of the newest server that is installed, None where there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    return max(found, key=lambda path: (len(path.parent.name), path.parent.name), default=None)


class Postgres:
    """A server; `kill` and `start` it as often as you like."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def dsn(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        """Return the address of a database."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Return the address of a new and empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.dsn(name)

    def make(self) -> None:
        """Make the cluster."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        _give(self.folder)
        _give(password)
        subprocess.run(
            [self._programs / "initdb", "-D", self.folder / "data", "-U", USER, "-N", "-A",
             "scram-sha-256", "--pwfile", password, "-E", "UTF8", "--no-locale"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **_unprivileged(),
        )  # fmt: skip

    def start(self) -> None:
        """Start the server and wait until it answers."""
        given = [part for name, value in _FAST.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self.folder / "data", "-p", str(self.port),
             "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
             "-c", f"log_directory={self.folder}", "-c", "logging_collector=on",
             "-c", "max_connections=200", *given],
            cwd="/", start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **_unprivileged(),
        )  # fmt: skip
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.dsn(), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, "the server has ended"
                assert time.monotonic() < until, "the server does not answer"
                time.sleep(0.05)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End the server at once (PostgreSQL: SIGQUIT), or by SIGKILL, as a lost machine does."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        children = _children(process.pid) if number == signal.SIGKILL else []
        for pid in [process.pid, *children]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        process.wait(30)
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    """Run a server while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder), programs)
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _account() -> str | None:
    """Return whose the server is to be: it refuses to be root's."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


def _unprivileged() -> dict[str, Any]:
    account = _account()
    if account is None:
        return {}
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


def _give(path: Path) -> None:
    if account := _account():
        shutil.chown(path, account)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []
