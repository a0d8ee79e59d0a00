"""The throttle on simulated servers: what issue and design ask of it, in simulated seconds."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from scrapy.http import Response

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.crawl.transfer.brake import Brake
from mapillary_crawler.crawl.transfer.downloader import TRANSFER_BESIDE, TRANSFER_STARTED
from mapillary_crawler.crawl.transfer.hill_climb import Mode
from mapillary_crawler.crawl.transfer.outage import IN_A_ROW, NO_IMAGES_IN_A_ROW, Outage
from mapillary_crawler.crawl.transfer.search import ConcurrencySearch
from mapillary_crawler.crawl.transfer.window import TransferOutcome
from mapillary_crawler.middlewares import OutcomesMiddleware
from tests.runs import plain_run, spider_of
from tests.simulated_server import (
    Server,
    Simulation,
    first,
    most_in_flight,
    rate,
    refused_share,
)

SEEDS = [1, 2]


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Simulation:
    return Simulation(monkeypatch)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)


# Latency grows linearly above a knee: as steeply as the rate stays the same, or falls.


@pytest.mark.parametrize("steepness", [1.0, 4.0])
@pytest.mark.parametrize("jitter", [0.0, 0.2])
@pytest.mark.parametrize("knee", [8, 16, 24, 48, 80])
def test_a_knee_is_found_and_not_overrun(
    simulation: Simulation, knee: int, jitter: float, steepness: float
) -> None:
    latency = 0.1
    server = Server(latency, jitter, knee, steepness * latency / knee, random=seeded(knee))
    moments = simulation.run(server, 60)
    assert rate(moments, 30, 60) >= 0.9 * knee / latency
    assert most_in_flight(moments, 30) <= 1.5 * knee


def test_a_knee_below_the_minimum_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = Simulation(monkeypatch, concurrency_min=12).run(Server(knee=4), 20)
    assert min(m.in_flight for m in moments[500:]) >= 11
    assert rate(moments, 10, 20) == pytest.approx(40, rel=0.05)


# What MAX_BYTES_PER_SECOND holds back says nothing of the server.


@pytest.mark.parametrize("images_per_second", [3, 40, 120])
def test_a_brake_is_not_read_as_a_slow_server(
    simulation: Simulation, images_per_second: int
) -> None:
    """An image waits up to seconds here: the search stays where it is, and is well afterwards."""
    brake = Brake(images_per_second * 100_000)
    simulation.downloader.brake = brake

    def lift(server: Server) -> None:
        brake.bytes_per_second = 10**12

    moments = simulation.run(Server(latency=0.1), 120, (60, lift))
    assert rate(moments, 10, 60) == pytest.approx(images_per_second, rel=0.05)
    held = {moment.in_flight for moment in moments if 10 <= moment.at < 60}
    assert max(held) <= 16
    assert min(held) >= 2
    assert rate(moments, 100, 120) >= 0.9 * 128 / 0.1


def test_a_brake_lets_few_large_images_begin_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen originals at 100 kB/s would take eleven minutes, each at a crawl."""
    simulation = Simulation(monkeypatch)
    simulation.throttle._run.collection.collection = Collection("someone", "original")
    simulation.downloader.brake = Brake(100_000)
    simulation.throttle._apply()
    assert simulation.downloader.limit == 2
    simulation.downloader.brake = Brake(10**8)
    simulation.throttle._apply()
    assert simulation.downloader.limit == 16


# Requests above a ceiling are refused, at once or not, counted by the server or not.


@pytest.mark.parametrize(
    "refusing",
    [
        {"refuses_at_once": True, "counts_refused": False},
        {"counts_refused": False},
        {"counts_refused": True},
        {"counts_refused": True, "retry_after": 1.0},
    ],
    ids=["at once", "late", "late and counted", "counted, with Retry-After"],
)
@pytest.mark.parametrize(("ceiling", "latency"), [(16, 0.02), (16, 0.1), (20, 0.1), (64, 0.1)])
def test_a_ceiling_is_kept(
    simulation: Simulation, ceiling: int, latency: float, refusing: dict[str, Any]
) -> None:
    server = Server(latency, 0.2, ceiling=ceiling, random=seeded(ceiling), **refusing)
    moments = simulation.run(server, 60)
    assert rate(moments, 20, 60) >= 0.85 * ceiling / latency
    assert refused_share(moments, 20) < 0.01
    assert not simulation.throttle.is_outage()


