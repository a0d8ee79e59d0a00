"""The real commands on a real PostgreSQL: workers, their queue, and what they never show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.test_kills import AGAIN, FAULTS
from tests.crawling import Crawling, assert_same, wait_until
from tests.erin import ERIN, NAME, alone
from tests.workers.postgres import PASSWORD, Postgres
from tests.workers.real_workers import worker

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.xdist_group("real_crawls")]

TOKEN = "MLY|1234567890|0123456789abcdef0123456789abcdef"  # no real one
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
        "API_PATIENCE": "60",
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
    sandbox.set_faults({**FAULTS, "cdn": slow})
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
            ended = {each["username"]: each["state"] for each in lines}
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


def test_machines_with_disks_of_their_own_fill_one_store_though_one_is_lost(
    sandbox: Sandbox, crawling: Crawling, wanted: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    machines = []
    for number in range(3):
        machine = Crawling(tmp_path / f"machine-{number}", sandbox)
        machine.store.mkdir()
        machine.environment = {
            **crawling.environment,
            "MAPILLARY_STORE": str(machine.store),
            "MAPILLARY_SHARED": str(shared),
        }
        machines.append(machine)
    assert crawling.scrapy("queue", "init").code == 0
    assert crawling.scrapy("archive", "erin", "bob", "--queue", *ARGUMENTS).code == 0
    sandbox.set_faults({"cdn": {"latency_ms": 700}})
    try:
        with ExitStack() as stack:
            workers = {
                machine: stack.enter_context(worker(machine, machine.store / "worker"))
                for machine in machines
            }

            def slicing() -> list[Crawling]:
                """Return the machines that are at a slice of erin's."""
                return [each for each in machines if any(each.store.glob(f".incomplete/{NAME}#*"))]

            wait_until(slicing, 120)
            (lost,) = slicing()
            workers[lost].kill()
            sandbox.set_faults({"cdn": {"latency_ms": 0}})
            result = crawling.scrapy("archive", "erin", "bob", "--queue", "--wait", *ARGUMENTS)
            assert result.code == 0, result.output
    finally:
        sandbox.set_faults({"cdn": {"latency_ms": 0}})
    assert_same(shared / NAME, wanted)
    assert (shared / "mapillary-bob-256").is_dir()
    assert slicing() == [lost], "what it has is left alone"
    assert not any(list(each.store.glob("mapillary-*")) for each in machines)
    other = Crawling(tmp_path / "other", sandbox)
    (tmp_path / "no-mount").mkdir()
    other.environment = {**crawling.environment, "MAPILLARY_SHARED": str(tmp_path / "no-mount")}
    result = other.scrapy("worker")
    assert result.code == 2
    assert "is not the folder that the other machines" in result.output


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
        queue.execute("UPDATE mapillary_crawler.schema_version SET version = 99")
    assert "newer (schema 99" in refused("worker")
    assert os.environ.get("MAPILLARY_QUEUE") is None
