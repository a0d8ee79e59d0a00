"""One question: how long it is asked, whom its answers hold back, and when it is given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from scrapy import Request
from scrapy.http import Response

from mapillary_crawler.collection.outcome import EndOfRun
from mapillary_crawler.crawl.client import GraphClient
from mapillary_crawler.crawl.transfer.downloader import LimitedDownloader
from mapillary_crawler.graph.answers import Meaning
from mapillary_crawler.graph.pace import ENTITIES, SEARCHES, Pace
from mapillary_crawler.graph.patience import Patience

HARMLESS, QUESTION = "https://api.example.org/first", "https://api.example.org/1"
UNKNOWN = (500, {"error": {"code": 1, "message": "An unknown error occurred"}})
LIMIT = (403, {"error": {"code": 4, "message": "Application request limit reached"}})
GOOD = (200, {"data": []})
Service = Callable[[str], tuple[int, Any]]


class Asking:
    """A client whose service is a function; waits for nothing, and notes what it would."""

    def __init__(self, service: Service, longest: float = 7200, pace: Pace | None = None) -> None:
        self.asked: list[str] = []
        self.waits: list[float] = []
        self.downloader = Mock(spec=LimitedDownloader)
        self._service = service
        engine = SimpleNamespace(downloader=self.downloader, download_async=self._download)
        crawler: Any = SimpleNamespace(engine=engine, stats=Mock())
        self.client = GraphClient(
            crawler,
            Patience(longest),
            self._sleep,
            HARMLESS,
            frozenset({"sequence"}),
            pace=pace or Pace({SEARCHES: 10**9, ENTITIES: 10**9}),
        )

    async def _download(self, request: Request) -> Response:
        self.asked.append(request.url)
        status, answer = self._service(request.url)
        return Response(request.url, status=status, body=json.dumps(answer).encode())

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def ask(self) -> Meaning:
        return asyncio.run(self.client.ask(QUESTION)).meaning


def test_questions_keep_their_pace() -> None:
    asking = Asking(lambda url: GOOD, pace=Pace({SEARCHES: 60, ENTITIES: 60}))
    assert [asking.ask() for _ in range(3)] == [Meaning.DATA] * 3
    assert [round(seconds) for seconds in asking.waits] == [1, 2]  # it waits for nothing here


def test_a_question_that_alone_fails_is_given_back() -> None:
    asking = Asking(lambda url: GOOD if url == HARMLESS else UNKNOWN)
    assert asking.ask() is Meaning.RETRY
    assert asking.asked == [QUESTION] * 5 + [HARMLESS]


def test_a_question_that_fails_with_all_others_is_asked_on() -> None:
    answers = [UNKNOWN] * 40 + [GOOD]
    asking = Asking(lambda url: answers.pop(0))
    assert asking.ask() is Meaning.DATA
    assert len(asking.asked) == 41


def test_an_outage_ends_the_run() -> None:
    asking = Asking(lambda url: UNKNOWN, longest=0.01)
    with pytest.raises(EndOfRun, match="gave no usable answer"):
        asking.ask()


def test_a_rate_limit_is_never_the_question_s_own_and_holds_for_all() -> None:
    answers = [LIMIT] * 20 + [GOOD]
    asking = Asking(lambda url: answers.pop(0))
    assert asking.ask() is Meaning.DATA
    assert asking.asked == [QUESTION] * 21
    assert [call.args for call in asking.downloader.pause.call_args_list] == [
        ("api", wait) for wait in asking.waits
    ]
    assert min(asking.waits) >= 2.5


@pytest.mark.parametrize(("field", "needed"), [("make", False), ("sequence", True)])
def test_a_field_that_the_api_forgets_is_done_without_unless_the_selection_needs_it(
    field: str, *, needed: bool
) -> None:
    """Without it every row would lie outside, and nobody would notice."""
    message = f"(#100) Tried accessing nonexisting field ({field}) on node type (Image)"
    answers = [(400, {"error": {"message": message, "code": 100}}), GOOD]
    asking = Asking(lambda url: answers.pop(0))
    if needed:
        with pytest.raises(EndOfRun, match="no longer knows the field sequence"):
            asking.ask()
        return
    assert asking.ask() is Meaning.DATA
    assert field not in asking.client.fields
