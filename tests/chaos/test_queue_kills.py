"""Workers, crawls and PostgreSQL killed, workers paused: nothing is lost, and nothing twice."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.conftest import KILLS
from tests.crawling import Crawling, assert_same
from tests.workers.postgres import Postgres, binaries, running
from tests.workers.real_workers import crawls_of, kill, worker

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("queue_kills"),
    pytest.mark.timeout(3600),  # each kill costs a lease and a start
]

WORKERS = 3
#: Seconds.
LEASE = 3
#: Images of a slice, about, and in transfer in one crawl.
A_SLICE, IN_FLIGHT = 25, 8
NAME = "mapillary-erin-256"
ARGUMENTS = ("-aquality=256", "-acheck_ia=0")


class Chaos:
    """Three workers, each started again whenever it ends, and somebody who ends them."""

    def __init__(self, crawling: Crawling, postgres: Postgres, chance: random.Random) -> None:
        self._crawling = crawling
        self._postgres = postgres
        self._chance = chance
        self._stack = ExitStack()
        self._workers: list[subprocess.Popen[bytes]] = []
        self.done: list[str] = []

    def __enter__(self) -> Chaos:
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restart(self) -> None:
        """Start those that have ended, as a service manager does."""
        self._workers = [each for each in self._workers if each.poll() is None]
        while len(self._workers) < WORKERS:
            output = self._crawling.store.parent / "workers"
            self._workers.append(self._stack.enter_context(worker(self._crawling, output)))

    def strike(self) -> None:
        """Kill, or pause, something that is at work; where nothing is, wait for another time."""
        running = [(each, crawls) for each in self._workers if (crawls := crawls_of(each.pid))]
        if not running:
            return
        victim, crawls = self._chance.choice(running)
        what = self._chance.choice(("worker", "crawl", "pause", "database"))
        self.done.append(what)
        if what == "worker":
            victim.kill()
        elif what == "crawl":
            kill(self._chance.choice(crawls), signal.SIGKILL)
        elif what == "pause":
            victim.send_signal(signal.SIGSTOP)
            time.sleep(LEASE * self._chance.uniform(1.2, 2))
            victim.send_signal(signal.SIGCONT)
        else:
            self._postgres.stop(signal.SIGKILL)
            time.sleep(self._chance.choice((0, 2 * LEASE)))
            self._postgres.start()


def test_kills_lose_nothing_and_make_nothing_twice(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """`--kills 30` is 40 slices."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    kills: int = request.config.getoption("--kills", KILLS)
    slices = kills + 10
    user = {
        "username": "erin", "images": slices * A_SLICE, "days": slices * 2.0, "dead": 3,
        "undated": 0.01, "no_url": 0.01, "no_sequence": 0.02, "panoramas": 0.2,
    }  # fmt: skip
    chance = random.Random(kills)
    with Sandbox.running([user], seed=11) as sandbox, running(programs) as postgres:
        one = Crawling(tmp_path / "one", sandbox)
        result = one.scrapy("archive", "erin", *ARGUMENTS)
        assert result.code == 0, result.output
        sandbox.reset()
        sandbox.set_faults({"cdn": {"latency_ms": 150, "server_error": 0.02, "truncated": 0.01}})
        several = Crawling(tmp_path / "several" / "store", sandbox)
        several.store.mkdir(parents=True)
        several.environment |= {
            "MAPILLARY_QUEUE": postgres.new_database(),
            "QUEUE_LEASE": str(LEASE),
            "SLICE_IMAGES": str(A_SLICE),
            "MAPILLARY_CONCURRENCY_FIXED": str(IN_FLIGHT),
        }
        assert several.scrapy("queue", "init").code == 0
        assert several.scrapy("archive", "erin", "--queue", *ARGUMENTS).code == 0
        with Chaos(several, postgres, chance) as chaos:
            until = time.monotonic() + 240 + 60 * kills
            while not (several.store / NAME).is_dir():
                assert time.monotonic() < until, (tmp_path / "several/workers").read_text()[-9000:]
                time.sleep(chance.uniform(0.5, 3))
                if len(chaos.done) < kills:
                    chaos.strike()
                else:
                    sandbox.set_faults({"cdn": {"latency_ms": 0}})
                chaos.restart()
            ended = several.scrapy("archive", "erin", "--queue", "--wait", *ARGUMENTS)
        asked = sandbox.counters(images=True)["images"]["requests"]
        faults = sandbox.counters()["faults"]
    assert ended.code == 0, ended.output
    assert_same(several.store / NAME, one.store / NAME)
    again = sum(count - 1 for count in asked.values())
    most = len(chaos.done) * WORKERS * (A_SLICE + IN_FLIGHT) + sum(faults.values())
    assert again <= most, (again, most, chaos.done)
    print(f"{len(asked):,} images, {again:,} asked again, after {chaos.done}")  # noqa: T201
