"""Ledgers on disks that are full, broken, or share no memory; and those left by a kill."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.outcome import is_disk_full
from mapillary_crawler.ledger import trouble
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.trouble import LedgerTrouble, explain
from tests.ledger.killed import killed


def sqlite_error(code: int, words: str = "disk I/O error") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_SOMETHING"
    return error


ABOUT_THE_DISK = [
    getattr(sqlite3, name)
    for name in dir(sqlite3)
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN"))
]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, None])
def test_the_disk_says_what_sqlite_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    def try_room(folder: Path) -> None:
        assert folder == tmp_path
        if number is not None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(trouble, "try_room", try_room)
    for code in ABOUT_THE_DISK:
        error = explain(sqlite_error(code), tmp_path / "ledger.sqlite")
        assert isinstance(error, LedgerTrouble)
        assert error.errno == (number or errno.EIO)
        assert is_disk_full(error) == (number in (errno.ENOSPC, errno.EDQUOT))
        assert str(tmp_path / "ledger.sqlite") in str(error)
        assert os.strerror(error.errno) in str(error)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_ERROR, 0])
def test_other_errors_stay_as_they_are(tmp_path: Path, code: int) -> None:
    error = sqlite_error(code)
    assert explain(error, tmp_path / "ledger.sqlite") is error


def test_why_a_ledger_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, number in (
        (tmp_path / "none" / "ledger.sqlite", errno.ENOENT),
        (tmp_path / "file" / "ledger.sqlite", errno.ENOTDIR),
    ):
        with pytest.raises(LedgerTrouble) as refused:
            Ledger(path)
        assert refused.value.errno == number


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_finished_ledger_is_never_in_wal(path: Path) -> None:
    Ledger(path).close()
    ledger = Ledger(path, wal=False)
    ledger.facts.set(a=1)
    assert journal_mode(path) == "delete"
    assert {file.name for file in path.parent.iterdir()} == {path.name}
    with closing(Ledger(path, read_only=True)) as reader:
        assert reader.facts.get("a") == 1
    ledger.facts.set(a=2)
    ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["wal", "journal"])
def test_what_a_kill_left_is_taken_in_by_a_writer(tmp_path: Path, how: str) -> None:
    path = killed(tmp_path / "a", how)
    with closing(Ledger(path, wal=False)) as ledger:
        assert ledger.facts.get("before") == 1
        ledger.facts.set(after=1)
    assert journal_mode(path) == "delete"
    assert {file.name for file in path.parent.iterdir()} == {path.name}


def test_a_writer_without_wal_waits_for_no_reader_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def impatient(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **{**options, "timeout": 0.05})

    Ledger(path).close()
    monkeypatch.setattr(sqlite3, "connect", impatient)
    with closing(Ledger(path, read_only=True)) as reader:
        rows = reader.database.execute("SELECT * FROM balance")
        assert next(rows)
        with pytest.raises(sqlite3.OperationalError) as refused:
            Ledger(path, wal=False)
        assert trouble.is_locked(refused.value)
