"""A plan as a person and a program read it."""

from __future__ import annotations

import pytest

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.crawl.plan import report
from mapillary_crawler.crawl.plan.contents import Kinds, Plan, Sample
from mapillary_crawler.ledger.records import Extent


def plan(*, free: int | None, sizes: list[int]) -> Plan:
    sample = Sample()
    sample.sizes["256"] = sizes
    return Plan(
        Collection("alice", "256"),
        Extent(1000, 10, 10, 0, 0, 0, 100),
        Kinds(0, []),
        Balance(failed=1000),
        sample,
        None,
        free=free,
        siblings=[],
        tar=True,
        tar_max_bytes=10**9,
    )


@pytest.mark.parametrize(
    ("free", "sizes", "fits", "said"),
    [
        (12_000_000, [10_000], True, "11.7 MB needed, 12.0 MB free"),
        (
            11_000_000, [10_000], False,
            "11.7 MB needed, 11.0 MB free: it does not fit, 700.0 kB are missing",
        ),
        (None, [10_000], None, "11.7 MB needed, unknown free"),
        (12_000_000, [], None, "unknown needed, 12.0 MB free"),
    ],
)  # fmt: skip
def test_whether_it_fits(free: int | None, sizes: list[int], fits: bool | None, said: str) -> None:
    given = plan(free=free, sizes=sizes)
    assert given.fields(10**12)["fits"] is fits
    assert report.needs(given, 10**12, "")[0] == f"  disk       {said}"
