"""Slices of one user on two machines with real crawls, without a queue: URLs that have expired."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mapillary_crawler import __version__
from mapillary_crawler.archive.packages.attempts import Attempts
from mapillary_crawler.sandbox.process import Sandbox
from mapillary_crawler.workers.shared_work import SharedWork, Signs
from mapillary_crawler.workers.work import Work, following
from tests.crawling import Crawling

pytestmark = [pytest.mark.slow, pytest.mark.long]

ARGUMENTS = {"quality": "256", "check_ia": "0"}
USER = Work("long", ARGUMENTS)


class Machine:
    """A machine with a disk of its own, whose tasks are given to it."""

    def __init__(self, staging: Path, shared: Path, sandbox: Sandbox) -> None:
        self.crawling = Crawling(shared, sandbox)
        self.crawling.environment |= {"SLICE_IMAGES": "2200", "IMAGE_ATTEMPTS": "3"}
        self.tasks = SharedWork(shared, Attempts(staging), __version__, lambda line: None)
        self.tasks.begin()
        self.printed: list[str] = []

    def follow(self, work: Work) -> tuple[Work, ...]:
        """Do a task; return those that follow."""

        async def crawl(staging: Path) -> int:
            given = work.options(cut=True)
            result = await asyncio.to_thread(
                self.crawling.scrapy, "crawl", "user", *given, f"--set=MAPILLARY_STAGING={staging}"
            )
            self.printed.append(result.output)
            return result.code

        async def versions() -> set[str]:
            return {__version__}

        signs = Signs(stopped=lambda: False, lost=lambda: False)
        code = asyncio.run(self.tasks.run(work, crawl, signs, versions))
        return following(work, code, self.tasks.slices(work)).works


def test_one_listing_renews_the_urls_of_all_slices_wherever_they_are(tmp_path: Path) -> None:
    with Sandbox.running([{"username": "long", "images": 4400, "days": 40.0}], seed=11) as sandbox:
        one, other = (Machine(tmp_path / name, tmp_path / "shared", sandbox) for name in "ab")
        sandbox.set_faults({"cdn": {"expired": 1.0}})
        slices = one.follow(USER)
        assert len(slices) > 1, one.printed
        packages = one.tasks.root / USER.key / "0"

        def listed() -> int:
            return int(sandbox.counters()["requests"]["api"])

        before = listed()
        assert other.follow(slices[0]) == (USER,)
        assert "URLs of the slice have expired" in other.printed[-1]
        assert (packages / "open-1-1-waits-0").is_dir()
        assert listed() == before
        sandbox.set_faults({"cdn": {"expired": 0.0}})
        assert one.follow(USER) == slices
        assert (packages / "whole-1").is_dir()
        assert listed() - before >= 3
        before = listed()
        for number, machine in ((1, one), (2, other)):
            machine.follow(Work("long", {**ARGUMENTS, "stop_after": "200kB"}, number))
            assert "saved 0" not in machine.printed[-1]
        assert listed() == before
        handed_on = sorted(path.name for path in packages.glob("open-[12]-*"))
        assert handed_on == ["open-1-2", "open-2-1"]
