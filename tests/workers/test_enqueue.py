"""Where users wait who are put into the queue again."""

from __future__ import annotations

import signal
import time

import pytest

from mapillary_crawler.workers.enqueue import Enqueued
from tests.crawling import wait_until
from tests.workers.fleet import Fleet


def known(fleet: Fleet, code: int | None, *, drained: bool = False, seen: str = "now()") -> None:
    """Let dave be known on a machine, and the machine as well."""
    fleet.execute(
        "INSERT INTO progress (collection, slice, username, machine, exit_code) "
        "VALUES ('mapillary-dave-original', -1, 'dave', 'vm-x', %s)",
        code,
    )
    fleet.execute(
        "INSERT INTO workers (machine, version, jobs, drained, seen_at) "
        f"VALUES ('vm-x', '1', 1, %s, {seen})",
        drained,
    )


def queues(fleet: Fleet) -> list[str]:
    return [row[0] for row in fleet.execute("SELECT queue_name FROM procrastinate_jobs ORDER BY 1")]


@pytest.mark.long
def test_a_finished_user_given_again_is_its_machine_s(fleet: Fleet) -> None:
    """Though another has places free, which would fetch all of it again."""
    fleet.lease = 6
    fleet.enqueue("dave")
    with fleet.worker("one") as first:
        fleet.until_ended("dave")
        with fleet.worker("other"):
            wait_until(lambda: len(fleet.look().workers) == 2)
            for number, update in enumerate(({}, {"update": "1"}), 1):
                first.send_signal(signal.SIGSTOP)  # so that the other would be the first
                enqueued = fleet.enqueued("dave", **update)
                assert list(enqueued.lines()) == ["dave is on one, and goes there"]
                time.sleep(1)
                assert len(fleet.names("BEGIN")) == number
                first.send_signal(signal.SIGCONT)
                fleet.until_ended("dave")
                (user,) = fleet.look().users.values()
                assert user.machine == "one"
    assert fleet.names("BEGIN") == ["dave"] * 3


@pytest.mark.long
@pytest.mark.parametrize("code", [0, 8, 3, None], ids=["done", "no images", "failed", "cancelled"])
def test_whoever_has_something_of_a_user_gets_it_again(fleet: Fleet, code: int | None) -> None:
    known(fleet, code)
    assert fleet.enqueue("dave", "erin") == 2
    assert queues(fleet) == ["machine vm-x", "users"]
    assert fleet.enqueue("dave", "erin") == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "gone", [{"drained": True}, {"seen": "now() - interval '1 minute'"}], ids=["ended", "lost"]
)
def test_for_a_machine_without_a_worker_nobody_waits(fleet: Fleet, gone: dict[str, str]) -> None:
    known(fleet, 0, **gone)  # type: ignore[arg-type]
    (said,) = fleet.enqueued("dave").lines()
    assert said == "dave was on vm-x, which has no worker now: any machine may fetch that again"
    assert queues(fleet) == ["users"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "queue"), [(0, "users"), (3, "machine vm-x")], ids=["done", "failed"]
)
def test_what_is_finished_in_a_folder_of_all_machines_is_any_s(
    fleet: Fleet, code: int, queue: str
) -> None:
    known(fleet, code)
    fleet.execute("INSERT INTO shared (token) VALUES ('t')")
    enqueued = fleet.enqueued("dave")
    assert queues(fleet) == [queue]
    assert bool(enqueued.stay) == (queue != "users")
    assert not enqueued.leave


@pytest.mark.long
def test_a_machine_that_is_lost_later_has_nobody_waiting_for_it(fleet: Fleet) -> None:
    known(fleet, 0)
    fleet.enqueue("dave")
    with fleet.worker("other"):
        fleet.until_ended("dave")
    assert fleet.names("BEGIN") == ["dave"]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["a"], "a is on m, and goes there"),
        (["a", "b"], "a and b are on m, and go there"),
        (["a", "b", "c"], "a, b and c are on m, and go there"),
        (["a"] * 1004, "a, a, a and 1,001 more are on m, and go there"),
        (["\x1b"], "\\x1b is on m, and goes there"),
    ],
)
def test_a_line_has_a_few_names(names: list[str], line: str) -> None:
    assert list(Enqueued(stay={"m": names}).lines()) == [line]
