"""Rows as compressed slices: every line comes back, in any order, without much memory."""

from __future__ import annotations

import json
import random
import sqlite3
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.graph.rows import canonical_line
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.pages import SLICE_BYTES, SLICE_ROWS
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.ledger.trouble import LedgerDamaged
from tests.ledgers import list_rows, row


def test_every_line_comes_back_in_any_order(ledger: Ledger) -> None:
    count = SLICE_ROWS * 12 + 7
    list_rows(ledger, [row(number, make="ü" * (number % 50)) for number in range(count)])
    records = list(streams.in_order(LedgerHere(ledger)))
    assert len(records) == count
    random.Random(1).shuffle(records)
    for record in records:
        fields = json.loads(ledger.images.line(record))
        assert fields == {"id": record.image_id, "make": "ü" * (int(record.image_id) % 50)}


def test_only_a_few_slices_stay_unpacked(ledger: Ledger) -> None:
    list_rows(ledger, [row(number) for number in range(SLICE_ROWS * 20)])
    for record in streams.in_order(LedgerHere(ledger)):
        ledger.images.line(record)
    assert len(ledger.pages._unpacked) <= 8


def test_a_slice_that_unpacks_to_more_than_any_is_none(ledger: Ledger) -> None:
    list_rows(ledger, [row(1)])
    (record,) = streams.in_order(LedgerHere(ledger))
    ledger.database.execute("UPDATE pages SET rows = ?", (zlib.compress(bytes(SLICE_BYTES + 1)),))
    with pytest.raises(LedgerDamaged, match="do not unpack"):
        ledger.images.line(record)
    ledger.database.execute("UPDATE pages SET rows = ?", (zlib.compress(b"\n" * SLICE_BYTES),))
    ledger.images.line(record)
    assert [len(rows) for rows in ledger.pages._unpacked.values()] == [SLICE_ROWS + 1]


def test_slices_compress(ledger: Ledger) -> None:
    lines = [row(number, make="GoPro HERO7 Black " * 20).line for number in range(SLICE_ROWS)]
    with ledger.database.transaction():
        ledger.pages.add(lines)
    assert ledger.database.value("SELECT length(rows) FROM pages") < sum(map(len, lines)) / 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.just("make"), st.text()), min_size=1, max_size=5))
def test_hostile_text_does_not_tear_lines_apart(ledger: Ledger, rows: list[dict[str, str]]) -> None:
    lines = [canonical_line(fields) for fields in rows]
    number = ledger.pages.add(lines)
    assert [ledger.pages.line(number, line) for line in range(len(lines))] == lines
    for line, fields in enumerate(rows):
        assert ledger.pages.metadata(number, line) == fields


def test_a_line_that_is_not_there(ledger: Ledger) -> None:
    number = ledger.pages.add([b"{}"])
    with pytest.raises(LedgerDamaged, match="an image has no listed row"):
        ledger.pages.line(number, 1)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (b"\0", "do not unpack"),
        (None, "do not unpack"),
        ("text", "do not unpack"),
        (zlib.compress(b"{}")[:-1], "do not unpack"),
        (zlib.compress(b"{}"), "an image has no listed row"),
        (zlib.compress(b"{}\n[]\n{}"), "no JSON object"),
        (zlib.compress(b"{}\n" + b"[" * 10**5), "no JSON object"),
    ],
)
def test_a_damaged_ledger_is_named_with_what_mends_it(
    ledger: Ledger, rows: object, why: str
) -> None:
    list_rows(ledger, [row(1), row(2)])
    assert ledger.is_sound()
    ledger.database.execute("CREATE TABLE others AS SELECT number, ? AS rows FROM pages", (rows,))
    ledger.database.execute("DROP TABLE pages")
    ledger.database.execute("ALTER TABLE others RENAME TO pages")
    _, second = streams.in_order(LedgerHere(ledger))
    with pytest.raises(sqlite3.DatabaseError) as error:
        ledger.pages.metadata(second.page, second.row)
    assert isinstance(error.value, LedgerDamaged)
    assert error.value.outcome is Outcome.INCOMPLETE
    said = str(error.value)
    assert said.startswith(f"{ledger.database.path} is damaged: ")
    assert why in said
    assert said.endswith("mend it with the command repair")
    assert not ledger.is_sound()


def test_of_a_slice_nothing_is_mended() -> None:
    said = str(LedgerDamaged(Path("s/mapillary-a-256#2/.crawl/ledger"), "why"))
    assert said.endswith("or move s/mapillary-a-256#2 away, and its images are fetched again")
