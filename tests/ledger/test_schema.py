"""Versions of the ledger: older ones are brought here in one step, later ones are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.ledger import schema, streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FORMAT, State
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import list_rows, row

LATER = "ALTER TABLE images ADD COLUMN note TEXT; CREATE TABLE notes (text TEXT);"


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


@pytest.fixture
def older(path: Path) -> Path:
    """Return a ledger of this version, with an image."""
    with closing(Ledger(path)) as ledger:
        list_rows(ledger, [row(1)])
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this program the next version of itself."""
    with monkeypatch.context() as changed:
        changed.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, LATER))
        changed.setattr(schema, "VERSION", schema.VERSION + 1)
        yield


def test_a_new_ledger_has_this_version_and_a_balance_of_every_state(ledger: Ledger) -> None:
    assert ledger.database.value("PRAGMA user_version") == schema.VERSION == len(schema.MIGRATIONS)
    states = ledger.database.execute("SELECT state, images, bytes FROM balance").fetchall()
    assert states == [(state, 0, 0) for state in State]


def test_opening_again_changes_nothing(older: Path) -> None:
    before = older.read_bytes()
    with closing(Ledger(older)) as ledger:
        assert ledger.images.listed() == 1
    with closing(Ledger(older, read_only=True)) as ledger:
        assert ledger.images.listed() == 1
    assert tables(older) == tables(older)
    assert len(older.read_bytes()) == len(before)


@pytest.mark.usefixtures("later")
def test_an_older_ledger_is_migrated_with_its_images(older: Path) -> None:
    with closing(Ledger(older)) as ledger:
        assert ledger.database.value("SELECT note FROM images") is None
        assert ledger.images.balance().left == 1
    assert version(older) == schema.VERSION
    assert "notes" in tables(older)


def test_a_ledger_can_come_from_two_versions_ago(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = (*schema.MIGRATIONS, LATER, "INSERT INTO notes VALUES ('third');")
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    monkeypatch.setattr(schema, "VERSION", len(more))
    with closing(Ledger(older)) as ledger:
        assert ledger.database.value("SELECT text FROM notes") == "third"
    assert version(older) == len(more)


def test_a_migration_that_fails_changes_nothing(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(older), version(older)
    with monkeypatch.context() as broken:
        broken.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, LATER + "nonsense;"))
        broken.setattr(schema, "VERSION", schema.VERSION + 1)
        with pytest.raises(sqlite3.OperationalError):
            Ledger(older)
    assert (tables(older), version(older)) == before
    with closing(Ledger(older)) as ledger:
        assert ledger.images.listed() == 1


@pytest.mark.usefixtures("later")
def test_a_reader_leaves_an_older_ledger_as_it_is(older: Path) -> None:
    before = older.read_bytes()
    with closing(Ledger(older, read_only=True)) as ledger:
        assert ledger.images.balance().left == 1
    assert older.read_bytes() == before


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("ahead", [1, 1000])
def test_a_later_ledger_is_refused_and_kept(older: Path, ahead: int, read_only: bool) -> None:
    with closing(sqlite3.connect(older)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + ahead}")
    for _ in range(2):  # the first refusal keeps nothing open
        with pytest.raises(LedgerTooNew, match=f"version {schema.VERSION + ahead}.*a later one"):
            Ledger(older, read_only=read_only)
    assert version(older) == schema.VERSION + ahead
    assert not list(older.parent.glob("*-wal"))


@pytest.mark.parametrize("read_only", [True, False])
def test_the_ledger_of_a_later_format_is_refused_and_kept(older: Path, read_only: bool) -> None:
    with closing(Ledger(older)) as ledger:
        ledger.facts.set(format=FORMAT + 1)
    for _ in range(2):
        with pytest.raises(LedgerTooNew, match=f"format {FORMAT + 1}.*knows {FORMAT};.*a later"):
            Ledger(older, read_only=read_only)
    assert not list(older.parent.glob("*-wal"))


@pytest.mark.parametrize("number", [None, FORMAT, "no number"])
def test_the_ledger_of_a_known_format_is_read(older: Path, number: object) -> None:
    with closing(Ledger(older)) as ledger:
        ledger.facts.set(format=number)
    with closing(Ledger(older)) as ledger:
        assert ledger.images.listed() == 1


