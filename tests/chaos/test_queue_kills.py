"""Machines, workers, crawls and PostgreSQL killed, paused, cut off: nothing lost, nothing twice."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.outcome import ProjectError
from mapillary_crawler.sandbox.process import Sandbox
from mapillary_crawler.workers.database import connected
from mapillary_crawler.workers.dsn import read_dsn
from mapillary_crawler.workers.enqueue import retry
from mapillary_crawler.workers.overview import look
from tests.chaos.conftest import KILLS
from tests.chaos.test_kills import FAULTS
from tests.crawling import Crawling, assert_same, manifest
from tests.workers.apart import Apart, apart
from tests.workers.postgres import Postgres, binaries, running
from tests.workers.real_workers import crawls_of, kill, worker

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("queue_kills"),
    pytest.mark.timeout(3600),  # each kill costs a lease and a start
]

MACHINES = 3
#: Seconds.
LEASE = 3
#: Images of a slice, about, and of one crawl in transfer, and from their request to their commit.
A_SLICE, IN_FLIGHT, ON_THEIR_WAY = 25, 8, 24
NAME = "mapillary-erin-256"
ARGUMENTS = ("-aquality=256", "-acheck_ia=0")
#: Kills of the version that is part of all tests.
_FEW = 4
#: Faults of the API after which all machines leave it alone for a minute, or a slice for a quarter
#: of an hour: how often they come, and not at all where there are few kills.
_OF_MINUTES, _RARELY = ("rate_limited", "too_many", "html"), 0.002
#: Seconds that somebody sees a user wait.
_PATIENCE = 15
#: How much less often the user's own crawl is struck than one of a slice.
_MOSTLY_SLICES = 0.75
_COUNTS = "SELECT sum(images * (state IN (1, 2))), sum(images) FROM balance"


class Machine:
    """A folder and, where that can be, a network of its own, with a worker."""

    def __init__(self, crawling: Crawling, network: Apart | None) -> None:
        self.crawling = crawling
        self.network = network
        self.output = crawling.store.parent / "output"
        self.process: subprocess.Popen[bytes] | None = None
        self._disks = 0

    def ensure_started(self, stack: ExitStack) -> None:
        """Start its worker unless it runs, as a service manager does."""
        if self.process is None or self.process.poll() is not None:
            within = self.network.command if self.network else ()
            self.process = stack.enter_context(worker(self.crawling, self.output, within=within))

    def replace(self) -> None:
        """Be another machine from now on: with an empty disk, and so of another name."""
        self._disks += 1
        for name in ("store", "staging"):
            place = self.crawling.store.parent / f"{name}-{self._disks}"
            self.crawling.environment[f"MAPILLARY_{name.upper()}"] = str(place)

    @property
    def crawls(self) -> dict[int, int | None]:
        """The crawls that run now: the slice of each, None for the user's own."""
        assert self.process
        found = {}
        for pid in crawls_of(self.process.pid):
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                number = re.search(rb"\0slice=([0-9]+)\0", line)
                found[pid] = int(number[1]) if number else None
        return found

    def in_hand(self, *, all_of_it: bool) -> int:
        """Return how many images the slices have by now that are crawled, or `all_of_it`."""
        counts = [self._counts(slice_folder(Path(NAME), each).name) for each in self._slices]
        return sum(
            listed if all_of_it else min(listed, saved + ON_THEIR_WAY) for saved, listed in counts
        )

    @property
    def _slices(self) -> list[int]:
        return [number for number in self.crawls.values() if number]

    def of_the_user(self) -> int:
        """Return how many images the user's own crawl has here that is not handed out yet.

        Where the machine is taken for dead another begins it anew.
        """
        return ON_THEIR_WAY + self._counts(NAME, "")[0]

    def _counts(self, name: str, below: str = "**/") -> tuple[int, int]:
        """Return how many images of a collection or slice are saved, and listed."""
        staging = Path(self.crawling.environment["MAPILLARY_STAGING"])
        found = [(0, A_SLICE)]
        for path in staging.glob(f"{below}{name}/{LEDGER_PATH}"):
            with (
                suppress(sqlite3.Error, TypeError),
                closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as ledger,
            ):
                saved, listed = ledger.execute(_COUNTS).fetchone()
                found.append((int(saved), int(listed)))
        return max(found)


