"""Ranges of an item's files, and every answer that is not what was asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from mapillary_crawler.archive.internet_archive import ranges as module
from mapillary_crawler.archive.internet_archive.ranges import Ranges
from mapillary_crawler.archive.internet_archive.trouble import Denied, StillUnavailable
from mapillary_crawler.collection.outcome import RunStopped
from tests.range_server import Downloads, downloads


@pytest.fixture
def served() -> Iterator[Downloads]:
    with downloads() as served:
        served.files["an item/a b.tar"] = bytes(range(256))
        yield served


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ranges(served: Downloads, said: list[str]) -> Iterator[Ranges]:
    made = Ranges(served.url, wait=0.001, patience=60, timeout=5, say=said.append)
    with closing(made):
        yield made


def test_a_range_is_asked_for_and_nothing_else(served: Downloads, ranges: Ranges) -> None:
    assert ranges.read("an item", "a b.tar", 10, 3) == b"\x0a\x0b\x0c"
    assert served.asked == [("/download/an%20item/a%20b.tar", "bytes=10-12")]


def test_what_an_item_has(
    served: Downloads, ranges: Ranges, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served.answers["an item"] = b'{"files": []}'
    assert ranges.metadata("an item") == {"files": []}
    assert ranges.metadata("another") == {}
    served.answers["an item"] = b"[]"
    assert ranges.metadata("an item") == {}
    served.statuses = [503]
    assert ranges.metadata("../x") == {}
    assert served.asked[-1][0] == "/metadata/..%2Fx"
    assert len(said) == 1
    monkeypatch.setattr(module, "ANSWER_BYTES", 10)
    served.answers["an item"] = b" " * 11
    with pytest.raises(Denied, match="more than 10 bytes"):
        ranges.metadata("an item")


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000])
def test_an_answer_that_is_none_is_asked_for_again(served: Downloads, body: bytes) -> None:
    served.answers["an item"] = body
    made = Ranges(served.url, wait=0.001, patience=0.01, timeout=5, say=lambda _: None)
    with closing(made), pytest.raises(StillUnavailable, match="no JSON"):
        made.metadata("an item")


def test_names_lead_nowhere_else(served: Downloads, ranges: Ranges) -> None:
    with pytest.raises(Denied, match="no such file"):
        ranges.read("../x", "y/../../z?a#b", 0, 1)
    assert served.asked[0][0] == "/download/..%2Fx/y%2F..%2F..%2Fz%3Fa%23b"


def test_redirects_to_where_the_files_are(served: Downloads, ranges: Ranges) -> None:
    served.redirected = True
    assert ranges.read("an item", "a b.tar", 0, 1) == b"\0"


def test_what_passes_is_waited_for(served: Downloads, ranges: Ranges, said: list[str]) -> None:
    served.statuses = [503, 429, 500]
    assert ranges.read("an item", "a b.tar", 1, 1) == b"\x01"
    assert len(said) == 3
    assert "an item/a b.tar: HTTP 503; trying again" in said[0]


@pytest.mark.parametrize(("status", "why"), [(403, "HTTP 403"), (404, "no such file")])
def test_a_no_is_no(served: Downloads, ranges: Ranges, status: int, why: str) -> None:
    served.statuses = [status]
    with pytest.raises(Denied, match=why):
        ranges.read("an item", "a b.tar", 1, 1)
    assert len(served.asked) == 1


@pytest.mark.parametrize(("start", "size"), [(250, 10), (300, 1)])
def test_a_file_that_is_shorter_there(ranges: Ranges, start: int, size: int) -> None:
    with pytest.raises(Denied, match="shorter"):
        ranges.read("an item", "a b.tar", start, size)


def test_who_knows_no_ranges_is_not_read_to_the_end(served: Downloads, ranges: Ranges) -> None:
    served.whole = True
    with pytest.raises(Denied, match="whole file"):
        ranges.read("an item", "a b.tar", 1, 1)


def test_who_stays_away_is_asked_no_more(served: Downloads, said: list[str]) -> None:
    served.cut = 1
    with closing(Ranges(served.url, wait=0, patience=0, timeout=5, say=said.append)) as ranges:
        for _ in range(3):
            with pytest.raises(StillUnavailable, match=r"an item/a b\.tar: archive\.org stayed"):
                ranges.read("an item", "a b.tar", 1, 3)
        assert ranges.away is not None
    assert len(served.asked) == 1


def test_nobody_waits_once_it_is_to_stop(served: Downloads) -> None:
    served.statuses = [503] * 9
    waits = threading.Event()

    def say(_: str) -> None:
        waits.set()

    with closing(Ranges(served.url, wait=1000, patience=5000, timeout=5, say=say)) as ranges:
        ended: list[BaseException] = []

        def read() -> None:
            try:
                ranges.read("an item", "a b.tar", 1, 1)
            except RunStopped as error:
                ended.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        assert waits.wait(30)
        ranges.stop()
        thread.join(30)
        assert ended
