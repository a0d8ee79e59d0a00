"""Rows as compressed slices: every line comes back, in any order, without much memory."""

from __future__ import annotations

import json
import random
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapillary_crawler.graph.rows import canonical_line
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.pages import SLICE_BYTES, SLICE_ROWS
from mapillary_crawler.ledger.thread import LedgerHere
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
    with pytest.raises(zlib.error):
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
    with pytest.raises(IndexError):
        ledger.pages.line(number, 1)
