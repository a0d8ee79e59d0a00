"""What each exit code means for a task, as the design's table has it."""

from __future__ import annotations

import signal

import pytest

from mapillary_crawler.workers.verdict import CRASHES, Next, judge


@pytest.mark.parametrize(
    ("code", "of_user", "of_slice"),
    [
        (0, Next.DONE, Next.DONE),
        (1, Next.CRASHED, Next.CRASHED),
        (2, Next.SHOWN, Next.SHOWN),
        (3, Next.SHOWN, Next.MERGE),
        (4, Next.LATER, Next.LATER),
        (5, Next.PAUSE_FLEET, Next.PAUSE_FLEET),
        (6, Next.PAUSE_MACHINE, Next.PAUSE_MACHINE),
        (7, Next.LATER, Next.LATER),
        (8, Next.DONE, Next.DONE),
        (9, Next.LATER, Next.LATER),
        (10, Next.LATER, Next.LATER),
        (77, Next.CRASHED, Next.CRASHED),
        (-signal.SIGKILL, Next.CRASHED, Next.CRASHED),
        (-signal.SIGTERM, Next.CRASHED, Next.CRASHED),
    ],
)
def test_an_exit_code(code: int, of_user: Next, of_slice: Next) -> None:
    assert judge(code, is_slice=False).next is of_user
    assert judge(code, is_slice=True).next is of_slice


@pytest.mark.parametrize("code", [1, 77, -signal.SIGKILL])
def test_crashes_are_tried_three_times_with_longer_waits(code: int) -> None:
    verdicts = [judge(code, is_slice=True, crashes=crashes) for crashes in range(CRASHES + 1)]
    assert [each.next for each in verdicts] == [Next.CRASHED, Next.CRASHED, Next.SHOWN, Next.SHOWN]
    assert 0 < verdicts[0].seconds < verdicts[1].seconds


def test_what_only_needs_time_is_tried_for_ever() -> None:
    for code in (4, 5, 6, 7, 9, 10):
        assert judge(code, is_slice=True, crashes=1000).next is not Next.SHOWN