@pytest.mark.parametrize("jitter", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("ceiling", [24, 40])
def test_a_ceiling_is_kept_though_answers_are_heard_late(
    simulation: Simulation, ceiling: int, jitter: float
) -> None:
    """What the server has ended is still in flight here, and each refusal pauses everything."""
    server = Server(
        0.1, jitter, ceiling=ceiling, retry_after=1.0, seconds_each=0.003, random=seeded(ceiling)
    )
    moments = simulation.run(server, 90)
    assert rate(moments, 20, 90) >= 0.85 * min(ceiling / 0.1, 1 / 0.003)
    assert refused_share(moments, 20) < 0.01


def test_a_server_that_wants_long_pauses_is_tried_rarely(simulation: Simulation) -> None:
    server = Server(0.1, 0.2, ceiling=24, retry_after=5.0, random=seeded(24))
    assert rate(simulation.run(server, 120), 20, 120) >= 0.85 * 240


# No limit, and a limit that is our own.


def test_without_limits_the_maximum_is_reached_at_once(simulation: Simulation) -> None:
    moments = simulation.run(Server(jitter=0.2), 20, images=5000)
    assert first(moments, 64) < 3
    assert moments[-1].at < 1.3 * 5000 * 0.1 / 128
    assert most_in_flight(moments, 0) == 128


@pytest.mark.parametrize("latency", [0.001, 0.02, 0.1])
@pytest.mark.parametrize("each", [0.0025, 0.01])
def test_a_busy_line_or_processor_is_kept_busy(
    simulation: Simulation, latency: float, each: float
) -> None:
    moments = simulation.run(Server(latency, 0.3, seconds_each=each), 30)
    assert rate(moments, 5, 30) >= 0.95 / each


def test_a_start_at_one_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = Simulation(monkeypatch, concurrency_start=1).run(Server(), 10)
    assert first(moments, 128) < 6


def test_a_fixed_concurrency_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(monkeypatch, concurrency_fixed=24)
    moments = simulation.run(Server(knee=8, refused_share=0.02, failed_share=0.02), 10)
    assert {m.in_flight for m in moments[100:]} == {24}


# Servers that change.


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_gets_slow_and_recovers_is_followed(
    simulation: Simulation, seed: int
) -> None:
    server = Server(0.1, 0.2, knee=64, random=seeded(seed))
    moments = simulation.run(
        server,
        140,
        (30, lambda server: setattr(server, "knee", 8)),
        (70, lambda server: setattr(server, "knee", 64)),
    )
    assert rate(moments, 50, 70) >= 0.85 * 80
    assert most_in_flight([m for m in moments if m.at < 70], 60) <= 1.5 * 8
    assert first(moments, 58, since=70) < 60
    assert rate(moments, 130, 140) >= 0.9 * 640


@pytest.mark.parametrize("ceiling_after", [64, 1_000_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_ceiling_that_rises_is_found_within_a_minute(
    simulation: Simulation, seed: int, ceiling_after: int
) -> None:
    server = Server(0.1, 0.2, ceiling=64, random=seeded(seed))
    moments = simulation.run(
        server,
        140,
        (20, lambda server: setattr(server, "ceiling", 16)),
        (72, lambda server: setattr(server, "ceiling", ceiling_after)),
    )
    assert not simulation.throttle.crawler.stats.get_value("throttle/images/pauses")
    assert rate(moments, 40, 72) >= 0.85 * 160
    assert first(moments, min(120, int(0.9 * ceiling_after)), since=72) < 60


def test_half_a_minute_of_misery_is_forgotten_within_a_minute(simulation: Simulation) -> None:
    def ill(server: Server) -> None:
        server.latency, server.ceiling, server.retry_after = 2.0, 20, 1.0

    def well(server: Server) -> None:
        server.latency, server.ceiling = 0.1, 1_000_000

    moments = simulation.run(Server(0.1, 0.1), 130, (30, ill), (60, well))
    assert rate(moments, 120, 130) >= 0.9 * 1280


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("share", "knee"), [(0.02, 32), (0.05, 1_000_000)])
def test_faults_that_have_nothing_to_do_with_it_change_nothing(
    simulation: Simulation, share: float, knee: int, seed: int
) -> None:
    server = Server(
        0.1, 0.2, knee=knee, refused_share=share, failed_share=share, random=seeded(seed)
    )
    moments = simulation.run(server, 40)
    assert rate(moments, 15, 40) >= 0.8 * min(knee, 128) / 0.1
    assert not simulation.throttle.is_outage()


# Single rules.


def fed(search: ConcurrencySearch, now: float, outcome: TransferOutcome, count: int) -> None:
    for _ in range(count):
        search.finished(now, 0.1, 1, outcome, begun_with=search.limit, in_flight=search.limit)


def test_one_round_trip_of_failures_halves_once() -> None:
    search = ConcurrencySearch(64, 1, 128)
    fed(search, 1.0, TransferOutcome.FAILED, 64)
    assert search.limit == 32
    fed(search, 1.05, TransferOutcome.FAILED, 64)  # begun before
    assert search.limit == 32
    fed(search, 1.2, TransferOutcome.FAILED, 32)
    assert search.limit == 16


def test_one_round_trip_of_refusals_takes_half_at_most() -> None:
    search = ConcurrencySearch(64, 1, 128)
    fed(search, 1.0, TransferOutcome.REFUSED, 40)
    assert search.limit == 32
    fed(search, 1.0, TransferOutcome.REFUSED, 60)
    assert search.limit >= 30


def test_few_refusals_give_their_places_back() -> None:
    search = ConcurrencySearch(64, 1, 128)
    fed(search, 1.0, TransferOutcome.REFUSED, 2)
    assert search.limit == 62
    fed(search, 1.0, TransferOutcome.GOOD, 62)
    assert search.limit == 64


def test_too_few_images_say_nothing_of_the_server() -> None:
    search = ConcurrencySearch(32, 1, 128)
    for step in range(1000):
        search.finished(step * 0.02, 0.1, 1, TransferOutcome.GOOD, begun_with=5, in_flight=4)
    assert search.limit == 32


def test_of_a_rise_only_what_is_made_use_of_is_kept() -> None:
    """As where the processor feeds no more than 24 transfers at once."""
    search = ConcurrencySearch(16, 1, 128)
    now, kept = 0.0, []
    for _ in range(3000):
        now += 0.1 / min(search.limit, 24)
        in_flight = min(search.limit, 24)
        search.finished(
            now, 0.1, 1, TransferOutcome.GOOD, begun_with=in_flight, in_flight=in_flight
        )
        if search.mode is Mode.CRUISE:
            kept.append(search.limit)
    assert kept[0] == 16
    assert set(kept[500:]) == {24}


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 20),
    st.integers(0, 60),
    st.lists(
        st.tuples(
            st.sampled_from(TransferOutcome),
            st.floats(0, 3),
            st.integers(1, 150),
            st.integers(1, 60),
        ),
        max_size=60,
    ),
)
def test_whatever_comes_the_limits_hold(
    minimum: int, more: int, transfers: list[tuple[TransferOutcome, float, int, int]]
) -> None:
    maximum, now = minimum + more, 0.0
    search = ConcurrencySearch((minimum + maximum) // 2, minimum, maximum)
    for outcome, seconds, beside, count in transfers:
        for _ in range(count):
            now += seconds / 10
            search.finished(now, seconds, 1, outcome, begun_with=beside, in_flight=beside)
            assert minimum <= search.limit <= maximum


# An outage of the CDN as a whole.


def failures(outage: Outage, outcome: TransferOutcome, count: int, begun_with: int = 1) -> bool:
    said = False
    for number in range(count):
        said = outage.finished(100.0 + number, outcome, begun_with=begun_with, first_attempt=True)
    return said


def test_failures_in_a_row_are_an_outage_since_the_first() -> None:
    outage = Outage()
    assert not failures(outage, TransferOutcome.FAILED, IN_A_ROW - 1)
    assert failures(outage, TransferOutcome.FAILED, 1)
    assert outage.since == 100.0


@pytest.mark.parametrize("answer", [TransferOutcome.GOOD, TransferOutcome.BESIDE])
def test_an_answer_between_proves_that_the_cdn_lives(answer: TransferOutcome) -> None:
    outage = Outage()
    for _ in range(10):
        failures(outage, TransferOutcome.FAILED, IN_A_ROW - 1)
        assert not failures(outage, answer, 1)
    failures(outage, TransferOutcome.FAILED, IN_A_ROW)
    assert outage.since is not None
    failures(outage, answer, 1)
    assert outage.since is None


def test_refusals_are_an_outage_only_beyond_what_was_in_flight() -> None:
    outage = Outage()
    assert not failures(outage, TransferOutcome.REFUSED, 95, begun_with=32)
    assert failures(outage, TransferOutcome.REFUSED, 1, begun_with=32)


def test_refusals_of_single_transfers_are_an_outage_at_once() -> None:
    outage = Outage()
    failures(outage, TransferOutcome.REFUSED, 50, begun_with=32)
    assert failures(outage, TransferOutcome.REFUSED, IN_A_ROW, begun_with=1)


def test_images_that_failed_before_are_no_evidence() -> None:
    outage = Outage()
    for _ in range(50):
        assert not outage.finished(1.0, TransferOutcome.FAILED, begun_with=1, first_attempt=False)


def test_answers_that_are_no_images_are_a_block_only_if_many() -> None:
    outage = Outage()
    assert not failures(outage, TransferOutcome.NO_IMAGE, NO_IMAGES_IN_A_ROW - 1)
    assert not failures(outage, TransferOutcome.GOOD, 1)
    assert not failures(outage, TransferOutcome.NO_IMAGE, NO_IMAGES_IN_A_ROW - 1)
    assert failures(outage, TransferOutcome.NO_IMAGE, 1)
    assert failures(outage, TransferOutcome.NO_IMAGE, 1)  # nor do they end it
    assert outage.since == 100.0


def test_pauses_grow_to_a_cap() -> None:
    outage = Outage(random.Random(3))
    pauses = [outage.pause() for _ in range(200)]
    assert max(pauses[:3]) <= 4
    assert 50 < max(pauses) <= 60
    assert min(pauses) > 0
    outage.end()
    assert outage.pause() <= 1


def test_in_an_outage_one_transfer_tries_after_each_pause(simulation: Simulation) -> None:
    moments = simulation.run(
        Server(0.2),
        400,
        (5, lambda server: setattr(server, "failed_share", 1.0)),
        (300, lambda server: setattr(server, "failed_share", 0.0)),
    )
    tries = [m for m in moments if 6 < m.at < 300]
    assert 5 <= len(tries) <= 60
    assert {m.in_flight for m in tries} <= {0, 1}
    assert max(simulation.downloader.pauses) <= 60
    assert rate(moments, 365, 400) >= 0.9 * 128 / 0.2
    assert not simulation.throttle.is_outage()


# What the middleware makes of a transfer.


class Heard:
    """Stands in for the throttle."""

    def __init__(self) -> None:
        self.told: list[tuple[int, TransferOutcome, float | None]] = []

    def finished(
        self,
        latency: float,
        size: int,
        outcome: TransferOutcome,
        *,
        retry_after: float | None,
        **_: Any,
    ) -> None:
        assert latency > 0
        self.told.append((size, outcome, retry_after))


@pytest.fixture
def middleware() -> tuple[OutcomesMiddleware, Heard]:
    heard = Heard()
    crawler: Any = SimpleNamespace(spider=spider_of(plain_run(throttle=heard)))
    return OutcomesMiddleware(crawler), heard


def transfer(*, fresh: bool = False, url: str = "https://cdn.example/1", **meta: Any) -> Request:
    """Return a request for an image as the downloader leaves it."""
    item = SimpleNamespace(attempts=0, fresh=fresh, url=url)
    stamps = {TRANSFER_STARTED: 0.0, TRANSFER_BESIDE: 3}
    return Request("https://cdn.example/1", meta={"item": item, **stamps, **meta})


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (200, {}, (3, TransferOutcome.GOOD, None)),
        (200, {"Retry-After": "9"}, (3, TransferOutcome.GOOD, None)),
        (403, {}, (3, TransferOutcome.BESIDE, None)),
        (404, {}, (3, TransferOutcome.BESIDE, None)),
        (410, {}, (3, TransferOutcome.BESIDE, None)),
        (429, {}, (3, TransferOutcome.REFUSED, None)),
        (429, {"Retry-After": "7"}, (3, TransferOutcome.REFUSED, 7.0)),
        (429, {"Retry-After": "soon"}, (3, TransferOutcome.REFUSED, None)),
        (429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, (3, TransferOutcome.REFUSED, 0.0)),
        (503, {"Retry-After": "120"}, (3, TransferOutcome.REFUSED, None)),  # this one image's
        (500, {}, (3, TransferOutcome.FAILED, None)),
        (502, {}, (3, TransferOutcome.FAILED, None)),
    ],
)
def test_an_answer_is_told_by_its_status(
    middleware: tuple[OutcomesMiddleware, Heard],
    status: int,
    headers: dict[str, str],
    told: tuple[int, TransferOutcome, float | None],
) -> None:
    outcomes, heard = middleware
    response = Response("https://cdn.example/1", status, headers, b"\xff\xd8a")
    assert outcomes.process_response(transfer(download_slot="images"), response) is response
    assert heard.told == [told]


