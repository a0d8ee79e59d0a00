"""Probes: what they ask for, how much they may bring, and what a stop means."""

from __future__ import annotations

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import Response
from scrapy.settings import Settings

from mapillary_crawler.collection.outcome import EndOfRun, Outcome, RunStopped
from mapillary_crawler.crawl import witness
from mapillary_crawler.crawl.transfer.byte_budget import ByteBudget
from mapillary_crawler.graph.answers import Answer, Meaning
from tests.runs import plain_run

URL = "https://cdn.example.org/7"
PNG = b"\x89PNG\r\n"
JPEG = b"\xff\xd8\xff\xe0"


class Service:
    """An API and a CDN that know image 7; notes what is fetched, and the bytes counted then."""

    def __init__(self, answer: Answer | Exception, body: bytes | Exception = JPEG) -> None:
        self.answer, self.body = answer, body
        self.fetched: list[Request] = []
        self.counted: list[int] = []
        self.ends: list[EndOfRun] = []
        self.is_closing = False
        self.budget = ByteBudget(100, 60)
        images = SimpleNamespace(was_served=self.was_served)
        self.run = plain_run(
            SimpleNamespace(images=images),
            client=self,
            closing=lambda: self.is_closing,
            end=self.end,
            budget=self.budget,
            crawler=SimpleNamespace(settings=Settings(), engine=self),
        )

    async def ask(self, url: str) -> Answer:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def download_async(self, request: Request) -> Response:
        self.fetched.append(request)
        self.counted.append(self.budget.taken)
        if isinstance(self.body, Exception):
            raise self.body
        return Response(request.url, body=self.body)

    def was_served(self, image_id: str, sha256: bytes) -> bool:
        return (image_id, sha256) == ("7", hashlib.sha256(PNG).digest())

    def end(self, end: EndOfRun) -> None:
        self.ends.append(end)
        self.is_closing = True

    def comes(self) -> bool:
        return asyncio.run(witness.comes(self.run, "7"))


def named(**fields: Any) -> Answer:
    return Answer(Meaning.DATA, data={"id": "7", **fields})


GOOD = named(thumb_256_url=URL)


def test_an_image_comes_within_the_bytes_that_are_bounded() -> None:
    service = Service(GOOD)
    taken = service.budget.take_at_once()  # by an image that may wait for this probe
    assert service.comes()
    (request,) = service.fetched
    assert request.url == URL
    assert request.meta["download_maxsize"] == 2 << 20
    assert request.meta["download_slot"] == "probe"
    assert service.counted == [taken + 60]
    assert service.budget.taken == taken


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (named(), JPEG),
        (Answer(Meaning.GONE), JPEG),
        (GOOD, b"<html>"),
        (GOOD, OSError("reset")),
    ],
)
def test_an_image_does_not_come(answer: Answer, body: bytes | Exception) -> None:
    service = Service(answer, body)
    assert not service.comes()
    assert service.budget.taken == 0


def test_an_image_that_was_saved_in_another_format_comes() -> None:
    assert Service(GOOD, PNG).comes()


def test_a_stop_says_nothing_of_the_image() -> None:
    service = Service(GOOD, RunStopped())
    service.is_closing = True
    with pytest.raises(RunStopped):
        service.comes()
    assert service.budget.taken == 0


def test_what_ends_the_question_ends_the_run() -> None:
    end = EndOfRun(Outcome.TOKEN_REFUSED, "the API refused the token")
    service = Service(end)
    with pytest.raises(RunStopped):
        service.comes()
    assert service.ends == [end]


@pytest.mark.parametrize(("answer", "is_named"), [(named(), True), (Answer(Meaning.GONE), False)])
def test_an_image_is_named(answer: Answer, *, is_named: bool) -> None:
    assert asyncio.run(witness.is_named(Service(answer).run, "7")) is is_named
