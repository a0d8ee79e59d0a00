"""`scrapy clean` removes what holds nothing, and nothing else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.archive.leftovers import Leftover, leftovers, remove
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.places import Places
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import State
from tests.archive.finish.made import Picture, add
from tests.crawling import PROJECT, SCRAPY, Crawling
from tests.pseudo_terminal import on_terminal


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "store", tmp_path / "store" / ".incomplete")


def leave(places: Places, name: str, *paths: str) -> Path:
    """Make a folder in staging with a ledger that lists nothing, and other files."""
    folder = places.staging / name
    (folder / LEDGER_PATH).parent.mkdir(parents=True)
    Ledger(folder / LEDGER_PATH).close()
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    return folder


def found(places: Places) -> list[Path]:
    return [left.folder for left in leftovers(places)]


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["download.log.20240101T000000Z", ".crawl/progress.json", ".crawl/ledger.sqlite-wal"],
    ],
)
def test_leftover_is_removed(places: Places, paths: list[str]) -> None:
    folder = leave(places, "mapillary-a-256", *paths)
    (folder / "2024-01-01" / "sequence").mkdir(parents=True)
    if paths:
        (folder / paths[-1]).write_bytes(b"")
    assert found(places) == [folder]
    assert remove(folder, places)
    assert not folder.exists()


@pytest.mark.parametrize(
    "path",
    [
        "2024-01-15/seq/1.jpg", "1.webp", "2024-01-15.tar", ".crawl/incoming/0", "notes.txt",
        ".meta/title/0", "metadata.jsonl.gz", "sub/download.log.x.jpg",
    ],
)  # fmt: skip
def test_folder_with_anything_else_stays(places: Places, path: str) -> None:
    folder = leave(places, "mapillary-a-256", path)
    assert found(places) == []
    assert not remove(folder, places)
    assert (folder / path).read_bytes() == b"x"
    assert (folder / LEDGER_PATH).exists()


def test_listing_is_kept(places: Places) -> None:
    folder = places.staging / "mapillary-a-256"
    add(folder, [Picture("1")])
    for image in folder.rglob("*.jpg"):
        image.unlink()
    assert found(places) == []
    assert not remove(folder, places)
    assert folder.exists()


def plan(places: Places, **facts: object) -> Path:
    """Make what a plan leaves: a listing, and an image of its sample."""
    folder = places.staging / "mapillary-a-256"
    add(folder, [Picture("1"), Picture("2", state=State.UNSETTLED)])
    (folder / "download.log.20240101T000000Z").touch()
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.facts.set(planned=1, **facts)
    return folder


def test_what_a_plan_left_is_removed(places: Places) -> None:
    folder = plan(places)
    assert list(leftovers(places)) == [Leftover(folder, listed=2, sample=1)]
    assert remove(folder, places)
    assert not folder.exists()


@pytest.mark.parametrize("path", ["2024-01-15/s/3.jpg", "2024-01-15.tar", "notes.txt"])
def test_a_plan_with_anything_else_stays(places: Places, path: str) -> None:
    folder = plan(places)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(b"x")
    assert found(places) == []
    assert not remove(folder, places)
    assert (folder / path).exists()


def test_what_a_crawl_has_begun_after_a_plan_stays(places: Places) -> None:
    folder = plan(places, tar=True)
    assert found(places) == []
    assert not remove(folder, places)
    assert len(list(folder.rglob("*.jpg"))) == 1


def test_broken_ledger_is_kept(places: Places) -> None:
    folder = leave(places, "mapillary-a-256")
    (folder / LEDGER_PATH).write_bytes(b"no database" * 100)
    assert found(places) == []
    assert not remove(folder, places)


def test_collection_that_somebody_works_on_is_kept(places: Places) -> None:
    folder = leave(places, "mapillary-a-256")
    lock = Lock({places.store, places.staging}, folder.name)
    try:
        assert found(places) == []
        assert not remove(folder, places)
    finally:
        lock.release()
    assert found(places) == [folder]


def test_store_is_never_cleaned(places: Places) -> None:
    folder = leave(places, "mapillary-a-256")
    folder.rename(places.store / folder.name)
    assert found(places) == []


@pytest.mark.slow
def test_command_lists_first_and_removes_when_told(places: Places) -> None:
    crawling = Crawling(places.store)
    assert "nothing to remove" in crawling.scrapy("clean").output
    folder = leave(places, "mapillary-a-256")
    result = crawling.scrapy("clean")
    assert result.code == 0
    assert str(folder) in result.output
    assert "Nothing was removed" in result.output
    assert folder.exists()
    for answer, removed in (("\n", False), ("y\n", True)):
        with on_terminal([*SCRAPY, "clean"], crawling.environment, PROJECT) as terminal:
            terminal.type(answer)
            assert terminal.wait() == 0
        assert "Remove them? [y/N]" in terminal.text
        assert folder.exists() is not removed
    leave(places, "mapillary-a-256")
    assert crawling.scrapy("clean", "--yes").code == 0
    assert not folder.exists()
