"""Transactions, read-only readers, the one thread, and what a killed process leaves."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerThread


class Refused(Exception):
    pass


def test_a_transaction_is_all_or_nothing(ledger: Ledger) -> None:
    def half() -> None:
        with ledger.database.transaction():
            ledger.facts.set(a=1)
            raise Refused

    with pytest.raises(Refused):
        half()
    assert ledger.facts.get("a") is None
    with ledger.database.transaction():
        ledger.facts.set(a=1)
        ledger.facts.set(b=2)
    assert (ledger.facts.get("a"), ledger.facts.get("b")) == (1, 2)


def test_the_outermost_transaction_decides(ledger: Ledger) -> None:
    def half() -> None:
        with ledger.database.transaction():
            with ledger.database.transaction():
                ledger.facts.set(a=1)
            raise Refused

    with pytest.raises(Refused):
        half()
    assert ledger.facts.get("a") is None


def test_what_is_not_committed_is_seen_by_no_reader(ledger: Ledger, path: Path) -> None:
    reader = Ledger(path, read_only=True)
    with ledger.database.transaction():
        ledger.facts.set(a=1)
        assert reader.facts.get("a") is None
    assert reader.facts.get("a") == 1
    reader.close()


def test_a_reader_cannot_write(ledger: Ledger, path: Path) -> None:
    reader = Ledger(path, read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.facts.set(a=1)
    reader.close()
    ledger.facts.set(a=1)


def test_a_closed_ledger_is_one_file_that_can_be_read(ledger: Ledger, path: Path) -> None:
    ledger.facts.set(a=1)
    ledger.close()
    assert list(path.parent.iterdir()) == [path]
    reader = Ledger(path, read_only=True)
    assert reader.facts.get("a") == 1
    reader.close()
    assert list(path.parent.iterdir()) == [path]


def test_closing_beside_a_reader_waits_for_nobody(ledger: Ledger, path: Path) -> None:
    reader = Ledger(path, read_only=True)
    rows = reader.database.execute("SELECT * FROM balance")
    rows.fetchone()
    ledger.facts.set(a=1)
    ledger.close()
    rows.close()
    assert reader.facts.get("a") == 1
    reader.close()


def test_closing_twice_is_closing(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()


def test_a_reader_of_nothing_makes_nothing(path: Path) -> None:
    with pytest.raises(sqlite3.DatabaseError):
        Ledger(path, read_only=True)
    assert not path.exists()


def test_a_file_that_is_no_ledger_is_refused_and_kept(path: Path) -> None:
    path.write_bytes(b"no ledger" * 1000)
    for read_only in (True, False):
        with pytest.raises(sqlite3.DatabaseError):
            Ledger(path, read_only=read_only)
    assert path.read_bytes() == b"no ledger" * 1000


@pytest.mark.parametrize("name", ["a ?#%20b", "ünï"])
def test_paths_of_any_name(name: str, tmp_path: Path) -> None:
    database = Database(tmp_path / name)
    database.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_commits_are_durable(ledger: Ledger, tmp_path: Path) -> None:
    database = Database(tmp_path / "durable.sqlite")
    assert database.value("PRAGMA journal_mode") == "wal"
    assert database.value("PRAGMA synchronous") == 2  # FULL
    database.close()


WORK = """
import os, signal, sys
from pathlib import Path
from mapillary_crawler.ledger.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.facts.set(committed=1)
ledger.database.execute("BEGIN")
ledger.facts._database._depth += 1
ledger.facts.set(open=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_it_committed(path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", WORK, str(path)], check=False, cwd=Path(__file__).parents[2]
    )
    assert killed.returncode == -signal.SIGKILL
    ledger = Ledger(path)
    assert (ledger.facts.get("committed"), ledger.facts.get("open")) == (1, None)
    ledger.close()


def test_the_thread_owns_the_connection(path: Path) -> None:
    thread = LedgerThread(path)
    escaped = thread.wait_for(lambda ledger: ledger)
    with pytest.raises(sqlite3.ProgrammingError):
        escaped.facts.get("a")
    names = {thread.wait_for(lambda _: threading.current_thread().name) for _ in range(5)}
    assert len(names) == 1
    assert names.pop().startswith("ledger")
    thread.close()


def test_a_ledger_that_does_not_open_leaves_no_thread(path: Path) -> None:
    path.write_bytes(b"no ledger" * 1000)
    before = threading.active_count()
    with pytest.raises(sqlite3.DatabaseError):
        LedgerThread(path)
    assert threading.active_count() == before


def test_work_is_done_in_the_order_of_asking(path: Path) -> None:
    thread, done = LedgerThread(path), []

    async def check() -> None:
        await asyncio.gather(
            *(thread.ask(lambda _, number=number: done.append(number)) for number in range(100))
        )

    asyncio.run(check())
    thread.close()
    assert done == list(range(100))


def test_what_work_raises_is_raised_where_it_was_asked_for(path: Path) -> None:
    thread = LedgerThread(path)

    def fail(ledger: Ledger) -> None:
        raise Refused("now")

    async def check() -> None:
        with pytest.raises(Refused, match="now"):
            await thread.ask(fail)
        assert await thread.ask(lambda ledger: ledger.facts.get("a", 7)) == 7

    asyncio.run(check())
    with pytest.raises(Refused, match="now"):
        thread.wait_for(fail)
    thread.close()


def test_closing_waits_for_the_work(path: Path) -> None:
    thread, go, done = LedgerThread(path), threading.Event(), []

    async def check() -> None:
        call = asyncio.ensure_future(thread.ask(lambda _: (go.wait(30), done.append(1))))
        await asyncio.sleep(0)
        threading.Timer(0.05, go.set).start()
        thread.close()
        assert done == [1]
        await call

    asyncio.run(check())