class Chaos:
    """The machines, and somebody who strikes them."""

    def __init__(self, machines: list[Machine], postgres: Postgres, chance: random.Random) -> None:
        self.machines = machines
        self._postgres = postgres
        self.chance = chance
        self._stack = ExitStack()
        self.done: list[str] = []
        #: Images that may be asked for once more, because of what was struck.
        self.lost = 0

    def __enter__(self) -> Chaos:
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restart(self) -> None:
        """Start the workers that have ended."""
        for machine in self.machines:
            machine.ensure_started(self._stack)

    def strike(self) -> None:
        """Kill, pause or cut off something at work; where nothing is, wait for another time."""
        working = [each for each in self.machines if each.crawls]
        are_slices = any(number for each in working for number in each.crawls.values())
        if not working or (not are_slices and self.chance.random() < _MOSTLY_SLICES):
            return
        victim = self.chance.choice(working)
        kinds = ["worker", "machine", "crawl", "pause", "database"]
        kinds += ["cable"] if victim.network else []
        what = self.chance.choice(kinds)
        if getattr(self, f"_{what}")(victim):
            self.done.append(what)

    def _worker(self, victim: Machine) -> bool:
        return self._killed(victim, [], victim.process)

    def _machine(self, victim: Machine) -> bool:
        """Lose it, with its disk, while it has a slice: another comes in its place."""
        if None in victim.crawls.values():
            return False
        struck = self._killed(victim, list(victim.crawls), victim.process)
        if struck:
            victim.replace()
        return struck

    def _crawl(self, victim: Machine) -> bool:
        return self._killed(victim, list(victim.crawls)[:1], None)

    def _killed(
        self, victim: Machine, crawls: list[int], process: subprocess.Popen[bytes] | None
    ) -> bool:
        """Kill while nothing moves, so that what is in hand is what is lost."""
        still = victim.crawls
        for pid in still:
            kill(pid, signal.SIGSTOP)
        self.lost += victim.in_hand(all_of_it=False)
        if None in victim.crawls.values():
            self.lost += victim.of_the_user()
        for pid in crawls:
            kill(pid, signal.SIGKILL)
        if process:
            process.kill()
        for pid in still:
            kill(pid, signal.SIGCONT)
        return bool(still)

    def _pause(self, victim: Machine) -> bool:
        assert victim.process
        with self._for_long([victim]):
            victim.process.send_signal(signal.SIGSTOP)
            self._wait_longer_than_the_lease()
            victim.process.send_signal(signal.SIGCONT)
        return True

    def _cable(self, victim: Machine) -> bool:
        assert victim.network
        with self._for_long([victim]):
            victim.network.cut()
            self._wait_longer_than_the_lease()
            victim.network.join()
        return True

    def _database(self, _: Machine) -> bool:
        with self._for_long(self.machines):
            self._postgres.stop(signal.SIGKILL)
            time.sleep(self.chance.choice((0, 2 * LEASE)))
            self._postgres.start()
        return True

    @contextmanager
    def _for_long(self, victims: Sequence[Machine]) -> Iterator[None]:
        """Count what is in hand, which crawls go on with meanwhile."""
        self.lost += sum(each.in_hand(all_of_it=True) for each in victims)
        listing = [each for each in victims if None in each.crawls.values()]
        yield
        self.lost += sum(each.of_the_user() for each in listing)

    def _wait_longer_than_the_lease(self) -> None:
        time.sleep(LEASE * self.chance.uniform(1.2, 2))


@dataclass(frozen=True)
class Odd:
    """Images of the user that are asked for again whatever is killed."""

    dead: frozenset[str]
    damaged: str
    other_format: str
    #: They fail in each slice, and are fine later.
    failing: tuple[str, ...]

    @classmethod
    def chosen(cls, sandbox: Sandbox, chance: random.Random) -> Odd:
        images = list(sandbox.catalogue.user("erin").images())
        dead = {each.image_id for each in images if each.dead}
        some = chance.sample(sorted({each.image_id for each in images} - dead - {""}), 5)
        return cls(frozenset(dead), some[0], some[1], tuple(some[2:]))

    @property
    def always(self) -> dict[str, list[str]]:
        """The faults that are the images' own."""
        return {"damaged": [self.damaged], "other_format": [self.other_format]}

    @property
    def ids(self) -> set[str]:
        return {*self.dead, self.damaged, self.other_format, *self.failing}


