"""Named JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.ledger.ledger import Ledger
from tests.ledgers import open_ledger


@pytest.mark.parametrize(
    "value",
    [None, True, 0, 1.5, "", "Ünî cødé\n\ud800", [1, [2]], {"kind": "cwebp", "quality": 75}],
)
def test_values_come_back(value: Any, ledger: Ledger, path: Path) -> None:
    ledger.facts.set(name=value, other=1)
    assert ledger.facts.get("name") == value
    with open_ledger(path) as again:
        assert again.facts.get("name") == value


def test_what_was_never_set(ledger: Ledger) -> None:
    assert ledger.facts.get("name") is None
    assert ledger.facts.get("name", 7) == 7


def test_a_value_replaces_the_one_before(ledger: Ledger) -> None:
    ledger.facts.set(name=1)
    ledger.facts.set(name=[2])
    assert ledger.facts.get("name") == [2]


def test_counters(ledger: Ledger) -> None:
    assert [ledger.facts.add("nameless", number) for number in (1, 0, 5)] == [1, 1, 6]
    assert ledger.images.balance().nameless == 6


def test_runs_are_counted(ledger: Ledger) -> None:
    assert [ledger.start_run() for _ in range(3)] == [1, 2, 3]
