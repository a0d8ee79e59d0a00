"""What `scrapy queue` says of workers."""

from __future__ import annotations

import json

import pytest

from tests.crawling import wait_until
from tests.workers.fleet import Fleet

pytestmark = pytest.mark.long

_WORKER = (
    "INSERT INTO workers (machine, version, jobs, drained, seen_at) "
    "VALUES (%s, '1', 1, %s, now() - make_interval(secs => %s))"
)


def states(fleet: Fleet) -> dict[str, str]:
    return {worker.machine: worker.state for worker in fleet.look().workers}


def test_a_worker_is_idle_until_something_is_done_on_its_machine(fleet: Fleet) -> None:
    """A slice as well as a user, and nothing that was done there before."""
    for machine in ("one", "two", "three"):
        fleet.execute(_WORKER, machine, False, 0)
    fleet.enqueue("alice", "bob")
    fleet.execute(
        "INSERT INTO progress (collection, slice, username, machine) VALUES "
        "('mapillary-alice-original', -1, 'alice', 'one'), "
        "('mapillary-bob-original', -1, 'bob', 'one'), "
        "('mapillary-bob-original', 3, 'bob', 'two')"
    )
    assert set(states(fleet).values()) == {"idle"}
    fleet.execute(
        "UPDATE procrastinate_jobs SET status = 'doing', lock = lock || '#3' "
        "WHERE args ->> 'username' = 'bob'"
    )
    assert states(fleet) == {"one": "idle", "two": "working", "three": "idle"}
    fleet.execute("UPDATE procrastinate_jobs SET status = 'doing'")
    assert states(fleet) == {"one": "working", "two": "working", "three": "idle"}
    fleet.execute("INSERT INTO halt (username, machine, reason) VALUES ('bob', 'two', 'r')")
    assert states(fleet) == {"one": "working", "two": "working", "three": "halted"}


def test_a_worker_that_has_nothing_to_do_says_so(fleet: Fleet) -> None:
    fleet.plan({"alice": [(60, 0)]})
    with fleet.worker():
        wait_until(lambda: states(fleet) == {"one": "idle"})
        fleet.enqueue("alice")
        wait_until(lambda: states(fleet) == {"one": "working"})


def test_since_when_nothing_was_heard_of_a_worker_is_told(fleet: Fleet) -> None:
    fleet.execute(_WORKER, "ended", True, 300)
    fleet.execute(_WORKER, "lost", False, 7200)
    ended, lost = fleet.look().workers
    assert (ended.state, lost.state) == ("ended", "lost")
    assert ended.is_gone
    assert lost.is_gone
    assert 300 <= ended.seconds_unseen < 400
    assert 7200 <= json.loads(json.dumps(lost.fields()))["seconds_unseen"] < 7300
