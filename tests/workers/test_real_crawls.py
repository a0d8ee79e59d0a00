"""The real commands on a real PostgreSQL: workers, their queue, and what they never show."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from mapillary_crawler.sandbox.process import Sandbox
from mapillary_crawler.terminal.progress_file import read_progress
from tests.chaos.test_kills import AGAIN, FAULTS
from tests.crawling import Crawling, assert_same, wait_until
from tests.erin import ERIN, NAME, alone
from tests.workers.postgres import PASSWORD, Postgres
from tests.workers.real_workers import worker

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.xdist_group("real_crawls")]

TOKEN = "MLY|1234567890|0123456789abcdef0123456789abcdef"  # no real one
#: All faults of the API but those that mean that it has blocked us: a task is then left alone for
#: a quarter of an hour.
PATIENT = {**FAULTS["api"], "html": 0, "redirect": 0}
ARGUMENTS = ("-aquality=256", "-acheck_ia=0")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    users = [ERIN, {**ERIN, "username": "bob", "images": 30}]
    with Sandbox.running(users, seed=5, token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def wanted(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the collection of one process."""
    return alone(tmp_path_factory.mktemp("one"), sandbox, *ARGUMENTS)


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path, queue_address: str) -> Crawling:
    made = Crawling(tmp_path / "store", sandbox)
    made.environment |= {
        "MAPILLARY_QUEUE": queue_address,
        "SLICE_IMAGES": "60",
        "QUEUE_LEASE": "3",
        "API_PATIENCE": "600",  # who has none left is tried again in a quarter of an hour
        "IMAGE_ATTEMPTS": "3",
    }
    return made


def tables(address: str) -> str:
    """Return all that the database has, as text."""
    with psycopg.connect(address) as queue:
        names = queue.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'mapillary_crawler'"
        ).fetchall()
        return "\n".join(
            str(row[0])
            for (name,) in names
            for row in queue.execute(f"SELECT t::text FROM mapillary_crawler.{name} t".encode())
        )


def test_three_workers_make_the_bytes_of_one_process_with_all_faults_on(
    sandbox: Sandbox, crawling: Crawling, wanted: Path, queue_address: str
) -> None:
    """And nothing secret is in the queue, in what is printed, or in what is kept."""
    printed = [crawling.scrapy("queue", "init").output]
    files = [crawling.store.parent / f"worker-{number}" for number in range(3)]
    well, codes, ended = sandbox.faults(), [], {}
    slow = {**FAULTS["cdn"], "latency_ms": 300}  # enough is left for slices once all is listed
    sandbox.set_faults({**FAULTS, "api": PATIENT, "cdn": slow})
    try:
        with ExitStack() as stack:
            workers = [stack.enter_context(worker(crawling, file)) for file in files]
            while not codes or (codes[-1] in AGAIN and len(codes) < 10):
                result = crawling.scrapy(
                    "archive", "erin", "bob", "--queue", "--wait", "--json", *ARGUMENTS, timeout=400
                )
                codes.append(result.code)
                printed.append(result.output)
            lines = [json.loads(line) for line in result.lines if line.startswith("{")]
            ended = {each["username"]: each["state"] for each in lines if each["kind"] == "user"}
            kept_in_tables = tables(queue_address)
            printed.append(crawling.scrapy("queue", "--json").output)
            for each in workers:
                each.terminate()
                assert each.wait(60) == 0
    finally:
        sandbox.set_faults(well)
    printed += [file.read_text() for file in files]
    assert codes[-1] == 0, "\n".join(printed)
    assert_same(crawling.store / NAME, wanted)
    assert ended == {"erin": "done", "bob": "done"}
    assert sum("[erin#" in output for output in printed) > 1, "several workers had slices"
    kept = [path.read_text("utf-8", "replace") for path in crawling.store.rglob("download.log.*")]
    assert kept
    for secret in (PASSWORD, TOKEN.rpartition("|")[2], queue_address):
        assert not any(secret in text for text in (*printed, *kept, kept_in_tables))
    assert TOKEN.split("|")[1] in kept_in_tables, "the application, whose limits these are"


