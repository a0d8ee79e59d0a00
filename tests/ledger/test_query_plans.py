"""What a crawl asks of the ledger again and again goes through an index, however much is listed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt
from tests.ledgers import list_rows, row, stored

#: A whole table, looked at row by row; a scan of an index in its order ends at its LIMIT.
WHOLE_TABLE = re.compile(r"SCAN (images|unsettled)(?! USING (COVERING )?INDEX)")


def draw_renewed(ledger: Ledger) -> None:
    ledger.queue.renewed([1, 2])
    ledger.queue.draw_renewed(1.0, 256)


QUESTIONS: dict[str, Callable[[Ledger], Any]] = {
    "expired": lambda ledger: ledger.queue.expired(1.0),
    "some_saved": lambda ledger: ledger.images.some_saved(3),
    "draw": lambda ledger: ledger.queue.draw(1.0, 256),
    "draw_by_day": lambda ledger: ledger.queue.draw(1.0, 256, by_day=True),
    "draw_renewed": draw_renewed,
    "loose": lambda ledger: ledger.members.loose("2024-01-15", "s/1.", 500),
    "at_rest": lambda ledger: ledger.queue.at_rest(),
    "waiting": lambda ledger: ledger.queue.waiting(),
    "progress": lambda ledger: ledger.survey.progress(),
    "position": lambda ledger: ledger.listing.position(),
    "known": lambda ledger: ledger.listing.known(["1", "2"]),
    "want_accepted": lambda ledger: ledger.images.want_accepted(),
    "save": lambda ledger: ledger.save([stored(1)]),
    "fail": lambda ledger: ledger.queue.fail([FailedAttempt(2, "reset", 1.0)]),
    "renew": lambda ledger: ledger.queue.renew({2: ("https://x/2", 1)}),
    "damaged": lambda ledger: ledger.queue.damaged(2, b"x", fresh=True, run=1),
    "staged bytes": lambda ledger: ledger.staged.bytes(),
    "staged days": lambda ledger: ledger.staged.days(),
    "staged rows": lambda ledger: ledger.staged.rows("2024-01-15", "", 10),
    "kept": lambda ledger: ledger.staged.kept(),
    "draw missing": lambda ledger: ledger.queue.draw_missing("2024-01-15", "", "", 1.0, 9),
    "accept given up": lambda ledger: ledger.images.accept_given_up(["2024-01-15"]),
    "came": lambda ledger: ledger.other_formats.came(2, b"x"),
}


@pytest.fixture
def asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return what says of a question by which steps SQLite answers each of its statements."""

    def plans(question: str) -> list[str]:
        ledger = Ledger(path)
        list_rows(ledger, [row(number) for number in range(1, 6)])
        ledger.save([stored(3)])
        ledger.listing.close()
        ledger.staged.make()
        execute, steps = ledger.database.execute, []

        def explained(statement: str, parameters: Any = ()) -> sqlite3.Cursor:
            parameters = tuple(parameters)
            if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
                plan = execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                steps.extend(step[3] for step in plan)
            return execute(statement, parameters)

        def explained_many(statement: str, rows: Any) -> None:
            for parameters in rows:
                explained(statement, parameters)

        monkeypatch.setattr(ledger.database, "execute", explained)
        monkeypatch.setattr(ledger.database, "executemany", explained_many)
        QUESTIONS[question](ledger)
        ledger.close()
        return steps

    return plans


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_table_is_looked_at_row_by_row(asked: Callable[[str], list[str]], question: str) -> None:
    steps = asked(question)
    assert steps
    assert [step for step in steps if WHOLE_TABLE.match(step)] == []
    assert [step for step in steps if "TEMP B-TREE" in step] == []


def test_what_expires_is_found_by_its_own_index(asked: Callable[[str], list[str]]) -> None:
    assert any("unsettled_expired" in step for step in asked("expired"))


def test_what_failed_is_counted_in_an_index_of_its_own(asked: Callable[[str], list[str]]) -> None:
    assert any("unsettled_failed" in step for step in asked("progress"))


def test_what_is_saved_is_found_by_its_day(asked: Callable[[str], list[str]]) -> None:
    searches = [step for step in asked("some_saved") if "images_of_day" in step]
    assert len(searches) == 3


@pytest.mark.parametrize("question", ["draw_by_day", "loose"])
def test_days_are_gone_through_by_member(asked: Callable[[str], list[str]], question: str) -> None:
    assert any("images_by_member (day=? AND <expr>>?)" in step for step in asked(question))