@pytest.fixture
def first(path: Path) -> Path:
    """Return a ledger of the first version, with a saved image and a wanted one."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{schema.MIGRATIONS[0]} PRAGMA user_version = 1;")
        connection.executescript(
            "INSERT INTO days (day) VALUES ('2024-01-15');"
            "INSERT INTO images (number, id, page, row, state, day, sequence, extension, size,"
            " sha256_served, sha256_stored)"
            f" VALUES (1, '7', 1, 0, {State.SAVED:d}, '2024-01-15', 's.png', 'jpg', 3,"
            " x'01', x'02'), (2, '8', 1, 1, 0, '2024-01-15', '', NULL, NULL, NULL, NULL);"
            "INSERT INTO unsettled (number) VALUES (2);"
        )
    return path


@pytest.mark.parametrize("read_only", [True, False])
def test_a_ledger_of_the_first_version_is_read(first: Path, read_only: bool) -> None:
    with closing(Ledger(first, read_only=read_only)) as ledger:
        balance = ledger.images.balance()
        assert (balance.saved, balance.left, balance.bare) == (1, 1, 0)
        (image,) = streams.loose(LedgerHere(ledger), "2024-01-15")
        assert (image.member, image.bare) == ("2024-01-15/s.png/7.jpg", None)
        assert [each.image_id for each in streams.in_order(LedgerHere(ledger))] == ["7", "8"]
        assert ledger.survey.recount()[State.SAVED] == (1, 3)
    assert version(first) == (1 if read_only else schema.VERSION)


def test_what_was_begun_with_fewer_extensions_keeps_its_names(first: Path) -> None:
    with closing(Ledger(first.with_name("new.sqlite"))) as new:
        assert new.facts.get("extensions") is None
    with closing(Ledger(first)) as older:
        assert older.facts.get("extensions") == ["jpg", "webp"]


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("older", range(1, schema.VERSION))
def test_ledgers_of_every_version_are_read(path: Path, older: int, read_only: bool) -> None:
    with closing(sqlite3.connect(path)) as connection:
        scripts = "".join(schema.MIGRATIONS[:older])
        connection.executescript(
            f"{scripts} PRAGMA user_version = {older};"
            "INSERT INTO days (day) VALUES ('2024-01-15');"
            "INSERT INTO images (number, id, page, row, state, day, sequence, extension, size,"
            f" sha256_served, sha256_stored) VALUES (1, '7', 1, 0, {State.SAVED:d}, '2024-01-15',"
            " 's', 'jpg', 3, x'01', x'02');"
        )
    with closing(Ledger(path, read_only=read_only)) as ledger:
        (image,) = streams.in_order(LedgerHere(ledger))
        assert (image.member, image.sha256_stored) == ("2024-01-15/s/7.jpg", b"\x02")
        assert (image.bare, image.sha256_jpeg) == (None, None)
    assert version(path) == (older if read_only else schema.VERSION)


def test_what_an_older_ledger_tells_of_urls_is_kept(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        scripts = "".join(schema.MIGRATIONS[:2])
        connection.executescript(
            f"{scripts} PRAGMA user_version = 2;"
            "INSERT INTO images (number, id, state) VALUES (1, '1', 0), (2, '2', 0), (3, '3', 0),"
            " (4, '4', 0), (5, '5', 0);"
            "INSERT INTO unsettled (number, url, expires, error) VALUES"
            " (1, 'https://x/1', 100, NULL), (2, 'https://x/2', NULL, NULL),"
            " (3, NULL, 100, 'HTTP 403'),"
            " (4, NULL, NULL, 'file is missing'), (5, NULL, NULL, NULL);"
        )
    with closing(Ledger(path)) as ledger:
        had = ledger.database.execute("SELECT had_url FROM unsettled ORDER BY number").fetchall()
        assert had == [(1,), (1,), (1,), (1,), (0,)]
        assert [ledger.queue.expired(at) for at in (0, 100)] == [1, 2]


def test_an_id_is_listed_once(ledger: Ledger) -> None:
    list_rows(ledger, [row(1)])
    with pytest.raises(sqlite3.IntegrityError):
        ledger.database.execute("INSERT INTO images (id, state) VALUES ('1', 0)")
    assert ledger.survey.recount() == {State.UNSETTLED: (1, 0)}
