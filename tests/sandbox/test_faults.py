"""Each fault of the API and the decisions over all faults, without a network."""

import json
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from mapillary_crawler.sandbox import damage
from mapillary_crawler.sandbox.answer import Answer
from mapillary_crawler.sandbox.faults import Faults, explanation
from mapillary_crawler.sandbox.weather import Chance, Delivery, Weather
from tests.sandbox.client import ask, expected, listed, pages, served

LISTING = {"creator_username": "alice", "limit": "10", "fields": "captured_at,computed_geometry"}


def weather(surface: str = "cdn", **faults: Any) -> Weather:
    return Weather(surface, Chance(7, Faults().merged({surface: faults})))


def test_without_faults_nothing_happens() -> None:
    calm = weather()
    assert all(calm.disturb(str(key), 1, 50).delivery is Delivery.WHOLE for key in range(200))
    assert not calm.chance.dealt


@pytest.mark.parametrize("fault", ["server_error", "too_many", "html", "redirect", "reset", "cut",
                                   "stall", "stall_body", "no_length"])  # fmt: skip
def test_a_rate_strikes_that_share_of_requests_and_spares_retries(fault: str) -> None:
    stormy = weather(**{fault: 0.3})
    calm = []
    for key in map(str, range(1000)):
        results = [stormy.disturb(key, nth, 1) for nth in range(1, 13)]
        calm.append([each.instead is None and each.delivery is Delivery.WHOLE for each in results])
    assert 0.25 < sum(not first for first, *_ in calm) / 1000 < 0.35
    assert all(any(each) for each in calm), "a fault that no retry clears"
    again = weather(**{fault: 0.3})
    assert stormy.disturb("5", 3, 1) == again.disturb("5", 3, 1), "not from the seed alone"
    assert stormy.chance.dealt[f"cdn.{fault}"] > 3000


def test_a_list_of_ids_is_struck_always_and_nothing_else() -> None:
    stormy = weather(reset=["a", "b"])
    for nth in range(1, 20):
        assert stormy.disturb("a", nth, 1).delivery is not Delivery.WHOLE
        assert stormy.disturb("c", nth, 1).delivery is Delivery.WHOLE


def test_latency_jitter_and_the_knee_add_up() -> None:
    slow = weather(latency_ms=100, jitter_ms=50, knee=4, knee_ms=20)
    delays = [slow.disturb(str(key), 1, 4).delay for key in range(100)]
    assert 0.1 <= min(delays) < max(delays) <= 0.15
    one = slow.disturb("x", 1, 4).delay
    assert slow.disturb("x", 1, 9).delay == pytest.approx(one + 5 * 0.02)
    assert weather(slow=1, slow_ms=700).disturb("x", 1, 1).delay == pytest.approx(0.7)


def test_a_ceiling_refuses_what_is_above_it() -> None:
    full = weather(ceiling=3)
    for in_flight, refused in ((1, False), (3, False), (4, True)):
        instead = full.disturb("x", 1, in_flight).instead
        assert (instead is not None) == refused
        assert instead is None or instead.status == 429


def test_retry_after_in_seconds_as_a_date_or_not_at_all() -> None:
    def header(**faults: Any) -> str | None:
        instead = weather(too_many=1, **faults).disturb("x", 1, 1).instead
        assert instead is not None
        return instead.headers.get("Retry-After")

    assert header() == "1"
    assert header(retry_after=0.5) == "0.5"
    assert header(retry_after=-1) is None
    date = header(retry_after=60, retry_after_date=True)
    assert date is not None
    parsedate_to_datetime(date)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("error", 503), ("too_many", 429), ("rate_limit", 403), ("redirect", 302)],
)
def test_an_outage_begins_after_some_requests_and_ends(kind: str, status: int) -> None:
    api = weather("api", outage_after=3, outage_seconds=60, outage=kind)
    results = [api.disturb("x", 1, 1).instead for _ in range(6)]
    assert [each and each.status for each in results] == [None, None, None] + [status] * 3
    short = weather("api", outage_after=3, outage_seconds=0, outage=kind)
    assert not any(short.disturb("x", 1, 1).instead for _ in range(6))


def test_an_outage_of_the_connection() -> None:
    for kind, delivery in (("reset", Delivery.RESET), ("stall", Delivery.STALL)):
        cdn = weather(outage_after=0, outage_seconds=60, outage=kind)
        assert cdn.disturb("x", 1, 1).delivery is delivery
    assert weather(down=True).disturb("x", 1, 1).delivery is Delivery.RESET


