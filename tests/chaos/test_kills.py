"""All transient faults at once and SIGKILL in every phase: the same bytes as undisturbed."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import deterministic_set
from tests.chaos.killing import MOMENTS, Moment, crawl
from tests.crawling import Crawling

pytestmark = pytest.mark.long

USER = {
    "username": "erin",
    "images": 300,
    "days": 8.0,
    "dead": 2,
    "no_url": 0.01,
    "undated": 0.02,
    "no_sequence": 0.02,
    "panoramas": 0.2,
    "nameless": 2,
}
#: Each strikes one request in fifty or a hundred, so that of all one in five has trouble.
FAULTS: dict[str, dict[str, Any]] = {
    "api": {
        **dict.fromkeys(
            (
                "server_error", "reset", "cut", "temporary", "query_timeout", "unknown_error",
                "too_much", "broken_json", "deep_json", "error_in_200", "silent_empty",
                "empty_page", "duplicates",
            ),
            0.02,
        ),
        **dict.fromkeys(("too_many", "rate_limited", "html", "redirect"), 0.01),
        "retry_after": 0.2,
        "too_much_above": 63,
        "repeated_rows": 3,
        "reject_cursors_after": 15,
        "jitter_ms": 20,
    },
    "cdn": {
        **dict.fromkeys(
            (
                "server_error", "reset", "cut", "no_length", "html", "empty", "truncated",
                "truncated_closed", "zero_filled", "zero_filled_closed", "expired", "altered",
                "forbidden",
            ),
            0.015,
        ),
        **dict.fromkeys(("too_many", "redirect"), 0.01),
        "retry_after": 0.2,
        "jitter_ms": 30,
    },
}  # fmt: skip

#: Images that are on their way at most, from their request to their commit.
IN_FLIGHT = 48
OPTIONS = ("-s", "TAR_MAX_BYTES=200000", "-s", f"CONCURRENT_ITEMS={IN_FLIGHT}")
#: Exit codes after which the same command is to be run again.
AGAIN = frozenset({3, 4, 6, 7})
#: Runs that end by themselves before a crawl is complete.
MOST_ENDS = 15


@dataclass(frozen=True)
class Layout:
    """What a round crawls, and the phases in which it is killed."""

    phases: tuple[str, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    two_disks: bool = False


LAYOUTS = (
    Layout(("fetching", "sealing beside", "sealing", "moving", "in the store"), two_disks=True),
    Layout(("listing", "encoding", "encoding", "manifests"), {"webp": 1}),
    Layout(("starting", "listing", "fetching", "manifests"), {"tar": 0}),
    Layout(("encoding", "sealing", "moving", "in the store"), {"webp": 1}, two_disks=True),
    Layout(("fetching", "sealing beside", "sealing beside", "sealing", "in the store")),
    Layout(("encoding", "encoding", "sealing", "manifests"), {"jxl": 1}),
)


@dataclass
class Series:
    """Runs of the same command until the collection is finished."""

    crawling: Crawling
    name: str
    arguments: dict[str, Any]
    chance: random.Random
    codes: list[int] = field(default_factory=list)
    output: list[str] = field(default_factory=list)

    def run(self, moments: list[Moment]) -> None:
        """Run, killed in each of the moments, which are taken from the list; then to the end."""
        while 0 not in self.codes:
            run = crawl(
                self.crawling,
                self.name,
                *OPTIONS,
                moment=moments[0] if moments else None,
                chance=self.chance,
                **self.arguments,
            )
            code = run.process.returncode
            self.codes.append(code)
            self.output += [*run.lines, f"--- exit code {code}\n"]
            if code == -9:
                self.output.append(f"--- killed: {moments.pop(0).phase}\n")
            assert code in AGAIN | {0, -9}, self
            assert not run.printed("Traceback"), self
            assert len(self.codes) - self.codes.count(-9) <= MOST_ENDS, self

    def __str__(self) -> str:
        return "".join(self.output)

    __repr__ = __str__


@pytest.fixture
def disks(round_number: int, request: pytest.FixtureRequest) -> Path | None:
    """Return another file system for the staging folder, where the round asks for one."""
    two = LAYOUTS[round_number % len(LAYOUTS)].two_disks
    return request.getfixturevalue("other_disk") if two else None


def test_kills_change_nothing(
    round_number: int, kills: int, tmp_path: Path, disks: Path | None
) -> None:
    layout = LAYOUTS[round_number % len(LAYOUTS)]
    chance = random.Random(round_number)
    arguments = {"username": "erin", "quality": "256", "check_ia": 0, **layout.arguments}
    phases = sorted(chance.sample(layout.phases, kills), key=[each.phase for each in MOMENTS].index)
    moments = [next(each for each in MOMENTS if each.phase == phase) for phase in phases]
    with Sandbox.running([USER], seed=round_number) as sandbox:
        undisturbed = Crawling(tmp_path / "undisturbed", sandbox)
        result = undisturbed.run(*OPTIONS, **arguments)
        assert result.code == 0, result.output
        (folder,) = undisturbed.store.iterdir()
        whole = deterministic_set(folder)

        crawling = Crawling(tmp_path / "store", sandbox)
        if disks:
            crawling.environment["MAPILLARY_STAGING"] = str(disks / "staging")
        while moments:  # a crawl may be complete before its last moment has come
            shutil.rmtree(crawling.store, ignore_errors=True)
            sandbox.reset()
            sandbox.set_faults(FAULTS)
            series = Series(crawling, folder.name, arguments, chance)
            series.run(moments)

            found = deterministic_set(crawling.store / folder.name)
            assert sorted(found) == sorted(whole), series
            assert [name for name in whole if found[name] != whole[name]] == [], series
            assert [path.name for path in crawling.store.iterdir()] == [folder.name]
            assert not disks or not (disks / "staging").exists()
            counted = sandbox.counters()
            assert requests_explained(counted, len(series.codes) - 1) >= 0, (counted, series)


def requests_explained(counted: dict[str, Any], interruptions: int) -> int:
    """Return by how many requests the CDN got fewer than it may have got.

    It may get one for each image, one more for each fault, and for each run that did not come
    to its end those that were on their way.
    """
    faults = sum(count for name, count in counted["faults"].items() if name.startswith("cdn."))
    images = counted["images"]
    most: int = images["ids"] + faults + USER["dead"] + interruptions * IN_FLIGHT
    return most - images["total"]
