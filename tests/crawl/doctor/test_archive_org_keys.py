"""Keys for archive.org: none of what can be wrong with them is in a crawl's way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mapillary_crawler.archive.internet_archive.trouble import Denied, Unavailable
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.crawl.doctor.archive_org import keys
from mapillary_crawler.crawl.doctor.finding import State, exit_code


def raising(error: Exception) -> Callable[[], bool]:
    def ask() -> bool:
        raise error

    return ask


@pytest.mark.parametrize(
    ("ask", "state", "said"),
    [
        (lambda: True, State.OK, "uploads are taken"),
        (lambda: False, State.NOTE, "not taken now"),
        (lambda: None, State.NOTE, "no keys"),
        (raising(Denied("they are nobody's", 403)), State.WARNING, "refused: they are nobody's"),
        (raising(Unavailable("no answer in time")), State.NOTE, "no answer in time"),
        (raising(ArgumentRefused("IA_TIMEOUT is no number")), State.WARNING, "IA_TIMEOUT"),
    ],
)
def test_keys(ask: Callable[[], bool | None], state: State, said: str) -> None:
    judged = keys(ask)
    assert judged.state is state
    assert said in judged.found
    assert exit_code([judged]) == 0
    assert judged.remedy or state in (State.OK, State.NOTE)
