"""The settings by which the crawls of a machine together keep the limits of one."""

from __future__ import annotations

from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.outcome import ArgumentRefused

#: Bytes on their way that a crawl is given at least, and the part of the memory of all together.
_LEAST_IN_FLIGHT, _OF_MEMORY = 32 * 1024**2, 4


def read_jobs(value: str, *, processors: int, memory: int) -> int:
    """Return how many crawls are to run at once; raises `ArgumentRefused`.

    `auto` is as many as there are processors, and no more than the memory has room for.
    """
    if value == "auto":
        return max(1, min(processors, memory // _OF_MEMORY // _LEAST_IN_FLIGHT))
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ArgumentRefused(f"--jobs {value!r} cannot be; say a number from 1 on, or auto")
    return int(value)


def shares(
    configuration: Configuration, jobs: int, *, processors: int, memory: int
) -> dict[str, int]:
    """Return the settings of one of `jobs` crawls; `memory` is the machine's, in bytes.

    Nothing for one crawl, which is limited by the settings themselves.
    """
    if jobs == 1:
        return {}
    most = max(1, configuration.concurrency_max // jobs)
    in_flight = max(_LEAST_IN_FLIGHT, memory // _OF_MEMORY // jobs)
    return {
        "MAX_BYTES_PER_SECOND": _share(configuration.max_bytes_per_second, jobs),
        "MAPILLARY_CONCURRENCY_MAX": most,
        "MAPILLARY_CONCURRENCY_MIN": min(configuration.concurrency_min, most),
        "MAPILLARY_CONCURRENCY_START": min(configuration.concurrency_start, most),
        "MAPILLARY_CONCURRENCY_FIXED": _share(configuration.concurrency_fixed, jobs),
        "SEARCHES_PER_MINUTE": _share(configuration.searches_per_minute, jobs),
        "ENTITIES_PER_MINUTE": _share(configuration.entities_per_minute, jobs),
        "IN_FLIGHT_BYTES": min(configuration.in_flight_bytes, in_flight),
        "PROCESSORS": max(1, processors // jobs),
    }


def _share(amount: int, jobs: int) -> int:
    """Return a job's part of a limit; 0 is none."""
    return max(1, amount // jobs) if amount else 0
