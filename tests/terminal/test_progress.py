"""How far, how fast, and how long still."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.progress import Pace, Phase, Report, Snapshot

BALANCE = Balance(saved=40, gone=3, unavailable=2, failed=9, left=46, bytes_saved=4_000_000)
FETCHING = Snapshot(Phase.FETCHING, BALANCE, to_retry=4, given_up=5, in_flight=7)


def paced(*samples: tuple[float, int]) -> tuple[Pace, Snapshot]:
    """Return the pace of 1000 images of 100 bytes, with so many saved at those times."""
    pace, snapshot = Pace(), FETCHING
    for at, saved in samples:
        balance = Balance(saved=saved, left=1000 - saved, bytes_saved=100 * saved)
        snapshot = Snapshot(Phase.FETCHING, balance)
        pace.note(at, snapshot)
    return pace, snapshot


def test_what_is_done_and_left() -> None:
    assert (FETCHING.done, FETCHING.to_do) == (50, 50)
    accepted = replace(
        FETCHING, balance=replace(BALANCE, failed=55, left=0, accepted=55), given_up=0
    )
    assert (accepted.done, accepted.to_do) == (100, 0)


def test_rate_is_that_of_the_last_half_minute() -> None:
    pace, snapshot = paced(*((float(second), second) for second in range(60)))
    assert pace.rates() == pytest.approx((1, 100))
    pace, snapshot = paced((0.0, 0), (100.0, 0), (110.0, 200))
    assert pace.rates() == pytest.approx((20, 2000))
    assert pace.seconds_left(snapshot) == pytest.approx(800 / (200 / 110))


def test_nothing_is_foretold_without_ground() -> None:
    assert Pace().rates() == (0, 0)
    pace, snapshot = paced((0.0, 5))
    assert pace.rates() == (0, 0)
    assert pace.seconds_left(snapshot) is None
    pace, snapshot = paced((0.0, 5), (1.0, 9))
    assert pace.seconds_left(replace(snapshot, phase=Phase.LISTING)) is None
    assert paced((7.0, 5), (7.0, 9))[0].rates() == (0, 0)


def test_an_image_that_is_wanted_again_is_no_negative_rate() -> None:
    pace, _ = paced((0.0, 10), (1.0, 8))
    assert pace.rates() == (0, 0)


def test_memory_does_not_grow() -> None:
    pace, _ = paced(*((float(second), 1) for second in range(5000)))
    assert len(pace._samples) < 400


def test_line_says_what_matters() -> None:
    pace = Pace()
    pace.note(0, replace(FETCHING, balance=replace(BALANCE, saved=20, left=66, bytes_saved=0)))
    pace.note(10, FETCHING)
    assert Report("mapillary-a-256", FETCHING, pace).line() == (
        "mapillary-a-256: fetching, 50 %, 0:25 left, 50 of 100 images, 4.0 MB, 2.0 images/s, "
        "400.0 kB/s, 7 in flight, 5 failed, 4 to try again, 3 gone, 2 unavailable"
    )


def test_the_day_that_is_sealed_beside_the_crawl_is_told() -> None:
    pace, snapshot = paced((0, 0), (10, 100))
    sealing = Report("mapillary-alice-256", replace(snapshot, sealing="2024-01-15"), pace)
    assert sealing.line().endswith(", sealing 2024-01-15")
    assert sealing.fields(started_at=0, updated_at=1)["sealing"] == "2024-01-15"
    nothing = Report("mapillary-alice-256", snapshot, pace)
    assert "sealing" not in nothing.line()
    assert nothing.fields(started_at=0, updated_at=1)["sealing"] is None


def test_lines_fit_eighty_columns_whatever_the_figures() -> None:
    balance = Balance(
        saved=8_888_888, gone=8_888, unavailable=8_888, failed=888_888,
        bytes_saved=88_888_888_888_888,
    )  # fmt: skip
    snapshot = Snapshot(Phase.LISTING, balance, 888, 888, 128)
    pace = Pace()
    pace.note(0, Snapshot(Phase.LISTING, Balance(failed=balance.listed)))
    pace.note(9999, snapshot)
    report = Report("x", snapshot, pace)
    assert len(" · ".join(report.amounts())) < 80
    assert len(" · ".join(report.others())) < 80


def test_json_balances_and_tells_the_outcome() -> None:
    report = Report("mapillary-a-256", FETCHING, Pace())
    fields = json.loads(json.dumps(report.fields(started_at=0.5, updated_at=86_400)))
    parts = ("saved", "gone", "unavailable", "failed", "left")
    assert fields["listed"] == sum(fields[name] for name in parts)
    assert fields["started_at"] == "1970-01-01T00:00:00+00:00"
    assert fields["updated_at"] == "1970-01-02T00:00:00+00:00"
    assert (fields["outcome"], fields["exit_code"], fields["seconds_left"]) == (None, None, None)
    ended = report.fields(started_at=0, updated_at=1, outcome=Outcome.DISK_FULL)
    assert (ended["finish_reason"], ended["exit_code"]) == ("disk_full", 6)


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (5e18, "5000.0 PB")],
)  # fmt: skip
def test_size(number: float, said: str) -> None:
    assert quantities.size(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (86_400, "1 d 00:00"),
     (3 * 86_400 + 7380, "3 d 02:03")],
)  # fmt: skip
def test_duration(seconds: float, said: str) -> None:
    assert quantities.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "just now"),
        (59.9, "just now"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (49 * 3600, "2 d ago"),
    ],
)
def test_ages(seconds: float, said: str) -> None:
    assert quantities.age(seconds) == said
