"""What an unexpected error of one image does to the run."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.python.failure import Failure

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.extensions import ending
from mapillary_crawler.ledger.records import FailedAttempt
from tests.runs import plain_run


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Collect what the ledger and the run are told."""
    told = SimpleNamespace(failures=[], ends=[])
    ledger = SimpleNamespace(queue=SimpleNamespace(fail=told.failures.extend))
    run = plain_run(ledger, end=told.ends.append)
    monkeypatch.setattr(ending, "run_of", lambda crawler: run)
    return told


def fail(error: Exception) -> None:
    crawler: Any = SimpleNamespace(signals=SimpleNamespace(connect=lambda *_, **__: None))
    item: Any = SimpleNamespace(number=7)
    asyncio.run(ending.Ending(crawler)._item_failed(item, Failure(error)))


def test_an_unexpected_error_costs_its_image_the_run_and_no_other(
    reported: SimpleNamespace,
) -> None:
    fail(KeyError("odd"))
    assert reported.failures == [FailedAttempt(7, "KeyError: 'odd'", math.inf)]
    assert reported.ends == []


def test_a_ledger_that_cannot_be_read_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its disk was pulled out: one line, and the balance that was seen last."""
    told: list[EndOfRun] = []

    def end(end_of_run: EndOfRun) -> None:
        told.append(end_of_run)
        run.outcome = end_of_run.outcome

    def gone() -> Balance:
        raise sqlite3.OperationalError("disk I/O error")

    ledger = SimpleNamespace(images=SimpleNamespace(balance=gone))
    seen = Balance(saved=7)
    run = plain_run(ledger, end=end, outcome=None, opened={"balance": seen})
    monkeypatch.setattr(ending, "run_of", lambda crawler: run)
    crawler: Any = SimpleNamespace(
        signals=SimpleNamespace(connect=lambda *_, **__: None),
        stats=SimpleNamespace(set_value=lambda *_: None),
        engine=SimpleNamespace(start_time=0.0),
    )
    asyncio.run(ending.Ending(crawler)._spider_closed("finished"))
    assert [str(each) for each in told] == ["OperationalError: disk I/O error"]
    assert run.outcome is Outcome.ERROR
    assert run.collection.balance is seen


@pytest.mark.parametrize(
    ("so_far", "error", "outcome"),
    [
        (Outcome.COMPLETE, KeyError("odd"), Outcome.ERROR),
        (Outcome.ACCEPTED, sqlite3.OperationalError("locked"), Outcome.ACCEPTED),
        (Outcome.COMPLETE, sqlite3.OperationalError("locked"), Outcome.NOT_UPLOADED),
    ],
)
def test_an_upload_that_ends_by_an_error_is_told(
    so_far: Outcome, error: Exception, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    def finish() -> EndOfRun | None:
        raise error

    run = plain_run(outcome=so_far, reason="", opened={"finished": True})
    asyncio.run(ending._end_upload(run, SimpleNamespace(finish=finish)))  # type: ignore[arg-type]
    assert run.outcome is outcome
    assert str(error) in f"{run.reason} {caplog.text}"


def test_an_error_of_the_machine_ends_the_run(reported: SimpleNamespace) -> None:
    fail(OSError("the disk is broken"))
    assert reported.failures == []
    assert len(reported.ends) == 1
