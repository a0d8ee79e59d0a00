"""Whether archive.org has a collection: a hiccup is no answer, and no reason to crawl it again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import Response

from mapillary_crawler.archive.internet_archive.presence import Presence
from mapillary_crawler.crawl import already_there
from tests.runs import plain_run

THERE = (200, b'{"metadata": {"identifier": "mapillary-someone-256"}}')
ABSENT = (200, b"{}")
HICCUPS: list[Any] = [(504, b""), (200, b"<html>"), (200, b'{"error": "try later"}'), OSError()]


def asked(*answers: Any) -> tuple[Presence, int, list[float]]:
    """Return what is said of an item, how many answers it took, and the waits."""
    left, waits = list(answers), []

    async def download_async(request: Request) -> Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return Response(request.url, status=status, body=body)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    run = plain_run(
        opened={"configuration": SimpleNamespace(archive_org_url="https://archive.example.org")},
        crawler=SimpleNamespace(engine=SimpleNamespace(download_async=download_async)),
        sleep=sleep,
    )
    return asyncio.run(already_there.presence(run)), len(answers) - len(left), waits


@pytest.mark.parametrize("hiccup", HICCUPS, ids=["504", "HTML", "an error", "no connection"])
def test_it_is_asked_again_after_what_is_no_answer(hiccup: Any) -> None:
    assert asked(hiccup, hiccup, THERE)[:2] == (Presence.EXISTS, 3)
    assert asked(hiccup, ABSENT)[:2] == (Presence.ABSENT, 2)


@pytest.mark.parametrize("answer", [THERE, ABSENT], ids=["there", "absent"])
def test_an_answer_is_asked_for_once(answer: Any) -> None:
    assert asked(answer, THERE)[1:] == (1, [])


def test_one_that_is_away_holds_a_crawl_up_for_seconds_only() -> None:
    found, requests, waits = asked(*HICCUPS)
    assert (found, requests) == (Presence.UNKNOWN, 3)
    assert sum(waits) < 10
