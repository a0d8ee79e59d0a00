"""Rows of slices go by their numbers and days: what is listed beside them costs nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.slicing import fill, merge, renew
from tests.ledgers import list_rows, row, stored

DAY = 86_400_000
_STATEMENTS = ("SELECT", "UPDATE", "DELETE", "INSERT")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what gives by which steps SQLite has answered all since it was asked last."""
    plans: list[str] = []
    execute = Database.execute

    def explained(database: Database, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        parameters = tuple(parameters)
        if statement.startswith(_STATEMENTS):
            plan = execute(database, f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(step[3] for step in plan)
        return execute(database, statement, parameters)

    monkeypatch.setattr(Database, "execute", explained)

    def since() -> list[str]:
        found = list(plans)
        plans.clear()
        return found

    return since


def test_the_whole_is_not_looked_at_row_by_row(path: Path, steps: Callable[[], list[str]]) -> None:
    slice_path = path.with_name("slice.sqlite")
    with closing(Ledger(path)) as whole:
        list_rows(whole, [row(number, number * DAY) for number in range(12)])
        whole.listing.close()
        whole.slices.cut(3, "1")
        part = whole.slices.all()[1]
    steps()
    with closing(Ledger(slice_path)) as ledger:
        fill(ledger, path, part)
        with closing(Ledger(path)) as whole:
            whole.slices.set_renewed()
        renew(ledger, path)
        made = steps()
        ledger.save([stored(number) for (number,) in ledger.database.execute(
            "SELECT number FROM unsettled"
        )])  # fmt: skip
    steps()
    with closing(Ledger(path)) as whole:
        steps()
        merge(whole, slice_path, part)
        merged = steps()
    assert [step for step in made if step.startswith(("SCAN whole.images", "SCAN whole.uns"))] == []
    assert [step for step in merged if step.startswith(("SCAN main.images", "SCAN main.uns"))] == []
    for steps_of in (made, merged):
        assert [step for step in steps_of if step.startswith("SEARCH")]
        assert [step for step in steps_of if step.startswith("SCAN")]