def test_without_a_shared_folder_who_is_finished_is_never_fetched_by_another_machine(
    sandbox: Sandbox, crawling: Crawling, tmp_path: Path
) -> None:
    assert crawling.scrapy("queue", "init").code == 0
    command = ("archive", "bob", "--queue", "--wait", *ARGUMENTS)
    one, other = (Crawling(tmp_path / name, sandbox) for name in ("one", "other"))
    for machine in (one, other):
        machine.environment = {
            **crawling.environment,
            "MAPILLARY_STORE": str(machine.store),
            "MAPILLARY_STAGING": str(machine.store / "staging"),
        }
    with worker(one, tmp_path / "of-one") as first:
        assert crawling.scrapy(*command).code == 0
        sandbox.reset()
        with worker(other, tmp_path / "of-other", jobs=4):
            wait_until(lambda: "at once, of the queue" in (tmp_path / "of-other").read_text())
            for more in ((), ("-aupdate=1",)):
                result = crawling.scrapy(*command, *more)
                assert result.code == 0, result.output
                assert "bob is on " in result.output
        first.terminate()
        assert first.wait(60) == 0
    assert not list(other.store.glob("mapillary-*"))
    assert (one.store / "mapillary-bob-256").is_dir()
    assert sandbox.counters(images=True)["images"]["requests"] == {}


class Machines:
    """Three machines with disks of their own, and one folder that all see."""

    def __init__(self, sandbox: Sandbox, crawling: Crawling, folder: Path) -> None:
        self.shared = folder / "shared"
        self.shared.mkdir()
        self.root = self.shared / ".incomplete/.packages"
        self.each = [Crawling(folder / f"machine-{number}", sandbox) for number in range(3)]
        for machine in self.each:
            machine.store.mkdir()
            machine.environment = {
                **crawling.environment,
                "MAPILLARY_STORE": str(machine.store),
                "MAPILLARY_SHARED": str(self.shared),
                "MAPILLARY_CONCURRENCY_FIXED": "4",  # so that a slice takes its time
            }

    def output(self, machine: Crawling) -> Path:
        return machine.store / "worker"

    def slices(self, machine: Crawling) -> set[int]:
        """Return the slices of erin's that a machine has taken."""
        attempts = (machine.store / ".incomplete/.attempts").glob(f"{NAME}#*")
        return {int(path.name.rpartition("#")[2].partition("@")[0]) for path in attempts}

    def at_work(self) -> list[Crawling]:
        """Return the machines that are at a slice of erin's, and have some of it."""
        return [
            machine
            for machine in self.each
            for folder in (machine.store / ".incomplete/.attempts").glob(f"{NAME}#*/{NAME}#*")
            if read_progress([folder]).get("saved", 0) > 10
        ]

    def packages(self) -> set[str]:
        return {path.name for path in (self.root / NAME / "0").glob("*-*")}

    def ensure_tidy(self, *but: Crawling) -> None:
        """Nothing is left but what is finished."""
        assert not list(self.root.iterdir())
        for machine in self.each:
            if machine not in but:
                assert not list(machine.store.glob("mapillary-*"))
                assert not list(machine.store.glob(".incomplete/mapillary-*"))
                assert not list(machine.store.glob(".incomplete/.attempts/mapillary-*"))


@pytest.fixture
def machines(sandbox: Sandbox, crawling: Crawling, tmp_path: Path) -> Machines:
    assert crawling.scrapy("queue", "init").code == 0
    return Machines(sandbox, crawling, tmp_path)


