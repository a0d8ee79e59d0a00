"""SIGKILL at any instant of the finish, and the same command again."""

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mapillary_crawler.archive.finish import move
from mapillary_crawler.ledger.pieces import Pieces
from tests.archive.finish.made import ANN, add, deterministic_set, finish, members, pictures, saved

pytestmark = pytest.mark.long

NAME = ANN.name
SOME = pictures(days=2, a_day=5)
ROUNDS = 16
OWN = (
    "/mapillary_crawler/archive/finish/",
    "/mapillary_crawler/archive/packages/",
    "/mapillary_crawler/archive/slices/",
    "/mapillary_crawler/archive/update/",
    "/mapillary_crawler/ledger/",
)


def killed(work: Callable[[], Any], at: int) -> bool:
    """Do `work` in a process that SIGKILL ends at its line number `at`; say whether it did."""
    child = os.fork()
    if child == 0:
        left = at

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if not any(room in frame.f_code.co_filename for room in OWN):
                return None
            left -= event == "line"
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        # A lock that another thread held while this process was forked is never let go.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(300)
        status = 1
        try:
            sys.settrace(trace)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def lines_of(work: Callable[[], Any]) -> int:
    """Return how many lines `work` runs through, to within a few per cent."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if not any(room in frame.f_code.co_filename for room in OWN):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def kills_at_any_line(
    rounds: int,
    fresh: Callable[[], None],
    run: Callable[[], None],
    ended: Callable[[int], None],
    *,
    killed_once: Callable[[], bool] = lambda: False,
    seed: int | None = None,
) -> int:
    """Kill a run at `rounds` instants, each from a fresh start, and go on until it has ended.

    It may be killed more than once a round: `killed_once` is called each time and says whether
    nothing is left to run, `ended` is called with the line of the last time. Returns how often it
    was killed.
    """
    fresh()
    lines = lines_of(run)
    instants = random.Random(rounds if seed is None else seed)
    kills = 0
    for number in range(rounds):
        fresh()
        at = lines * number // rounds + instants.randrange(lines // rounds)
        while killed(run, at):
            kills += 1
            if killed_once():
                break
            at = instants.randrange(lines)  # and perhaps once more
        ended(at)
    return kills


class TwoDisks:
    """Lets renames from staging to the store fail as between two file systems."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, staging: Path) -> None:
        rename = os.rename

        def renamed(source: Any, target: Any, **folders: Any) -> None:
            inside = [Path(path).is_relative_to(staging) for path in (source, target)]
            if inside[0] != inside[1] and not folders:
                raise OSError(18, "Invalid cross-device link")
            rename(source, target, **folders)

        monkeypatch.setattr(os, "rename", renamed)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a collection that is ready to be finished, to be copied."""
    add(tmp_path / "template", SOME)
    return tmp_path / "template"


@pytest.mark.slow
@pytest.mark.parametrize("tar", [True, False])
@pytest.mark.parametrize("disks", [1, 2])
def test_a_kill_at_any_line_changes_nothing(tmp_path, template, monkeypatch, tar, disks):
    staging, store = tmp_path / "staging" / NAME, tmp_path / "store"
    if disks == 2:
        TwoDisks(monkeypatch, tmp_path / "staging")

    def fresh() -> None:
        for path in (staging.parent, store):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(template, staging)

    def run() -> None:
        finish(staging, store, tar=tar)

    fresh()
    run()
    whole = deterministic_set(store / NAME)
    assert not staging.exists()

    def killed_once() -> bool:
        move.end_move(staging, store / NAME)  # as the next run does when it begins
        if not (store / NAME).exists():
            return False
        assert deterministic_set(store / NAME) == whole
        return True

    def ended(at: int) -> None:
        assert deterministic_set(store / NAME) == whole
        assert not staging.exists(), at
        assert [path.name for path in store.iterdir()] == [NAME]
        assert not list(staging.parent.iterdir())

    seed = tar + disks
    kills = kills_at_any_line(ROUNDS, fresh, run, ended, killed_once=killed_once, seed=seed)
    assert kills > ROUNDS
    if tar:
        assert members(store / NAME) == saved(SOME)
        assert not list((store / NAME).glob("*/*.jpg"))


def test_files_are_removed_only_when_their_tar_is_safe(tmp_path, template, monkeypatch):
    done: list[tuple[str, str]] = []

    def noted(what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *rest: Any, **named: Any) -> Any:
            is_handle = isinstance(target, int)
            path = Path(f"/proc/self/fd/{target}").readlink() if is_handle else Path(target)
            done.append((what, path.name))
            return work(target, *rest, **named)

        return call

    for name in ("fsync", "replace", "unlink"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    for name in ("start_tar", "written", "seal_tar"):
        real = getattr(Pieces, name)
        monkeypatch.setattr(
            Pieces,
            name,
            lambda pieces, *rest, _name=name, _real=real, **named: (
                done.append((_name, "")) or _real(pieces, *rest, **named)
            ),
        )
    (tmp_path / "staging").mkdir()
    template.rename(tmp_path / "staging" / NAME)
    finish(tmp_path / "staging" / NAME, tmp_path / "store", tar_max_bytes=10**6)

    tar = "2024-01-15.tar"
    begun = done.index(("fsync", tar))
    after = done[begun - 1 :]
    steps = [
        ("start_tar", ""),
        ("fsync", tar),
        ("written", ""),
        ("replace", tar),
        ("fsync", NAME),
    ]
    assert after[: len(steps)] == steps
    rest = after[len(steps) :]
    recorded = rest.index(("seal_tar", ""))
    first_removed = next(
        place for place, (what, name) in enumerate(rest) if what == "unlink" and ".jpg" in name
    )
    assert recorded < first_removed
