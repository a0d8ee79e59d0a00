"""`ulimit -n`: raised as far as allowed, else fewer transfers, never trouble in mid-run."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.crawl.open_files import fit_open_files
from mapillary_crawler.sandbox.process import Sandbox
from tests.collection.test_configuration import configuration
from tests.crawling import PROJECT, Crawling, Result

#: What is needed for the 128 transfers that are the default.
ALL = 40 + 2 * 128


class Limits:
    """The process's limits, as `resource` shows them."""

    def __init__(self, soft: int, hard: int, *, most: int | None = None) -> None:
        self.soft, self.hard, self.most = soft, hard, most

    def get(self, _: int) -> tuple[int, int]:
        return self.soft, self.hard

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self.most is not None and limits[0] > self.most:
            raise ValueError("current limit exceeds maximum limit")
        assert limits[0] <= limits[1] or limits[1] == resource.RLIM_INFINITY
        self.soft, self.hard = limits


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Any:
    def limit(*numbers: int, **options: Any) -> Limits:
        limits = Limits(*numbers, **options)
        monkeypatch.setattr(resource, "getrlimit", limits.get)
        monkeypatch.setattr(resource, "setrlimit", limits.set)
        return limits

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return limit


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        (1024, 4096, 1024),
        (ALL, ALL, ALL),
        (64, 4096, ALL),
        (64, resource.RLIM_INFINITY, ALL),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_the_limit_is_raised_where_that_is_allowed(
    limited: Any, soft: int, hard: int, then: int
) -> None:
    limits = limited(soft, hard)
    wanted = configuration()
    assert fit_open_files(wanted, encodes=False) == (wanted, None)
    assert limits.soft == then
    assert limits.hard == hard


@pytest.mark.parametrize(
    ("soft", "hard", "most", "webp", "fitting"),
    [
        (64, 64, None, False, 12),
        (96, 96, None, False, 28),
        (64, 96, None, False, 28),
        (64, 4096, 64, False, 12),
        (64, 64, None, True, 4),
        (42, 42, None, False, 1),
    ],
)
def test_else_there_are_fewer_transfers(
    limited: Any, soft: int, hard: int, most: int | None, webp: bool, fitting: int
) -> None:
    limited(soft, hard, most=most)
    fitted, line = fit_open_files(configuration(MAPILLARY_CONCURRENCY_MIN=20), encodes=webp)
    assert fitted.concurrency_max == fitting
    assert fitted.concurrency_min == min(20, fitting)
    assert fitted.concurrency_start == min(16, fitting)
    assert fitted.concurrency_fixed == 0
    assert line is not None
    assert f"at most {fitting} transfers at once instead of 128" in line
    fixed, _ = fit_open_files(configuration(MAPILLARY_CONCURRENCY_FIXED=200), encodes=webp)
    assert fixed.concurrency_fixed == fitting


@pytest.mark.parametrize(("limit", "webp"), [(41, False), (57, True), (0, False)])
def test_with_too_few_there_is_no_run(limited: Any, limit: int, webp: bool) -> None:
    limited(limit, limit)
    with pytest.raises(Refused, match=f"ulimit -n is {limit}") as refused:
        fit_open_files(configuration(), encodes=webp)
    assert refused.value.outcome is Outcome.REFUSED


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "grace", "images": 400, "days": 4.0}], seed=19) as running:
        yield running


@pytest.mark.long
@pytest.mark.parametrize("limit", [48, 64, 96])
def test_a_crawl_with_few_open_files_ends_well(
    sandbox: Sandbox, tmp_path: Path, limit: int
) -> None:
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment["MAPILLARY_CONCURRENCY_FIXED"] = "100"
    command = crawling.command(username="grace", quality="1024", check_ia=0)
    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh", *command],
        cwd=PROJECT,
        env=crawling.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    result = Result(done.returncode, done.stdout)
    assert result.code == 0, result.output
    assert result.balance["saved"] == 400
    assert f"ulimit -n is {limit}: at most" in result.output
    assert "Too many open files" not in result.output
