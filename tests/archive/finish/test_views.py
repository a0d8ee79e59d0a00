"""index.html and sequences.geojson of finished collections, and the pictures of a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mapillary_crawler.archive.finish.pictures import is_reduced, reduced
from mapillary_crawler.archive.finish.rebuild import rebuild_ledger
from mapillary_crawler.archive.finish.views import chosen_days
from mapillary_crawler.archive.page.reading import FoundPicture
from mapillary_crawler.archive.page.reading import pictures as pictures_of
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from tests.archive.finish.made import (
    ANN,
    DAY,
    NOON,
    Picture,
    add,
    deterministic_set,
    finish,
    jpeg,
    pictures,
    saved,
)
from tests.archive.update.updates import update

NAME = ANN.name
VIEWS = ("index.html", "sequences.geojson")


def daily(days: int, first: int = 0) -> list[Picture]:
    """Return an image a day, each of another colour."""
    return [
        Picture(
            str(100 + day), NOON + day * DAY, body=jpeg(colour=f"hsl({day * 37 % 360},40%,50%)")
        )
        for day in range(first, first + days)
    ]


def finished(place: Path, some: Sequence[Picture], *, tar: bool = True, **facts: object) -> Path:
    """Return a finished collection whose ledger had some facts before."""
    folder = place / "staging" / NAME
    add(folder, some)
    with opened(folder) as ledger:
        ledger.facts.set(tar=tar, **facts)
    finish(folder, place / "store", tar=tar)
    return place / "store" / NAME


@contextmanager
def opened(folder: Path) -> Iterator[Ledger]:
    ledger = Ledger(folder / LEDGER_PATH)
    try:
        yield ledger
    finally:
        ledger.close()


def shown(folder: Path) -> list[FoundPicture]:
    return list(pictures_of((folder / "index.html").read_bytes()))


@pytest.mark.parametrize("tar", [True, False])
def test_both_are_part_of_the_collection(tmp_path: Path, tar: bool) -> None:
    folder = finished(tmp_path, pictures(), tar=tar)
    sums = (folder / "SHA256SUMS").read_text()
    assert all(f"  {name}\n" in sums for name in VIEWS)
    with opened(folder) as ledger:
        assert ledger.facts.get("page") is True
        assert all(ledger.pieces.find(name) for name in VIEWS)
    page = (folder / "index.html").read_text("utf-8")
    assert f"<b>{len(saved(pictures()))}</b> images" in page
    assert '<tr><th scope="row">2024</th>' in page
    features = json.loads((folder / "sequences.geojson").read_bytes())["features"]
    assert sum(each["properties"]["images"] for each in features) == len(saved(pictures()))
    ((day, image_id, small),) = shown(folder)
    assert (day, image_id) == ("2024-01-15", "99")
    assert small == reduced(jpeg())
    assert ("tar xf 2024-01-15.tar" in page) == tar


def test_a_collection_without_a_page_has_neither(tmp_path: Path) -> None:
    folder = finished(tmp_path, pictures(), page=False)
    assert not any((folder / name).exists() for name in VIEWS)
    assert not any(name in (folder / "SHA256SUMS").read_text() for name in VIEWS)


def test_a_collection_without_a_saved_image_has_a_page(tmp_path: Path) -> None:
    gone = replace(pictures()[0], state=pictures()[-4].state)
    folder = finished(tmp_path, [gone])
    assert "None of the images has a place" in (folder / "index.html").read_text()
    assert json.loads((folder / "sequences.geojson").read_bytes())["features"] == []


@pytest.mark.parametrize("strange", [None, 5, "x", [5], {}])
def test_strange_facts_of_a_ledger_choose_no_pictures(tmp_path: Path, strange: object) -> None:
    folder = finished(tmp_path, daily(1))
    with opened(folder) as ledger:
        ledger.facts.set(page_samples=strange)
    assert update(tmp_path / "staging" / NAME, folder, daily(2))
    assert len(shown(folder)) == 2


def test_the_days_of_the_pictures_are_evenly_spaced() -> None:
    days = [f"{number:03}" for number in range(100)]
    chosen = chosen_days(days, [])
    assert list(map(int, chosen)) == [3, 9, 15, 21, 28, 34, 40, 46, 53, 59, 65, 71, 78, 84, 90, 96]
    assert chosen_days(days[:5], []) == days[:5]
    assert chosen_days([], ["x"]) == []


def test_those_that_a_page_has_stay() -> None:
    days = [f"{number:03}" for number in range(40)]
    kept = days[:3]
    chosen = chosen_days(days, kept)
    assert chosen[:3] == kept
    assert len(chosen) == 16
    assert chosen_days([*days, *map(str, range(500, 600))], chosen) == chosen


def test_an_update_keeps_the_pictures_and_adds_where_there_is_room(tmp_path: Path) -> None:
    folder = finished(tmp_path, daily(10))
    before = shown(folder)
    assert len(before) == 10
    more = daily(30)
    assert update(tmp_path / "staging" / NAME, folder, more)
    after = shown(folder)
    assert len(after) == 16
    assert set(before) < set(after)
    page = (folder / "index.html").read_bytes()

    assert update(tmp_path / "staging" / NAME, folder, daily(40))
    assert shown(folder) == after
    assert (folder / "index.html").read_bytes() != page
    with opened(folder) as ledger:
        assert len(ledger.samples.days()) == 40


def test_an_update_that_brings_nothing_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    folder = finished(tmp_path, daily(3))
    before = {name: (folder / name).stat().st_mtime_ns for name in VIEWS}
    assert update(tmp_path / "staging" / NAME, folder, daily(3))
    assert {name: (folder / name).stat().st_mtime_ns for name in VIEWS} == before


@pytest.mark.parametrize("page", [None, False])
def test_an_update_makes_the_page_of_an_older_collection_unless_it_is_to_have_none(
    tmp_path: Path, page: bool | None
) -> None:
    folder = finished(tmp_path, daily(3), page=False)
    with opened(folder) as ledger:
        ledger.facts.set(page=page)
        ledger.database.execute("DELETE FROM samples")
    assert update(tmp_path / "staging" / NAME, folder, daily(5))
    assert (folder / "index.html").exists() == (page is None)
    if page is None:
        assert [day for day, *_ in shown(folder)] == [f"2024-01-{day}" for day in range(15, 20)]


@pytest.mark.parametrize("tar", [True, False])
@pytest.mark.parametrize("days", [4, 30])
def test_a_ledger_made_anew_makes_the_same_page(tmp_path: Path, tar: bool, days: int) -> None:
    """With the page its pictures are those of the page, without it those of what is here."""
    folder = finished(tmp_path, [*pictures(), *daily(days)], tar=tar)
    whole = deterministic_set(folder)
    for has_page in (True, False):
        again = tmp_path / f"again-{has_page}" / NAME
        shutil.copytree(folder, again, ignore=shutil.ignore_patterns(".crawl"))
        if not has_page:
            (again / "index.html").unlink()
        rebuild_ledger(again, again / LEDGER_PATH, ANN, tar=tar)
        finish(again, tmp_path / f"other-{has_page}", tar=tar)
        assert deterministic_set(tmp_path / f"other-{has_page}" / NAME) == whole


def test_without_tars_the_pictures_come_back_out_of_the_page(tmp_path: Path) -> None:
    folder = finished(tmp_path, daily(30))
    before = shown(folder)
    assert len(before) == 16
    shutil.rmtree(folder / ".crawl")
    for tar in folder.glob("*.tar"):
        tar.unlink()
    rebuild_ledger(folder, folder / LEDGER_PATH, ANN, tar=True)
    with opened(folder) as ledger:
        assert {piece.state for piece in ledger.pieces.all() if piece.day} == {PieceState.REMOVED}
    assert update(tmp_path / "staging" / NAME, folder, daily(40))
    assert shown(folder) == before


def test_what_a_strange_page_has_is_taken_only_where_it_is_a_picture_of_that_day(
    tmp_path: Path,
) -> None:
    folder = finished(tmp_path, daily(3))
    page = (folder / "index.html").read_text("utf-8")
    first, second, third = shown(folder)
    page = page.replace(f'data-day="{first.day}"', f'data-day="{second.day}"')
    page = page.replace('data-image="101"', 'data-image="no-such"')
    (folder / "index.html").write_text(page, "utf-8")
    shutil.rmtree(folder / ".crawl")
    rebuild_ledger(folder, folder / LEDGER_PATH, ANN, tar=True)
    with opened(folder) as ledger:
        assert ledger.samples.days() == [third.day] == ledger.facts.get("page_samples")


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (reduced(jpeg()), True),
        (jpeg(170, 90), False),
        (b"\xff\xd8\xff\xe0 no JPEG", False),
        ((reduced(jpeg()) or b"")[:300], False),
        (b"", False),
        (b"\x89PNG\r\n\x1a\n", False),
    ],
    ids=range(6),
)
def test_only_small_jpegs_that_decode_are_pictures(body: bytes, is_one: bool) -> None:
    assert is_reduced(body) == is_one
