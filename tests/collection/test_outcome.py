"""How errors end a run: by their classes, as the tree in `collection/outcome.py` has them."""

from __future__ import annotations

import errno
import importlib
import pkgutil
import re
import sqlite3
from pathlib import Path

import pytest

import mapillary_crawler
from mapillary_crawler.archive.finish.errors import (
    DestinationTaken,
    ForeignTar,
    ImagesChanged,
    NotSettled,
    ReadBackFailed,
)
from mapillary_crawler.collection import outcome
from mapillary_crawler.collection.outcome import (
    ArgumentRefused,
    DiskFull,
    EndOfRun,
    Outcome,
    ProjectError,
    Refused,
    RunStopped,
    end_of_run,
    worst,
)
from mapillary_crawler.ledger.schema import LedgerTooNew


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0] * 299 + [8], 8),
        ([0, 8, 3], 3),
        ([3, 7, 6], 6),
        ([6, 5, 4, 9], 9),
        ([9, 2], 2),
        ([2, 1], 1),
        ([8, 10], 10),
        ([0, 10, 0], 10),
        ([10, 3], 3),
        ([10, 5], 5),
        ([10, 9, 4], 9),
        ([0, -9, 2], 1),
    ],
)
def test_several_runs_come_to_the_code_of_the_worst(codes: list[int], code: int) -> None:
    assert worst(codes) == code


def test_the_order_is_the_design_s() -> None:
    order = (1, 2, 9, 4, 5, 6, 7, 3, 10, 8, 0)
    assert sorted({outcome.exit_code for outcome in Outcome}) == sorted(order)
    for place, code in enumerate(order):
        assert worst(reversed(order[place:])) == code


def load_the_package() -> None:
    """Import every module, so that no class is missing."""
    for module in pkgutil.walk_packages(mapillary_crawler.__path__, "mapillary_crawler."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name not in {"pyarrow", "orjson"}:  # an extra that is not installed
                    raise


def tree(error: type[ProjectError], depth: int = 0) -> set[tuple[int, str, str]]:
    """Return depth, name and exit code of a class and of all below it."""
    given = error in (Refused, EndOfRun)
    code = "the" if given else str(error.outcome.exit_code)
    below = (tree(inner, depth + 1) for inner in error.__subclasses__())
    return {(depth, error.__name__, code)}.union(*below)


def test_the_tree_is_as_it_is_drawn() -> None:
    load_the_package()
    drawn = re.findall(r"^ +([| ]*)[|`]-- (\w+) +(\S+)", str(outcome.__doc__), re.MULTILINE)
    ours = {
        (len(indent) // 5, name, code)
        for indent, name, code in drawn
        if name != "OSError"  # the last line, of what is not ours
    }
    assert ours == tree(ProjectError)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (ArgumentRefused("no"), Outcome.REFUSED),
        (Refused(Outcome.LOCKED, "no"), Outcome.LOCKED),
        (EndOfRun(Outcome.NO_IMAGES, "none"), Outcome.NO_IMAGES),
        (RunStopped(), Outcome.INTERRUPTED),
        (DiskFull("7 bytes"), Outcome.DISK_FULL),
        (OSError(errno.ENOSPC, "full"), Outcome.DISK_FULL),
        (OSError(errno.EDQUOT, "full"), Outcome.DISK_FULL),
        (OSError(errno.EIO, "broken"), Outcome.ERROR),
        (NotSettled("open"), Outcome.INCOMPLETE),
        (ImagesChanged(3), Outcome.INCOMPLETE),
        (ForeignTar(Path("2024-01-15.tar")), Outcome.ERROR),
        (DestinationTaken(Path("there")), Outcome.ERROR),
        (ReadBackFailed(Path("2024-01-15.tar")), Outcome.ERROR),
        (LedgerTooNew("9"), Outcome.REFUSED),
        (ZeroDivisionError("by zero"), Outcome.ERROR),
    ],
    ids=lambda value: value.name if isinstance(value, Outcome) else type(value).__name__,
)
def test_how_an_error_ends_a_run(error: Exception, ends: Outcome) -> None:
    end = end_of_run(error)
    assert end.outcome is ends
    assert str(error) in str(end)


def test_sqlite_says_that_the_disk_is_full(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "small")
    connection.execute("PRAGMA page_size = 512")
    connection.execute("CREATE TABLE things (thing)")
    connection.execute("PRAGMA max_page_count = 3")
    try:
        with pytest.raises(sqlite3.OperationalError) as raised:
            connection.execute("INSERT INTO things VALUES (zeroblob(9999))")
    finally:
        connection.close()
    assert end_of_run(raised.value).outcome is Outcome.DISK_FULL


def test_one_that_is_an_end_already_stays() -> None:
    end = EndOfRun(Outcome.BLOCKED, "an HTML page")
    assert end_of_run(end) is end