def test_machines_with_disks_of_their_own_crawl_one_user_with_all_faults_on(
    sandbox: Sandbox, crawling: Crawling, wanted: Path, machines: Machines
) -> None:
    well, codes = sandbox.faults(), []
    sandbox.set_faults({"api": PATIENT, "cdn": {**FAULTS["cdn"], "latency_ms": 300}})
    try:
        with ExitStack() as stack:
            workers = [
                stack.enter_context(worker(machine, machines.output(machine)))
                for machine in machines.each
            ]
            while not codes or (codes[-1] in AGAIN and len(codes) < 10):
                result = crawling.scrapy(
                    "archive", "erin", "bob", "--queue", "--wait", *ARGUMENTS, timeout=400
                )
                codes.append(result.code)
            for each in workers:
                each.terminate()
                assert each.wait(60) == 0
    finally:
        sandbox.set_faults(well)
    printed = [machines.output(machine).read_text() for machine in machines.each]
    assert codes[-1] == 0, "\n".join([result.output, *printed])
    assert_same(machines.shared / NAME, wanted)
    assert (machines.shared / "mapillary-bob-256").is_dir()
    assert sum("[erin#" in output for output in printed) > 1, "several machines had slices"
    machines.ensure_tidy()


def test_a_machine_that_is_lost_costs_the_slices_it_had_in_hand(
    sandbox: Sandbox, crawling: Crawling, wanted: Path, machines: Machines, tmp_path: Path
) -> None:
    """And one that is told to end costs nothing."""
    sandbox.reset()
    assert crawling.scrapy("archive", "erin", "--queue", *ARGUMENTS).code == 0
    sandbox.set_faults({"cdn": {"latency_ms": 900}})
    try:
        with ExitStack() as stack:
            workers = {
                machine: stack.enter_context(worker(machine, machines.output(machine)))
                for machine in machines.each
            }
            wait_until(lambda: len(machines.at_work()) == 3, 120)
            lost, drained, left = machines.at_work()
            in_hand = machines.slices(lost)
            workers[lost].kill()
            handed_on = machines.slices(drained)
            workers[drained].terminate()
            assert workers[drained].wait(60) == 0
            assert machines.slices(drained) == set()
            assert {f"open-{number}-1" for number in handed_on} & machines.packages()
            assert {f"open-{number}-0" for number in in_hand} <= machines.packages()
            sandbox.set_faults({"cdn": {"latency_ms": 0}})
            result = crawling.scrapy("archive", "erin", "--queue", "--wait", *ARGUMENTS)
            assert result.code == 0, result.output + machines.output(left).read_text()
    finally:
        sandbox.set_faults({"cdn": {"latency_ms": 0}})
    assert_same(machines.shared / NAME, wanted)
    machines.ensure_tidy(lost)
    asked = sandbox.counters(images=True)["images"]["requests"]
    again = sum(count - 1 for count in asked.values())
    assert again <= 70 * len(in_hand) + 8, "its slices, and what was on its way elsewhere"
    with worker(lost, machines.output(lost)) as back:  # it tidies up, and has nothing to do
        wait_until(lambda: machines.output(lost).read_text().count("at once, of the queue") == 2)
        back.terminate()
        back.wait(60)
    machines.ensure_tidy()
    other = Crawling(tmp_path / "other", sandbox)
    (tmp_path / "no-mount").mkdir()
    other.environment = {**crawling.environment, "MAPILLARY_SHARED": str(tmp_path / "no-mount")}
    result = other.scrapy("worker")
    assert result.code == 2
    assert "is not the folder that the other machines" in result.output
    del other.environment["MAPILLARY_SHARED"]
    with worker(other, tmp_path / "without.txt") as without:
        wait_until(lambda: "at once, of the queue" in (tmp_path / "without.txt").read_text())
        without.terminate()
        without.wait(60)
    said = (tmp_path / "without.txt").read_text()
    assert "warning: MAPILLARY_SHARED is not set here" in said
    assert f"into store {crawling.store}" in said