@pytest.mark.parametrize(
    ("fault", "status", "code", "more"),
    [
        ("rate_limited", 403, 4, {"is_transient": True}),
        ("temporary", 500, 2, {}),
        ("query_timeout", 400, -2, {"error_subcode": 3404014, "is_transient": False}),
        ("unknown_error", 500, 1, {"error_subcode": 99}),
        ("too_much", 500, 1, {}),
        ("error_in_200", 200, 1, {}),
    ],
)
def test_transient_errors_of_the_api(
    fault: str, status: int, code: int, more: dict[str, Any]
) -> None:
    server = served({fault: 0.5}, images=10)
    answers = [ask(server, "/images", **LISTING) for _ in range(30)]
    errors = [(got, body["error"]) for got, body in answers if "error" in body]
    assert 5 < len(errors) < 25
    for got, error in errors:
        assert (got, error["code"]) == (status, code)
        assert more.items() <= error.items()


def test_too_much_above_a_limit_is_no_matter_of_luck() -> None:
    server = served({"too_much_above": 500}, images=5000)
    for limit, status in (("2000", 500), ("501", 500), ("500", 200), ("25", 200)):
        assert ask(server, "/images", creator_username="alice", limit=limit)[0] == status
    assert ask(server, "/images", creator_username="alice")[0] == 500, "2000 is the default"


def test_broken_and_deep_json() -> None:
    with pytest.raises(json.JSONDecodeError):
        ask(served({"broken_json": 1}), "/images", **LISTING)
    with pytest.raises(RecursionError):
        ask(served({"deep_json": 1}), "/images", **LISTING)


def test_a_silently_empty_answer() -> None:
    server = served({"silent_empty": 1}, images=10)
    assert ask(server, "/images", **LISTING) == (200, {"data": []})
    assert ask(server, "/", ids=expected(server)[0]) == (200, {})


def test_the_token_can_be_refused_in_every_disguise_or_die() -> None:
    for disguise, status in (
        ("missing", 500), ("undecodable", 401), ("unparsable", 400), ("never_issued", 401),
        ("never_issued_query", 400), ("outage", 500), ("extra_character", 400), ("stopped", 400),
        ("withdrawn", 401),
    ):  # fmt: skip
        assert ask(served({"refuse_token": disguise}), "/images", **LISTING)[0] == status
    server = served({"token_dies_after": 2}, images=10)
    assert [ask(server, "/images", **LISTING)[0] for _ in range(4)] == [200, 200, 400, 400]


def test_paging_variants_after_the_last_row() -> None:
    assert [len(page["data"]) for page in pages(served(images=30), limit="10")] == [10, 10, 10]
    found = pages(served({"paging": "extra_page"}, images=30), limit="10")
    assert [len(page["data"]) for page in found] == [10, 10, 10, 0]
    found = pages(served({"paging": "bare"}, images=25), limit="10")
    assert ["paging" in page for page in found] == [True, True, False]
    body = ask(served({"paging": "cursors_only"}, images=25), "/images", **LISTING)[1]
    assert list(body["paging"]) == ["cursors"]


def test_empty_pages_in_the_middle_lose_nothing() -> None:
    server = served({"empty_page": 0.5}, images=300)
    found = pages(server, limit="10")
    empty = [page for page in found if not page["data"]]
    assert empty
    assert all("next" in page["paging"] for page in empty)
    assert listed(found) == expected(server)


def test_duplicated_rows_within_and_across_pages() -> None:
    server = served({"duplicates": 0.2, "repeated_rows": 3}, images=100)
    ids = listed(pages(server, limit="10"))
    assert list(dict.fromkeys(ids)) == expected(server)
    counts = Counter(ids)
    assert sum(count > 1 for count in counts.values()) > 27 + 5


def test_whole_pages_without_computed_geometry() -> None:
    server = served({"no_computed_page": 0.5}, images=300, missing_fields=0)
    found = pages(server, limit="10", fields="computed_geometry")
    shares = {sum("computed_geometry" in row for row in page["data"]) for page in found}
    assert shares == {0, 10}


def test_cursors_can_be_rejected_later() -> None:
    server = served({"reject_cursors_after": 2}, images=100)
    first = ask(server, "/images", **LISTING)[1]["paging"]["cursors"]["after"]
    assert ask(server, "/images", **LISTING, after=first)[0] == 200
    status, body = ask(server, "/images", **LISTING, after=first)
    assert (status, body["error"]["code"]) == (400, 100)
    assert "error_subcode" not in body["error"]
    assert listed(pages(server, limit="10")) == expected(server), "new cursors must hold"
    second = ask(server, "/images", **LISTING)[1]["paging"]["cursors"]["after"]
    server.chance.faults = server.chance.faults.merged({"api": {"cursor_epoch": 5}})
    assert ask(server, "/images", **LISTING, after=second)[0] == 400


