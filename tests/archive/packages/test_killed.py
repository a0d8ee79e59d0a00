"""SIGKILL at any instant of a hand-out, of slices elsewhere, and of their merge; and again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mapillary_crawler.archive.packages.handed_out import look
from mapillary_crawler.archive.packages.publishing import forget, withdraw
from tests.archive.finish.made import deterministic_set, made_in_one, pictures
from tests.archive.finish.test_killed import kills_at_any_line
from tests.archive.packages.machines import NAME, Machine
from tests.archive.slices.cut import cut_in_two_runs
from tests.ledgers import fast_folder

SOME = pictures(days=3, a_day=4)


def do_what_is_left(one: Machine, other: Machine) -> None:
    """Do one task after the other, on two machines, as those of a queue would be."""
    for machine in (one, other):
        machine.attempts.remove_left(machine.root)
    if not (one.shared / NAME).exists():
        if look(one.root, NAME) is None:
            one.hand_out()
        forget(one.whole, one.look())
        for part in one.look().open_ones:
            (one if part.number % 2 else other).crawl(part)
        other.finish()
    withdraw(one.root, NAME)


def left(*machines: Machine) -> list[Path]:
    """Return what is not finished, and where it is worked on."""
    places = [machine.root for machine in machines]
    for machine in machines:
        machine.attempts.remove_left(machine.root)
        places += [machine.staging, machine.attempts.folder]
    return [path for place in places for path in place.glob("*mapillary-*")]


@pytest.mark.parametrize(
    "rounds", [3, pytest.param(30, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_a_kill_at_any_line_changes_nothing(tmp_path: Path, rounds: int) -> None:
    in_one = made_in_one(tmp_path, SOME)
    with fast_folder() as folder:
        failing = [SOME[9].image_id]
        one = Machine(folder / "one", folder / "shared", SOME, failing)
        other = Machine(folder / "other", folder / "shared", SOME, failing)
        places = (one.staging, other.staging, one.shared)
        cut_in_two_runs(one.whole, SOME, size=5, saved=6)
        shutil.copytree(one.staging, folder / "template")

        def fresh() -> None:
            for place in places:
                shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder / "template", one.staging)
            for place in places:
                place.mkdir(exist_ok=True)
            one.root.mkdir()

        def ended(at: int) -> None:
            assert deterministic_set(one.shared / NAME) == in_one, at
            assert left(one, other) == [], at

        assert (
            kills_at_any_line(rounds, fresh, lambda: do_what_is_left(one, other), ended)
            >= rounds - 1
        )
