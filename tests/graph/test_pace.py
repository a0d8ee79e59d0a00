"""What a question takes of the API's limits, and that no minute takes more than there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.graph import api
from mapillary_crawler.graph.pace import ENTITIES, SEARCHES, Pace, cost

BASE = "https://graph.example.org/prefix"
PAGE = api.page_url(BASE, Collection("alice"), ("id",))
BATCH = api.batch_url(BASE, ["1", "2", "3"], ("id",))
ENTITY = api.entity_url(BASE, "1", ("id",))


def test_what_questions_take() -> None:
    assert cost(PAGE) == (SEARCHES, 1)
    assert cost(api.cheap_url(BASE)) == (SEARCHES, 1)
    assert cost(BATCH) == (ENTITIES, 3)
    assert cost(ENTITY) == (ENTITIES, 1)


def test_kinds_do_not_wait_for_each_other() -> None:
    pace = Pace({SEARCHES: 60, ENTITIES: 60})
    assert pace.wait(PAGE, 100) == 0
    assert pace.wait(BATCH, 100) == 0
    assert pace.wait(PAGE, 100) == 1
    assert pace.wait(ENTITY, 101) == 2
    assert pace.wait(ENTITY, 500) == 0


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from([PAGE, BATCH, ENTITY])), max_size=300))
def test_no_minute_has_more_than_its_limit(questions: list[tuple[float, str]]) -> None:
    limits = {SEARCHES: 30, ENTITIES: 90}
    pace, now = Pace(limits), 0.0
    asked: list[tuple[float, str, int]] = []
    for pause, url in questions:
        now += pause
        asked.append((now + pace.wait(url, now), *cost(url)))
    for start, kind, _ in asked:
        within = [
            amount for at, other, amount in asked if other == kind and start <= at < start + 59.9
        ]
        assert sum(within[:-1]) <= limits[kind]  # the last is spread over what follows