def test_images_vanish() -> None:
    server = served({"vanish": 0.2, "vanish_after": 1}, images=100)
    before = listed(pages(server, limit="100"))
    after = listed(pages(server, limit="100"))
    gone = [each for each in before if each not in after]
    assert before == expected(server)
    assert 10 < len(gone) < 30
    assert ask(server, f"/{gone[0]}")[1]["error"]["error_subcode"] == 33
    assert ask(server, f"/{after[0]}")[0] == 200
    server = served({"vanish": gone[:2], "vanish_listed": True}, images=100)
    assert listed(pages(server, limit="100")) == before
    assert ask(server, "/", ids=",".join(gone[:3]))[1].keys() == {gone[2]}


def test_images_appear_at_the_front_and_behind_the_cursor() -> None:
    server = served({"appear_after": 3}, images=100, late=10, new=5)
    alice = server.catalogue.user("alice")
    first = listed(pages(server, limit="40"))
    assert len(first) < 100, "the late images came too early"
    second = listed(pages(server, limit="40"))
    assert second == [image.image_id for image in alice.images(late=True)]
    assert set(expected(server)) <= set(first)
    assert second[:5] == [alice.image(index).image_id for index in range(5)]


def test_hostile_rows_are_json_that_a_parser_accepts() -> None:
    server = served(images=400, hostile=60, nameless=16, integer_ids=5, odd_types=0.5, bad_urls=0.2)
    rows = pages(server, fields="captured_at,geometry,sequence,thumb_256_url")[0]["data"]
    assert len(rows) == 400
    assert sum("id" not in row for row in rows) == 2
    assert sum(type(row.get("id")) is int for row in rows) == 5
    assert sum(isinstance(row.get("thumb_256_url"), str) for row in rows) < 400
    assert any(isinstance(row.get("geometry"), str) for row in rows)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ([], "faults are"),
        ({"tiles": {}}, "tiles"),
        ({"api": 5}, "api"),
        ({"cdn": {"rest": 1}}, "cdn.rest"),
        ({"cdn": {"reset": 2}}, "cdn.reset"),
        ({"cdn": {"reset": True}}, "cdn.reset"),
        ({"cdn": {"ceiling": 0.5}}, "cdn.ceiling"),
        ({"cdn": {"down": 1}}, "cdn.down"),
        ({"cdn": {"hosts": "localhost"}}, "cdn.hosts"),
        ({"api": {"paging": "odd"}}, "cursors_only"),
        ({"api": {"refuse_token": "good"}}, "undecodable"),
    ],
)
def test_a_wrong_fault_is_named(changes: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Faults().merged(changes)


def test_every_fault_is_explained() -> None:
    assert all(meaning for _, _, meaning in explanation())
    names = [name for name, _, _ in explanation()]
    assert len(set(names)) == len(names)


def test_faults_merge() -> None:
    faults = Faults().merged({"cdn": {"reset": 0.5}}).merged({"cdn": {"cut": ["1"]}, "api": {}})
    assert (faults.cdn.reset, faults.cdn.cut) == (0.5, ("1",))


@pytest.mark.parametrize("fault", ["empty", "truncated", "truncated_closed", "zero_filled",
                                   "zero_filled_closed"])  # fmt: skip
def test_spoilt_bodies_are_transient(fault: str) -> None:
    chance = Chance(1, Faults().merged({"cdn": {fault: 0.5}}))
    answer = Answer(200, b"\xff\xd8" + bytes(range(1, 200)) + b"\xff\xd9", "image/jpeg")
    bodies = [damage.spoil(answer, "1", nth, chance).body for nth in range(40)]
    assert len(set(bodies)) == 2
    assert 8 < bodies.count(answer.body) < 32


def test_damage_at_the_source_is_for_ever_and_a_jpeg() -> None:
    answer = Answer(200, b"\xff\xd8" + bytes(range(1, 200)) + b"\xff\xd9", "image/jpeg")
    chance = Chance(1, Faults().merged({"cdn": {"damaged": 0.3}}))
    served_bodies = {
        name: {damage.spoil(answer, name, nth, chance).body for nth in range(5)}
        for name in map(str, range(200))
    }
    assert all(len(bodies) == 1 for bodies in served_bodies.values())
    damaged = {name: bodies.pop() for name, bodies in served_bodies.items()}
    damaged = {name: body for name, body in damaged.items() if body != answer.body}
    assert 40 < len(damaged) < 80
    assert all(body.startswith(b"\xff\xd8") for body in damaged.values())
    assert all(body == damage.at_source(answer.body, name) for name, body in damaged.items())
    endless = Chance(1, Faults().merged({"cdn": {"endless": ["1"], "endless_bytes": 5000}}))
    assert len(damage.spoil(answer, "1", 1, endless).body) == 5000