@pytest.mark.parametrize(
    ("status", "body", "fresh", "told"),
    [
        (200, b"<html>", False, TransferOutcome.NO_IMAGE),
        (200, b"", True, TransferOutcome.NO_IMAGE),
        (302, b"", False, TransferOutcome.NO_IMAGE),
        (401, b"", False, TransferOutcome.NO_IMAGE),
        (403, b"", True, TransferOutcome.NO_IMAGE),
        (404, b"", True, TransferOutcome.BESIDE),
    ],
)
def test_what_is_no_image_says_nothing_of_the_image(
    middleware: tuple[OutcomesMiddleware, Heard],
    status: int,
    body: bytes,
    fresh: bool,
    told: TransferOutcome,
) -> None:
    outcomes, heard = middleware
    response = Response("https://cdn.example/1", status, body=body)
    outcomes.process_response(transfer(download_slot="images", fresh=fresh), response)
    assert heard.told == [(len(body), told, None)]


def test_a_fresh_url_that_has_expired_is_no_block(
    middleware: tuple[OutcomesMiddleware, Heard],
) -> None:
    outcomes, heard = middleware
    asked = transfer(download_slot="images", fresh=True, url="https://cdn.example/1?oe=5000")
    outcomes.process_response(asked, Response(asked.url, 403))
    assert heard.told == [(0, TransferOutcome.BESIDE, None)]


@pytest.mark.parametrize(
    "error",
    [
        DownloadTimeoutError(),
        DownloadFailedError(),
        ResponseDataLossError(),
        DownloadConnectionRefusedError(),
        CannotResolveHostError(),
        OSError("reset"),
    ],
)
def test_a_transfer_without_an_answer_has_failed(
    middleware: tuple[OutcomesMiddleware, Heard], error: Exception
) -> None:
    outcomes, heard = middleware
    outcomes.process_exception(transfer(download_slot="images"), error)
    assert heard.told == [(0, TransferOutcome.FAILED, None)]


def test_a_stop_other_slots_and_what_never_began_say_nothing(
    middleware: tuple[OutcomesMiddleware, Heard],
) -> None:
    outcomes, heard = middleware
    outcomes.process_exception(transfer(download_slot="images"), RunStopped())
    outcomes.process_exception(transfer(download_slot="api"), OSError())
    outcomes.process_response(transfer(download_slot="api"), Response("https://api.example/"))
    unbegun = Request("https://cdn.example/1", meta={"download_slot": "images"})
    outcomes.process_exception(unbegun, OSError())
    assert heard.told == []
