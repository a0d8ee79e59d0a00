"""Tasks on a real PostgreSQL: whatever dies, everyone is crawled, and nobody twice at once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from procrastinate import PsycopgConnector

from mapillary_crawler.workers.database import parameters
from mapillary_crawler.workers.jobs import Jobs
from mapillary_crawler.workers.leases import USERS
from mapillary_crawler.workers.tasks import defer, make_app
from mapillary_crawler.workers.work import Work
from tests.crawling import wait_until
from tests.workers.fleet import Fleet, is_alive
from tests.workers.postgres import Postgres

pytestmark = pytest.mark.long


def test_users_are_crawled_once_each_and_slices_before_the_next_user(fleet: Fleet) -> None:
    fleet.cut({"alice": 3})
    fleet.plan({"alice": [(0.1, 4), (0.1, 0)], "alice#2": [(0.1, 3)]})
    assert fleet.enqueue("alice", "bob", "alice") == 2
    assert fleet.enqueue("alice", "bob") == 0
    assert fleet.states() == {"alice": "waiting", "bob": "waiting"}
    with fleet.worker():
        fleet.until_ended("alice", "bob")
    begun = fleet.names("BEGIN")
    assert begun == ["alice", "alice#1", "alice#2", "alice#3", "alice", "bob"]
    assert fleet.look().users["mapillary-alice-original"].exit_code == 0
    assert fleet.execute("SELECT count(*) FROM procrastinate_jobs") == [(0,)]


def test_crawls_know_nothing_of_the_queue(fleet: Fleet) -> None:
    fleet.enqueue("alice")
    with fleet.worker():
        fleet.until_ended("alice")
    (begun,) = fleet.log("BEGIN")
    assert "PATH" in begun[-1]
    assert "MAPILLARY_QUEUE" not in begun[-1]


def test_a_killed_worker_s_tasks_are_another_s_and_its_crawls_end(fleet: Fleet) -> None:
    fleet.plan({"alice": [(60, 0), (0.1, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one") as first:
        wait_until(lambda: fleet.log("BEGIN"))
        crawl = int(fleet.log("BEGIN")[0][2])
        first.kill()
        wait_until(lambda: not is_alive(crawl))
    with fleet.worker("other"):
        fleet.until_ended("alice")
    assert fleet.names("BEGIN") == ["alice", "alice"]
    assert fleet.names("END") == ["alice"]


def test_a_worker_started_again_goes_on_where_its_files_are(fleet: Fleet) -> None:
    """Though another has places free."""
    fleet.plan({"alice": [(60, 0), (0.1, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one") as first:
        wait_until(lambda: fleet.log("BEGIN"))
        first.kill()
    with fleet.worker("other"), fleet.worker("one"):
        fleet.until_ended("alice")
        (user,) = fleet.look().users.values()
    assert user.machine == "one"


def test_a_lost_machine_s_slices_are_begun_anew_as_a_whole(fleet: Fleet) -> None:
    fleet.cut({"alice": 2})
    fleet.plan({"alice": [(0.1, 4), (0.1, 0)], "alice#1": [(60, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one") as first:
        wait_until(lambda: "alice#1" in fleet.names("BEGIN"))
        first.kill()
    fleet.cut({})
    with fleet.worker("other"):
        fleet.until_ended("alice")
    begun = fleet.names("BEGIN")  # a task may run once more, and finds that all is done
    assert begun[:3] == ["alice", "alice#1", "alice"]
    assert set(begun[3:]) <= {"alice"}


def test_what_a_version_has_cut_that_is_no_more_is_any_machine_s(fleet: Fleet) -> None:
    fleet.enqueue("alice", "bob")
    fleet.execute("UPDATE procrastinate_jobs SET queue_name = 'shared 7'")
    fleet.execute(
        "UPDATE procrastinate_jobs SET task_name = 'archive_slice', lock = lock || '#3', "
        "queueing_lock = queueing_lock || '#3', args = args || '{\"number\": 3}' "
        "WHERE args ->> 'username' = 'bob'"
    )
    drained = "INSERT INTO workers (machine, version, jobs, drained) VALUES ('gone', '7', 1, true)"
    fleet.execute(drained)
    with fleet.worker("one"):
        time.sleep(2 * fleet.lease)
        assert fleet.names("BEGIN") == [], "a machine that was told to end is waited for"
        fleet.execute("DELETE FROM workers WHERE machine = 'gone'")
        fleet.until_ended("alice", "bob")
    assert fleet.names("BEGIN") == ["alice", "bob"], "the users, who take the slices back"


def test_told_to_end_it_puts_back_what_it_has_and_its_machine_goes_on(fleet: Fleet) -> None:
    fleet.plan({"alice": [(60, 0), (0.1, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one") as first:
        wait_until(lambda: fleet.log("BEGIN"))
        first.terminate()
        assert first.wait(30) == 0
        assert first.stdout is not None
        assert "put back with what it has" in first.stdout.read()
    assert fleet.names("STOP") == ["alice"]
    assert fleet.states() == {"alice": "waiting"}
    with fleet.worker("other"):
        time.sleep(2 * fleet.lease)  # it is not taken from a machine that was told to end
        assert len(fleet.log("BEGIN")) == 1
        with fleet.worker("one"):
            fleet.until_ended("alice")


def test_a_worker_paused_for_longer_than_the_lease_keeps_others_out(fleet: Fleet) -> None:
    fleet.plan({"alice": [(4 * fleet.lease, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one") as first:
        wait_until(lambda: fleet.log("BEGIN"))
        first.send_signal(signal.SIGSTOP)
        with fleet.worker("other"):
            time.sleep(3 * fleet.lease)
            assert fleet.names("BEGIN") == ["alice"]
            first.send_signal(signal.SIGCONT)
            fleet.until_ended("alice")
    live = 0
    for word, *_ in fleet.log():
        live += {"BEGIN": 1}.get(word, -1)
        assert live <= 1, fleet.log()


def test_what_a_worker_ends_that_was_thought_dead_is_not_lost(fleet: Fleet) -> None:
    """Its task waits again by then, for others; what it wants to follow is that one."""
    fleet.plan({"alice": [(1.5 * fleet.lease, 1), (0.1, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one"), fleet.worker("one"):
        wait_until(lambda: fleet.log("BEGIN"))
        (crawl,) = (int(line[2]) for line in fleet.log("BEGIN"))
        owner = int(Path(f"/proc/{crawl}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(owner, signal.SIGSTOP)
        wait_until(lambda: {"waiting", "later"} & set(fleet.states().values()))
        wait_until(lambda: fleet.log("END"))
        os.kill(owner, signal.SIGCONT)
        fleet.until_ended("alice")
    assert [line[3] for line in fleet.log("END")] == ["1", "0"]
    assert fleet.execute("SELECT count(*) FROM procrastinate_jobs") == [(0,)]


def test_a_task_that_is_one_too_many_does_not_stay(fleet: Fleet) -> None:
    """It is put back, and what follows on it waits already."""

    async def put_back() -> None:
        connector = PsycopgConnector(conninfo=fleet.address, kwargs=parameters(fleet.dsn))
        app = make_app(connector)
        app.job_manager = Jobs(connector)
        async with app.open_async():
            await defer(app, [Work("alice", {})], queue=USERS)
            worker = await app.job_manager.register_worker()
            taken = await app.job_manager.fetch_job(queues=[USERS], worker_id=worker)
            assert taken is not None
            await defer(app, [Work("alice", {}, crashes=1)], queue=USERS)
            await app.job_manager.retry_job(taken)

    asyncio.run(put_back())
    left = fleet.execute("SELECT status::text, args ->> 'crashes' FROM procrastinate_jobs")
    assert left == [("todo", "1")]


def test_the_database_away_loses_nothing(fleet: Fleet, postgres: Postgres) -> None:
    fleet.plan({"alice": [(60, 0), (0.1, 0)]})
    fleet.enqueue("alice", "bob")
    try:
        with fleet.worker("one") as first:
            wait_until(lambda: fleet.log("BEGIN"))
            postgres.stop(signal.SIGKILL)
            assert first.wait(60) == 7
            assert first.stdout is not None
            said = first.stdout.read()
        assert fleet.names("STOP") == ["alice"]  # before its lease has ended, and by itself
        assert "went away: " in said
        assert "Connection refused; start the worker again" in " ".join(said.split())
        assert "Traceback" not in said
        assert "of-the-tests" not in said
    finally:
        postgres.stop()
        postgres.start()
    with fleet.worker("one"):
        fleet.until_ended("alice", "bob")


def test_the_database_started_anew_disturbs_nobody(fleet: Fleet, postgres: Postgres) -> None:
    """It is away for less than a lease, so what runs has its lock back in time."""
    fleet.lease = 30
    fleet.plan({"alice": [(8, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one"):
        wait_until(lambda: fleet.log("BEGIN"))
        postgres.stop(signal.SIGKILL)
        postgres.start()
        fleet.until_ended("alice")
    assert fleet.names("BEGIN") == ["alice"]


def test_a_worker_that_was_taken_for_dead_goes_on(fleet: Fleet) -> None:
    """One that the queue does not know cannot take a task, so it has to be known again."""
    fleet.plan({"alice": [(4 * fleet.lease, 0), (0.1, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one") as first:
        wait_until(lambda: fleet.log("BEGIN"))
        with fleet.worker("other") as other:
            first.send_signal(signal.SIGSTOP)
            wait_until(lambda: fleet.states() != {"alice": "running"})
            time.sleep(fleet.lease / 2)
            first.send_signal(signal.SIGCONT)
            other.terminate()
            assert other.wait(30) == 0
        fleet.enqueue("bob")
        fleet.until_ended("alice", "bob")
        first.terminate()
        assert first.wait(30) == 0
        assert first.stdout is not None
        assert "taken for dead; it is back" in first.stdout.read()


def test_a_worker_goes_on_once_the_database_is_back(fleet: Fleet, postgres: Postgres) -> None:
    """It was away for longer than a heartbeat waits, and the crawl has ended by then."""
    fleet.lease = 12
    fleet.plan({"alice": [(60, 0), (0.1, 0)]})
    fleet.enqueue("alice", "bob")
    with fleet.worker("one") as first:
        wait_until(lambda: fleet.log("BEGIN"))
        postgres.stop(signal.SIGKILL)
        time.sleep(7)
        postgres.start()
        fleet.until_ended("alice", "bob")
        time.sleep(fleet.lease)
        fleet.enqueue("carol")
        fleet.until_ended("carol")
        first.terminate()
        assert first.wait(30) == 0
        assert first.stdout is not None
        said = first.stdout.read()
    assert "is there again" in said
    assert "Nobody works on" not in said, "it has not taken itself for dead"


def test_a_refused_token_stops_all_until_somebody_has_looked(fleet: Fleet) -> None:
    fleet.plan({"alice": [(0.1, 5), (0.1, 0)]})
    fleet.enqueue("alice", "bob")
    with fleet.worker("one"), fleet.worker("other"):
        wait_until(lambda: fleet.look().halted)
        time.sleep(fleet.lease)
        begun = fleet.names("BEGIN")
        assert begun.count("alice") == 1
        fleet.enqueue("carol")
        time.sleep(fleet.lease)
        assert "carol" not in fleet.names("BEGIN")
        halted = fleet.look().halted
        assert halted is not None
        assert "was refused" in halted
        assert fleet.retry("alice") == 1
        fleet.until_ended("alice", "bob", "carol")


def test_a_full_disk_pauses_its_machine_alone(fleet: Fleet) -> None:
    fleet.plan({"alice": [(0.1, 6), (0.1, 0)], "bob": [(2.5, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one"):
        wait_until(lambda: any("paused" in each.state for each in fleet.look().workers))
        assert fleet.states() == {"alice": "later"}
        fleet.enqueue("bob")
        time.sleep(fleet.lease)
        assert "bob" not in fleet.names("BEGIN")
        with fleet.worker("other"):
            fleet.until_ended("bob")
    assert fleet.names("BEGIN") == ["alice", "bob"]


def test_who_crashes_again_and_again_is_shown_and_can_be_retried(fleet: Fleet) -> None:
    fleet.plan({"alice": [(0, 2), (0, 0)]})
    fleet.enqueue("alice", "bob")
    with fleet.worker("one"):
        fleet.until_ended("bob")
        (user,) = (each for each in fleet.look().users.values() if each.username == "alice")
        assert (user.state, user.exit_code) == ("failed", 2)
        assert fleet.retry("alice") == 1
        fleet.until_ended("alice")
    assert fleet.retry("nobody") == 0


def test_who_is_cancelled_ends_and_begins_again_when_retried(fleet: Fleet) -> None:
    fleet.plan({"alice": [(60, 0), (0.1, 0)]})
    fleet.enqueue("alice", "bob")
    with fleet.worker("one"):
        wait_until(lambda: fleet.log("BEGIN"))
        assert fleet.cancel("alice") == 1
        fleet.until_ended("bob")
        assert fleet.names("STOP") == ["alice"]
        assert fleet.states()["alice"] == "cancelled"
        assert fleet.retry("alice") == 1
        fleet.until_ended("alice")


def test_takeover_does_not_wait_for_a_free_place(fleet: Fleet) -> None:
    """All places of the one that is left are held by long crawls; who died is found still."""
    fleet.plan({"alice": [(60, 0), (0.1, 0)], "bob": [(60, 0)]})
    fleet.enqueue("alice")
    with fleet.worker("one") as first:
        wait_until(lambda: fleet.log("BEGIN"))
        with fleet.worker("other"):
            fleet.enqueue("bob")
            wait_until(lambda: "bob" in fleet.names("BEGIN"))
            first.kill()
            wait_until(lambda: fleet.states().get("alice") == "waiting")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_children_of_one_that_is_told_to_end_are_gone_with_it(
    fleet: Fleet, number: signal.Signals
) -> None:
    fleet.plan({"alice": [(60, 0)], "bob": [(60, 0)]})
    fleet.enqueue("alice", "bob")
    with fleet.worker("one", jobs=2) as first:
        wait_until(lambda: len(fleet.log("BEGIN")) == 2)
        os.kill(first.pid, number)
        assert first.wait(30) == 0
    assert not any(is_alive(int(line[2])) for line in fleet.log("BEGIN"))
    assert sorted(fleet.states().values()) == ["waiting", "waiting"]