def test_kills_lose_nothing_and_make_nothing_twice(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """`--kills 30` is 40 slices."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    given: int = request.config.getoption("--kills", KILLS)
    kills, rarely = (given, _RARELY) if given > KILLS else (_FEW, 0.0)
    slices = (kills + 10) * 5 // 4  # some images come while they are listed
    user = {
        "username": "erin", "images": slices * A_SLICE, "days": slices * 2.0, "dead": 3,
        "undated": 0.01, "no_url": 0.01, "no_sequence": 0.02, "panoramas": 0.2,
    }  # fmt: skip
    chance = random.Random(kills)
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox.running([user], seed=11))
        postgres = stack.enter_context(running(programs))
        odd = Odd.chosen(sandbox, chance)
        sandbox.set_faults({"cdn": odd.always})
        wanted = _of_one_process(tmp_path / "one", sandbox)
        sandbox.reset()
        api = {**FAULTS["api"], **dict.fromkeys(_OF_MINUTES, rarely)}
        cdn = {**FAULTS["cdn"], **odd.always, "server_error": odd.failing, "latency_ms": 150}
        sandbox.set_faults({"api": api, "cdn": cdn})
        shared = tmp_path / "shared"
        machines = _machines(stack, sandbox, postgres, shared)
        chaos = stack.enter_context(Chaos(machines, postgres, chance))
        retries = _crawl_among(chaos, kills, sandbox, shared)
        asked = Counter(sandbox.counters(images=True)["images"]["requests"])
        dealt = sandbox.counters()["faults"]
    assert_same(shared / NAME, wanted)
    saved = [row["id"] for row in manifest(shared / NAME / "checksums.jsonl.gz")]
    assert len(saved) == len({*saved})
    faults = sum(count for name, count in dealt.items() if name.startswith("cdn."))
    again = sum(asked[image] - 1 for image in asked.keys() - odd.ids)
    told = (
        f"{again:,} of {len(asked):,} images asked again, {chaos.lost:,} in hand when struck, "
        f"{faults:,} faults of images, {retries} retries, "
        f"{'networks' if machines[0].network else 'folders'} apart: {Counter(chaos.done)}"
    )
    print(told)  # noqa: T201
    assert again <= chaos.lost + faults, told


def _of_one_process(store: Path, sandbox: Sandbox) -> Path:
    """Return the collection that one process makes, undisturbed; damaged is what two runs find."""
    one = Crawling(store, sandbox)
    codes = [one.scrapy("archive", "erin", *ARGUMENTS, timeout=600).code for _ in range(2)]
    assert codes == [3, 0]
    return store / NAME


def _machines(
    stack: ExitStack, sandbox: Sandbox, postgres: Postgres, shared: Path
) -> list[Machine]:
    shared.mkdir()
    address = postgres.new_database()
    ports = (postgres.port, int(urlsplit(sandbox.url).port or 0))
    machines = []
    for number in range(MACHINES):
        folder = shared.parent / f"machine-{number}"
        crawling = Crawling(folder / "store", sandbox)
        crawling.store.mkdir(parents=True)
        crawling.environment |= {
            "MAPILLARY_QUEUE": address,
            "MAPILLARY_SHARED": str(shared),
            "MAPILLARY_STAGING": str(folder / "staging"),
            "QUEUE_LEASE": str(LEASE),
            "IMAGE_ATTEMPTS": "3",
            "SLICE_IMAGES": str(A_SLICE),
            "MAPILLARY_CONCURRENCY_FIXED": str(IN_FLIGHT),
        }
        machines.append(Machine(crawling, stack.enter_context(apart(ports))))
    assert machines[0].crawling.scrapy("queue", "init").code == 0
    return machines


def _crawl_among(chaos: Chaos, kills: int, sandbox: Sandbox, shared: Path) -> int:
    """Have the user crawled while somebody strikes; return how often another had to retry."""
    crawling = chaos.machines[0].crawling
    assert crawling.scrapy("archive", "erin", "--queue", *ARGUMENTS).code == 0
    watching = Somebody(chaos)
    until = time.monotonic() + 240 + 60 * kills
    while not (shared / NAME).is_dir():
        assert time.monotonic() < until, _last_words(chaos.machines)
        time.sleep(chaos.chance.uniform(0.5, 3))
        if len(chaos.done) < kills:
            chaos.strike()
            if len(chaos.done) == kills // 2:
                sandbox.set_faults({"cdn": {"server_error": 0.01}})
        else:
            sandbox.set_faults({"cdn": {"server_error": 0.0, "latency_ms": 0}})
        chaos.restart()
        watching.look()
    ended = crawling.scrapy("archive", "erin", "--queue", "--wait", *ARGUMENTS)
    assert ended.code == 0, ended.output
    return watching.retries


class Somebody:
    """Looks at the queue, and retries a user who has failed, or is to wait for long."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._address = chaos.machines[0].crawling.environment["MAPILLARY_QUEUE"]
        self._waits_since: float | None = None
        self.retries = 0

    def look(self) -> None:
        """Look once; the server may be away."""
        with suppress(ProjectError), connected(read_dsn({"MAPILLARY_QUEUE": self._address})) as q:
            user = look(q, LEASE).users.get(NAME)
            if user is None or user.state not in ("failed", "later"):
                self._waits_since = None
                return
            now = time.monotonic()
            self._waits_since = self._waits_since or now
            if user.state == "failed" or now - self._waits_since > _PATIENCE:
                # Where the machine that lists has no worker just now, any other begins anew.
                self._chaos.lost += max(each.of_the_user() for each in self._chaos.machines)
                self.retries += bool(retry(q, "erin", LEASE))
                self._waits_since = None


def _last_words(machines: list[Machine]) -> str:
    return "\n\n".join(each.output.read_text()[-3000:] for each in machines)
