"""Why nothing of a user could be cancelled or tried again is what the table shows of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mapillary_crawler.workers.no_task import why_not_cancelled, why_not_retried
from mapillary_crawler.workers.overview import UserInQueue
from tests.workers.fleet import Fleet


def users(*states: str) -> list[UserInQueue]:
    return [
        UserInQueue("bob", f"mapillary-bob-{number}", state) for number, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (["done"], "bob is done; enqueue it again, with its arguments: .* archive bob --queue$"),
        (["failed", "done"], "bob has no task any more; enqueue it again, .* bob --queue$"),
        ([], "bob is not in the queue; see .* queue$"),
    ],
)
def test_a_user_without_a_task_is_not_tried_again(states: list[str], said: str) -> None:
    assert_says(why_not_retried("bob", users(*states)), said)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (["done"], "bob is done: there is nothing to cancel$"),
        (["done", "failed"], "bob has failed: there is nothing to cancel$"),
        (["failed", "cancelled"], "bob was cancelled already; it goes on with: .* retry bob$"),
        ([], "bob is not in the queue; see .* queue$"),
    ],
)
def test_what_neither_waits_nor_is_being_done_is_not_cancelled(
    states: list[str], said: str
) -> None:
    assert_says(why_not_cancelled("bob", users(*states)), said)


def test_another_user_says_nothing_of_it_and_a_name_can_be_typed() -> None:
    assert "al is not in the queue" in why_not_retried("al", users("done"))
    odd = UserInQueue("a b", "mapillary-a_u20_b-original", "done")
    assert why_not_retried("a b", [odd]).endswith("archive 'a b' --queue")


@pytest.mark.long
def test_a_user_that_was_cancelled_keeps_its_task_and_is_tried_again(
    tmp_path: Path, queue_address: str
) -> None:
    fleet = Fleet(tmp_path, queue_address)
    fleet.enqueue("bob")
    assert (fleet.cancel("bob"), fleet.cancel("bob")) == (1, 0)
    assert "cancelled already" in why_not_cancelled("bob", fleet.look().users.values())
    assert fleet.retry("bob") == 1
    assert fleet.states() == {"bob": "waiting"}


def assert_says(line: str, said: str) -> None:
    assert re.match(said, line), line
