"""What the crawls of a machine are given, so that together they keep the limits of one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapillary_crawler import settings
from mapillary_crawler.collection.configuration import Configuration, read_configuration
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.workers.shares import read_jobs, shares

MIB, GIB = 1 << 20, 1 << 30


@pytest.fixture
def configuration() -> Configuration:
    given = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
    configuration = read_configuration({**given, "MAPILLARY_API_URL": "http://127.0.0.1"}, {})
    return replace(
        configuration,
        concurrency_max=128,
        concurrency_min=1,
        concurrency_start=16,
        concurrency_fixed=0,
        in_flight_bytes=64 * MIB,
    )


def test_one_crawl_keeps_everything(configuration: Configuration) -> None:
    assert shares(configuration, 1, processors=8, memory=GIB) == {}


@pytest.mark.parametrize("jobs", [2, 3, 16, 1000])
def test_crawls_share_the_concurrency(configuration: Configuration, jobs: int) -> None:
    given = shares(configuration, jobs, processors=16, memory=GIB)
    most = given["MAPILLARY_CONCURRENCY_MAX"]
    assert most * jobs <= 128 or most == 1
    assert 1 <= given["MAPILLARY_CONCURRENCY_MIN"] <= given["MAPILLARY_CONCURRENCY_START"] <= most
    assert given["MAPILLARY_CONCURRENCY_FIXED"] == 0
    assert given["MAX_BYTES_PER_SECOND"] == 0
    assert given["SEARCHES_PER_MINUTE"] == 8000 // jobs
    assert given["ENTITIES_PER_MINUTE"] == 48_000 // jobs
    assert given["PROCESSORS"] == max(1, 16 // jobs)
    braked = replace(configuration, max_bytes_per_second=500, concurrency_fixed=30)
    given = shares(braked, jobs, processors=16, memory=GIB)
    assert given["MAX_BYTES_PER_SECOND"] == max(1, 500 // jobs)
    assert given["MAPILLARY_CONCURRENCY_FIXED"] == max(1, 30 // jobs)


@pytest.mark.parametrize(
    ("jobs", "memory", "each"),
    [
        (2, 8 * GIB, 64 * MIB),
        (8, 1 * GIB, 32 * MIB),
        (4, 800 * MIB, 50 * MIB),
        (64, 1 * GIB, 32 * MIB),  # below that, no crawl gets on
    ],
)
def test_images_on_their_way_take_a_quarter_of_the_memory(
    configuration: Configuration, jobs: int, memory: int, each: int
) -> None:
    assert shares(configuration, jobs, processors=4, memory=memory)["IN_FLIGHT_BYTES"] == each
    less = replace(configuration, in_flight_bytes=MIB)  # as somebody has set it
    assert shares(less, jobs, processors=4, memory=memory)["IN_FLIGHT_BYTES"] == MIB


def test_how_many_at_once() -> None:
    assert read_jobs("3", processors=1, memory=MIB) == 3
    assert read_jobs("auto", processors=16, memory=64 * GIB) == 16
    assert read_jobs("auto", processors=16, memory=GIB) == 8
    assert read_jobs("auto", processors=16, memory=MIB) == 1


@pytest.mark.parametrize("value", ["0", "-1", "two", "", "1.5", "Auto", "٣"])
def test_no_other_number(value: str) -> None:
    with pytest.raises(ArgumentRefused, match="or auto"):
        read_jobs(value, processors=2, memory=GIB)
