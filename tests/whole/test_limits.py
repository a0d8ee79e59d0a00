"""Limits of a run: a rate that holds, and an end after bytes or a time."""

from __future__ import annotations

import time

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, Result, assert_complete

pytestmark = pytest.mark.slow


def timed(crawling: Crawling, *options: str, **arguments: object) -> tuple[Result, float]:
    began = time.monotonic()
    result = crawling.run(*options, check_ia=0, **arguments)
    return result, time.monotonic() - began


def test_all_transfers_together_keep_to_a_rate(crawling: Crawling, sandbox: Sandbox) -> None:
    """Four times what a run without a limit takes, whatever the machine does in a second."""
    who = {"username": "walker", "quality": "256"}
    free, free_seconds = timed(crawling, **who)
    assert free.code == 0, free.output
    images = sandbox.catalogue.user("walker").images()
    size = sum(len(sandbox.catalogue.body(image, "256")) for image in images)
    limit = round(size / (4 * free_seconds))
    other = Crawling(crawling.store / "other", sandbox)
    braked, seconds = timed(other, "-s", f"MAX_BYTES_PER_SECOND={limit / 1000} kB", **who)
    assert braked.code == 0, braked.output
    assert size / seconds <= 1.15 * limit
    assert size / seconds >= 0.6 * limit
    assert "WARNING" not in braked.output


@pytest.mark.parametrize(("limit", "least"), [("1B", 1), ("200 kB", 8)])
def test_a_run_ends_after_so_many_bytes(
    crawling: Crawling, sandbox: Sandbox, limit: str, least: int
) -> None:
    """However few they are, what was on its way is saved: each run comes further."""
    who = {"username": "walker", "quality": "256", "check_ia": 0}
    result = crawling.run("-s", "MAPILLARY_CONCURRENCY_FIXED=4", stop_after=limit, **who)
    assert result.code == 4, result.output
    assert f": interrupted (stop_after={limit}): listed " in result.lines[-1]
    assert least <= result.balance["saved"] < 60
    folder = crawling.store / ".incomplete" / "mapillary-walker-256"
    assert (folder / LEDGER_PATH).is_file()
    (log,) = folder.glob("download.log.*")
    assert f"interrupted (stop_after={limit}): listed " in log.read_text().splitlines()[-1]
    again = crawling.run(**who)
    assert again.code == 0, again.output
    assert_complete(crawling.store / "mapillary-walker-256", sandbox, "walker", "256")


def test_a_run_ends_after_a_time(crawling: Crawling) -> None:
    who = {"username": "walker", "quality": "256", "check_ia": 0}
    result = crawling.run("-s", "MAX_BYTES_PER_SECOND=20kB", stop_after="1s", **who)
    assert result.code == 4, result.output
    assert ": interrupted (stop_after=1s): listed " in result.lines[-1]
    assert result.balance["saved"] < 120
    assert "WARNING" not in result.output
    assert "ERROR" not in result.output


def test_a_run_that_is_done_before_its_limit_says_nothing_of_it(crawling: Crawling) -> None:
    result = crawling.run(username="walker", quality="256", check_ia=0, stop_after="1d")
    assert result.code == 0, result.output
    assert "stop_after" not in result.output
