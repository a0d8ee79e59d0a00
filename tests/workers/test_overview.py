"""What `scrapy queue` says of a user, its slices and its machine."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.workers.fleet import Fleet

pytestmark = pytest.mark.long

NAME = "mapillary-alice-original"
_PROGRESS = (
    "INSERT INTO progress (collection, slice, username, machine, exit_code, figures) "
    "VALUES ('mapillary-alice-original', %s, 'alice', 'm', %s, %s)"
)


def figures(**numbers: Any) -> str:
    return json.dumps({"gone": 0, "unavailable": 0, "failed": 0, "bytes_saved": 0, **numbers})


def test_slices_are_counted_once_and_what_is_left_falls(fleet: Fleet) -> None:
    """What was saved before the cut is in the slices, too."""
    fleet.enqueue("alice")
    fleet.execute(_PROGRESS, -1, 4, figures(listed=1000, saved=100, left=900))
    assert fleet.look().users[NAME].left == 900
    fleet.execute(_PROGRESS, 1, 3, figures(listed=300, saved=290, gone=5, failed=5, left=0))
    running = figures(listed=300, saved=100, left=200, images_per_second=30.0, bytes_saved=7)
    fleet.execute(_PROGRESS, 2, None, running)
    user = fleet.look().users[NAME]
    assert (user.listed, user.saved, user.gone, user.failed, user.left) == (1000, 390, 5, 5, 600)
    assert (user.slices, user.slices_ended, user.bytes_saved) == (1, 1, 7)
    assert (user.images_per_second, user.seconds_left) == (30.0, 20)
    (total,) = (fields for fields in fleet.look().fields() if fields["kind"] == "sum")
    assert total["images_per_second"] == 30.0
    assert total["seconds_left"] == 20


def test_who_has_no_task_is_done_only_where_the_crawl_said_so(fleet: Fleet) -> None:
    fleet.execute(_PROGRESS, -1, -9, figures(listed=3))
    assert fleet.look().users[NAME].state == "failed"
    fleet.execute("UPDATE progress SET exit_code = 0")
    assert fleet.look().users[NAME].state == "done"


def test_how_much_is_left_is_not_known_before_some_is_listed(fleet: Fleet) -> None:
    def left() -> list[int | None]:
        (fields,) = (each for each in fleet.look().fields() if each["kind"] == "user")
        return [fleet.look().users[NAME].left, json.loads(json.dumps(fields))["left"]]

    fleet.enqueue("alice")
    assert left() == [None, None], "nobody has taken it"
    fleet.execute(_PROGRESS, -1, None, "{}")
    assert left() == [None, None], "its crawl has told nothing yet"
    fleet.execute("UPDATE progress SET figures = %s", figures(listed=0, left=0))
    assert left() == [None, None], "its listing has just begun"
    fleet.execute("UPDATE progress SET figures = %s", figures(listed=3, saved=1, left=2))
    assert left() == [2, 2]
    fleet.execute("DELETE FROM procrastinate_jobs")
    fleet.execute("UPDATE progress SET exit_code = 8, figures = %s", figures(listed=0, left=0))
    assert left() == [0, 0], "it has none"


def test_what_slices_have_is_not_all_that_is_left_before_the_whole_has_told(fleet: Fleet) -> None:
    fleet.enqueue("alice")
    fleet.execute(_PROGRESS, -1, None, "{}")
    fleet.execute(_PROGRESS, 1, 0, figures(listed=300, saved=300, left=0))
    user = fleet.look().users[NAME]
    assert (user.saved, user.left, user.seconds_left) == (300, None, None)


def test_odd_figures_of_a_stranger_disturb_nobody(fleet: Fleet) -> None:
    odd = json.dumps({"listed": "many", "saved": None, "images_per_second": [], "left": {}})
    fleet.execute(_PROGRESS, -1, None, odd)
    user = fleet.look().users[NAME]
    assert (user.listed, user.saved, user.images_per_second) == (0, 0, 0.0)


@pytest.mark.parametrize(
    "odd", ["[]", '"x"', "null", '{"saved": 1e5000, "listed": 3}', '{"saved": -1, "left": 1e30}']
)
def test_what_no_crawl_has_told_is_not_counted(fleet: Fleet, odd: str) -> None:
    fleet.execute(_PROGRESS, -1, None, odd)
    user = fleet.look().users[NAME]
    assert (user.listed, user.saved, user.left, user.seconds_left) == (0, 0, None, None)


def test_what_a_stranger_says_of_machines_and_tasks_can_be_shown(fleet: Fleet) -> None:
    fleet.execute(
        "INSERT INTO workers (machine, version, jobs, seen_at) VALUES "
        "(repeat('m', 1000000), E'\\x1b', -1, 'infinity'), ('n', '1', 1, '-infinity')"
    )
    fleet.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, lock) VALUES "
        "('users', 'archive_user', '{\"username\": 1e5000}', 'failed', 'a'), "
        "('users', 'archive_user', '{}', 'todo', 'b')"
    )
    found = fleet.look()
    assert len(list(found.fields())) == 5
    assert [user.username for user in found.users.values()] == [""]
    assert [task.reason for task in found.refused] == ["it has fields that no task has"]


def test_whom_no_machine_can_go_on_with_is_told(fleet: Fleet) -> None:
    fleet.enqueue("alice")
    fleet.execute("UPDATE procrastinate_jobs SET queue_name = 'shared 7'")
    assert fleet.look().users[NAME].waits_for_version == "7"
    worker = "INSERT INTO workers (machine, version, jobs, drained) VALUES ('m', '7', 1, %s)"
    fleet.execute(worker, True)
    assert fleet.look().users[NAME].waits_for_version == "7", "it was told to end"
    fleet.execute(worker, False)
    assert fleet.look().users[NAME].waits_for_version is None
    assert fleet.states() == {"alice": "waiting"}


def test_who_waits_for_a_machine_without_a_worker_is_told_and_goes_to_any_by_retry(
    fleet: Fleet,
) -> None:
    def waits() -> tuple[str | None, str]:
        user = fleet.look().users[NAME]
        return user.waits_for_machine, user.words

    def queues() -> list[tuple[str]]:
        return fleet.execute("SELECT queue_name FROM procrastinate_jobs")

    fleet.enqueue("alice")
    assert waits() == (None, "waiting"), "any machine's"
    fleet.execute(_PROGRESS, -1, None, "{}")
    fleet.execute("UPDATE procrastinate_jobs SET queue_name = 'machine m'")
    worker = "INSERT INTO workers (machine, version, jobs, drained, seen_at) VALUES "
    for gone in ("('m', '1', 1, true, now())", "('m', '1', 1, false, now() - interval '1 h')"):
        fleet.execute(worker + gone)
        assert waits() == ("m", "waiting for its machine")
    fleet.execute(worker + "('m', '1', 1, false, now())")
    assert waits() == (None, "waiting")
    assert fleet.retry("alice") == 1
    assert queues() == [("machine m",)], "it is where its files are"
    fleet.execute("DELETE FROM workers WHERE NOT drained AND seen_at > now() - interval '1 min'")
    assert waits() == ("m", "waiting for its machine")
    assert fleet.retry("alice") == 1
    assert queues() == [("users",)]
    assert waits() == (None, "waiting")


def test_when_it_is_tried_again_is_told_of_a_user_that_is_later(fleet: Fleet) -> None:
    fleet.enqueue("alice")
    assert fleet.look().users[NAME].seconds_to_wait is None
    later = "UPDATE procrastinate_jobs SET scheduled_at = now() + make_interval(secs => 900)"
    fleet.execute(later)
    user = fleet.look().users[NAME]
    assert user.state == "later"
    assert user.seconds_to_wait is not None
    assert 880 <= user.seconds_to_wait <= 900
    assert re.fullmatch(r"later, in 1[45]:\d\d", user.words)
    fleet.execute("UPDATE procrastinate_jobs SET scheduled_at = 'infinity'")
    assert fleet.look().users[NAME].words.startswith("later, in ")
    fleet.execute(later)
    fleet.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, lock) SELECT "
        "queue_name, 'archive_slice', args || '{\"number\": 1}', 'failed', lock || '#1' "
        "FROM procrastinate_jobs"
    )
    user = fleet.look().users[NAME]
    assert (user.state, user.seconds_to_wait) == ("failed", None)
