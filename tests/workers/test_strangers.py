"""Whoever may write into the queue can have users archived, and nothing else done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mapillary_crawler.workers.database import QueueRefused
from mapillary_crawler.workers.leases import queue_of
from mapillary_crawler.workers.work import Work
from tests.crawling import wait_until
from tests.workers.fleet import Fleet

pytestmark = pytest.mark.long

_PROPER = {"username": "alice", "arguments": {}}
#: Tasks as a stranger may write them: the name, and the arguments.
STRANGE: list[tuple[str, dict[str, Any]]] = [
    ("rm", {}),
    ("os.system", {"command": "touch /tmp/x"}),
    ("archive_user; rm", _PROPER),
    ("builtin:procrastinate.builtin_tasks.remove_old_jobs", {"max_hours": 0}),
    ("procrastinate.builtin_tasks.remove_old_jobs", {"max_hours": 0}),
    ("archive_user", {}),
    ("archive_user", {"username": "alice"}),
    ("archive_user", {**_PROPER, "settings": {"ON_END": "touch /tmp/x"}}),
    ("archive_user", {**_PROPER, "context": None}),
    ("archive_user", {**_PROPER, "command": ["sh"]}),
    ("archive_user", {"username": "../../etc", "arguments": {}}),
    ("archive_user", {"username": "/etc/passwd", "arguments": {}}),
    ("archive_user", {"username": "a\nb", "arguments": {}}),
    ("archive_user", {"username": "\x1b[2J", "arguments": {}}),
    ("archive_user", {"username": ["alice"], "arguments": {}}),
    ("archive_user", {"username": "alice", "arguments": []}),
    ("archive_user", {"username": "alice", "arguments": "-s ON_END=x"}),
    ("archive_user", {"username": "alice", "arguments": {"-s": "ON_END=x"}}),
    ("archive_user", {"username": "alice", "arguments": {"ON_END": "touch /tmp/x"}}),
    ("archive_user", {"username": "alice", "arguments": {"MAPILLARY_STORE": "/etc"}}),
    ("archive_user", {"username": "alice", "arguments": {"quality": "256 -s ON_END=x"}}),
    ("archive_user", {"username": "alice", "arguments": {"quality": ["256", "-s"]}}),
    ("archive_user", {"username": "alice", "arguments": {"webp": True}}),
    ("archive_user", {"username": "alice", "arguments": {"username": "bob"}}),
    ("archive_user", {"username": "alice", "arguments": {"cut": "1"}}),
    ("archive_user", {"username": "alice", "arguments": {"slice": "1"}}),
    ("archive_user", {**_PROPER, "crashes": "1"}),
    ("archive_user", {**_PROPER, "number": 1}),
    ("archive_slice", _PROPER),
    ("archive_slice", {**_PROPER, "number": "1 -s ON_END=x"}),
    ("archive_slice", {**_PROPER, "number": -1}),
    ("archive_slice", {**_PROPER, "number": 1.5}),
    ("archive_slice", {**_PROPER, "number": "../1"}),
]
#: What PostgreSQL takes for JSON, and Python does not: a number of 5,000 digits.
UNREADABLE = '{"username": "alice", "arguments": {"quality": 1e5000}}'
_INSERT = "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES ('users', %s, %s)"


def test_what_is_no_task_of_ours_is_refused_shown_and_never_run(fleet: Fleet) -> None:
    for name, arguments in STRANGE:
        fleet.execute(_INSERT, name, json.dumps(arguments))
    fleet.execute(_INSERT, "archive_user", UNREADABLE)
    fleet.enqueue("bob")
    with fleet.worker("one", jobs=4) as worker:
        fleet.until_ended("bob")

        def taken() -> bool:
            found = fleet.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")
            return bool(found == [(len(STRANGE) + 1,)])

        wait_until(taken)
        worker.terminate()
        worker.wait(30)
        assert worker.stdout is not None
        said = worker.stdout.read()
    assert fleet.names("BEGIN") == ["bob"]
    found = fleet.look()
    assert list(found.users) == ["mapillary-bob-original"]
    assert len(found.refused) == len(STRANGE) + 1
    assert all(task.reason for task in found.refused)
    assert "Traceback" not in said
    assert "\x1b" not in said
    assert "a task may not have the argument 'ON_END'" in said


def test_what_procrastinate_would_stumble_over_the_database_refuses(fleet: Fleet) -> None:
    for arguments in ("[]", '"x"', "1", "null"):
        with pytest.raises(QueueRefused, match="args_are_an_object"):
            fleet.execute(_INSERT, "archive_user", arguments)


def test_what_is_left_of_a_lost_machine_is_read_as_a_strangers(fleet: Fleet) -> None:
    """Else whoever looks after it would stop at what is no task, and so would all machines."""
    fleet.enqueue("bob")
    with fleet.worker("lost"):
        fleet.until_ended("bob")
    fleet.execute("UPDATE workers SET seen_at = now() - interval '1 hour'")
    of_lost = queue_of("lost")
    for lock, arguments in (("a", {}), ("b", {"username": "b", "arguments": {}, "number": 1})):
        fleet.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args) "
            "VALUES (%s, 'archive_slice', %s, %s)", of_lost, lock, json.dumps(arguments),
        )  # fmt: skip
    fleet.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status) "
        "VALUES (%s, 'archive_user', %s, '{}', 'doing')", of_lost, f"a#{'9' * 5000}",
    )  # fmt: skip
    with fleet.worker("one"):
        fleet.until_ended("b")
        fleet.enqueue("carol")
        fleet.until_ended("carol")


def test_a_name_that_looks_like_an_option_stays_a_name() -> None:
    work = Work("-s ON_END=touch", {})
    assert work.options(cut=True)[:2] == ["-a", "username=-s ON_END=touch"]
