"""A queue, and workers of it whose crawls are stand-ins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from mapillary_crawler.workers import enqueue, schema
from mapillary_crawler.workers.database import connected
from mapillary_crawler.workers.dsn import read_dsn
from mapillary_crawler.workers.overview import Overview, look
from mapillary_crawler.workers.work import Work
from tests.crawling import PROJECT, wait_until

_WORKER = Path(__file__).with_name("fake_worker.py")
#: Seconds.
LEASE = 2.0

Plan = Mapping[str, Sequence[tuple[float, int]]]


class Fleet:
    """The folder that stand-ins share, and the queue."""

    def __init__(self, folder: Path, address: str, lease: float = LEASE) -> None:
        self.folder = folder
        self.address = address
        self.lease = lease
        self.dsn = read_dsn({"MAPILLARY_QUEUE": address})
        (folder / "log").touch()
        self.plan({})
        self.cut({})
        with connected(self.dsn) as queue:
            schema.init(queue)

    def plan(self, plan: Plan) -> None:
        """Say how long the attempts of each take, and with which exit code they end."""
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def cut(self, cuts: Mapping[str, int]) -> None:
        """Say into how many slices whom is cut."""
        (self.folder / "cuts.json").write_text(json.dumps(cuts))

    def enqueue(self, *usernames: str, **arguments: str) -> int:
        """Return how many were not in the queue."""
        return self.enqueued(*usernames, **arguments).new

    def enqueued(self, *usernames: str, **arguments: str) -> enqueue.Enqueued:
        with connected(self.dsn) as queue:
            works = [Work(name, arguments) for name in usernames]
            return enqueue.enqueue(queue, works, self.lease)

    def cancel(self, username: str) -> int:
        with connected(self.dsn) as queue:
            return enqueue.cancel(queue, username)

    def retry(self, username: str) -> int:
        with connected(self.dsn) as queue:
            return enqueue.retry(queue, username, self.lease)

    def look(self) -> Overview:
        with connected(self.dsn) as queue:
            return look(queue, self.lease)

    def states(self) -> dict[str, str]:
        return {user.username: user.state for user in self.look().users.values()}

    def execute(self, statement: str, *values: Any) -> list[Any]:
        with connected(self.dsn) as queue:
            cursor = queue.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def log(self, word: str = "") -> list[list[str]]:
        """Return the lines of the stand-ins that begin with a word."""
        lines = (self.folder / "log").read_text().splitlines()
        return [line.split() for line in lines if line.startswith(word)]

    def names(self, word: str) -> list[str]:
        return [line[1] for line in self.log(word)]

    def until_ended(self, *usernames: str, seconds: float = 60) -> None:
        """Wait until the queue says that users are done."""

        def have_ended() -> bool:
            try:
                states = self.states()
            except Exception as error:  # noqa: BLE001  the server may be away
                assert "MAPILLARY_QUEUE" in str(error)  # noqa: PT017
                return False
            return all(states.get(name) == "done" for name in usernames)

        wait_until(have_ended, seconds)

    @contextmanager
    def worker(self, name: str = "one", jobs: int = 1) -> Iterator[subprocess.Popen[str]]:
        """Run a worker; with all that it has started it is killed at the end."""
        process = subprocess.Popen(
            [sys.executable, str(_WORKER), str(self.folder), name, str(jobs), str(self.lease)],
            cwd=PROJECT,
            env={
                **{key: value for key, value in os.environ.items() if "MAPILLARY" not in key},
                "MAPILLARY_QUEUE": self.address,
                "PYTHONPATH": str(PROJECT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                if process.stdout and not process.stdout.closed:
                    sys.stderr.write(process.stdout.read())  # for who reads why a test failed


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and is not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def sessions(address: str) -> int:
    """Return how many sessions of workers the server has."""
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mapillary_crawler' "
            "AND datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])