def test_a_worker_that_comes_back_too_late_changes_nothing_on_the_shared_folder(
    sandbox: Sandbox, crawling: Crawling, wanted: Path, machines: Machines, queue_address: str
) -> None:
    """It was paused for longer than its lease, and the server has let go of its locks."""
    assert crawling.scrapy("archive", "erin", "--queue", *ARGUMENTS).code == 0
    sandbox.set_faults({"cdn": {"latency_ms": 900}})
    try:
        with ExitStack() as stack:
            workers = {
                machine: stack.enter_context(worker(machine, machines.output(machine)))
                for machine in machines.each[:2]
            }
            wait_until(lambda: len(machines.at_work()) == 2, 120)
            paused, other = machines.at_work()
            (number,) = machines.slices(paused)
            workers[paused].send_signal(signal.SIGSTOP)
            end_session(queue_address, f"{NAME}#{number}")
            sandbox.set_faults({"cdn": {"latency_ms": 0}})
            ended = machines.root / NAME / "0" / f"ended-{number}"
            wait_until(lambda: ended.is_dir() or (machines.shared / NAME).is_dir(), 120)
            workers[paused].send_signal(signal.SIGCONT)
            result = crawling.scrapy("archive", "erin", "--queue", "--wait", *ARGUMENTS)
            assert result.code == 0, result.output
            wait_until(lambda: not machines.slices(paused))
    finally:
        sandbox.set_faults({"cdn": {"latency_ms": 0}})
    assert_same(machines.shared / NAME, wanted)
    machines.ensure_tidy()
    assert f"erin#{number}" in machines.output(other).read_text(), "others went on"


def end_session(address: str, key: str) -> None:
    """End the session that holds the lock of a task, as the server does with one that is lost."""
    with psycopg.connect(address, autocommit=True) as queue:
        ended = queue.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND granted AND (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0)",
            (key,),
        ).fetchall()
    assert ended == [(True,)]


def test_what_cannot_be_used_is_one_line_and_exit_2(
    crawling: Crawling, postgres: Postgres, queue_address: str
) -> None:
    def refused(*command: str, **environment: str) -> str:
        before = dict(crawling.environment)
        crawling.environment |= environment
        result = crawling.scrapy(*command)
        crawling.environment = before
        assert result.code == 2, result.output
        assert len(result.lines) == 1, result.output
        assert PASSWORD not in result.output
        assert "hunter22" not in result.output
        return result.output

    assert "MAPILLARY_QUEUE is not set" in refused("queue", MAPILLARY_QUEUE="")
    assert "no tables yet" in refused("worker")
    wrong = postgres.dsn(password="hunter22")
    assert "password authentication failed" in refused("worker", MAPILLARY_QUEUE=wrong)
    away = "postgresql://u:hunter22@127.0.0.1:9/q"
    assert "Connection refused" in refused("archive", "a", "--queue", MAPILLARY_QUEUE=away)
    assert "MAPILLARY_TOKEN is not set" in refused("worker", MAPILLARY_TOKEN="")
    assert "--jobs 'x' cannot be" in refused("worker", "--jobs", "x")
    assert "--wait goes with --queue alone" in refused("archive", "a", "--wait")
    assert "stop_after= does not go with --queue" in refused(
        "archive", "a", "--queue", "-astop_after=1h"
    )
    assert "each machine" in refused("archive", "a", "--queue", "-s", "WEBP_QUALITY=1")
    assert "'drop' is unknown" in refused("queue", "drop")
    assert "name one user" in refused("queue", "cancel")
    assert crawling.scrapy("queue", "init").code == 0
    assert "nobody is not in the queue" in refused("queue", "cancel", "nobody")
    assert "nobody is not in the queue" in refused("queue", "retry", "nobody")
    with psycopg.connect(queue_address) as queue:
        queue.execute(
            "INSERT INTO mapillary_crawler.progress (collection, slice, username, exit_code) "
            "VALUES ('mapillary-bob-original', -1, 'bob', 0)"
        )
    assert "bob is done; enqueue it again" in refused("queue", "retry", "bob")
    assert "bob is done: there is nothing to cancel" in refused("queue", "cancel", "bob")
    with psycopg.connect(queue_address) as queue:
        queue.execute("UPDATE mapillary_crawler.schema_version SET version = 99")
    assert "newer (schema 99" in refused("worker")
    assert os.environ.get("MAPILLARY_QUEUE") is None
