"""What a map is told: lines in bounded numbers, clipped and filtered; rows of strangers."""

from __future__ import annotations

import json
import random
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.browse import answers
from mapillary_crawler.archive.browse.shelf import Shelf, Shelved
from mapillary_crawler.collection.layout import LEDGER_PATH
from tests.archive.browse.test_index import Placed
from tests.archive.finish.made import DAY, NOON
from tests.commands.in_process import made

#: Drives of twenty images in two towns, a day each, and one from town to town.
DRIVES, LONG = 60, 400


def picture(
    number: int, sequence: str, day: int, place: tuple[float, float], **more: Any
) -> Placed:
    fields = {"geometry": {"type": "Point", "coordinates": place}, **more}
    return Placed(str(number), NOON + day * DAY + number, sequence, b"x", fields=fields)


@pytest.fixture(scope="module")
def shelved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelved]:
    generator = random.Random(1)
    some = []
    for drive in range(DRIVES):
        west, south = generator.gauss(10 if drive % 2 else 20, 0.01), generator.gauss(50, 0.01)
        for at in range(20):
            place = (west + at * 2e-4, south + generator.gauss(0, 3e-5))
            more = {"make": "A" if drive % 3 else "B"}
            some.append(picture(len(some) + 1, f"drive-{drive}", drive // 6, place, **more))
    for at in range(LONG):
        place = (10 + 10 * at / LONG, 50 + generator.gauss(0, 1e-4))
        some.append(picture(len(some) + 1, "long", 20, place))
    place = tmp_path_factory.mktemp("answers")
    shelf = Shelf([made(place / "store", pictures=list(some), tar=False)], place / "cache")
    (found,) = shelf
    yield found
    shelf.close()


def tracks(shelved: Shelved, **query: Any) -> list[dict[str, Any]]:
    answer = answers.tracks(shelved, {name: str(value) for name, value in query.items()})
    assert not answer["truncated"]
    found: list[dict[str, Any]] = answer["tracks"]
    return found


def test_near_by_all_sequences_are_there_and_far_away_one_dot_each(shelved: Shelved) -> None:
    near = tracks(shelved, bbox="9,49,21,51", zoom=16)
    assert {each["sequence"] for each in near} == {"long", *(f"drive-{n}" for n in range(DRIVES))}
    assert {each["n"] for each in near} == {20, LONG}
    world = tracks(shelved, zoom=1)
    assert len(world) <= 4
    assert sum(len(each["points"]) for each in world) < 20
    assert max(world, key=lambda each: int(each["n"]))["sequence"] == "long"


def test_lines_are_clipped_to_the_box_and_go_beyond_its_edge(shelved: Shelved) -> None:
    (found,) = tracks(shelved, bbox="14,49,15,51", zoom=18)
    assert found["sequence"] == "long"
    assert len(found["points"]) == pytest.approx(LONG / 10, abs=3)
    longitudes = [longitude for longitude, _ in found["points"]]
    assert longitudes[0] <= 14 <= longitudes[1]
    assert longitudes[-2] <= 15 <= longitudes[-1]


def test_fewer_points_are_nowhere_further_than_a_pixel(shelved: Shelved) -> None:
    counts = [
        sum(len(each["points"]) for each in tracks(shelved, sequence="long", zoom=zoom))
        for zoom in (2, 8, 14, 18)
    ]
    assert counts == sorted(counts)
    assert counts[0] == 2
    assert counts[-1] == LONG


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ({"day": "2024-01-15"}, {f"drive-{n}" for n in range(6)}),
        ({"from": "2024-01-25", "to": "2024-02-29"}, {"long"}),
        ({"from": "2024-01-24"}, {"long", *(f"drive-{n}" for n in range(54, DRIVES))}),
        ({"camera": "B"}, {f"drive-{n}" for n in range(0, DRIVES, 3)}),
        ({"sequence": "drive-7"}, {"drive-7"}),
        ({"pano": "1"}, set()),
        ({"sequence": ""}, set()),
        ({"bbox": "-10,-10,0,0"}, set()),
        ({"bbox": "170,49,10.2,51", "day": "2024-01-15"}, {"drive-1", "drive-3", "drive-5"}),
    ],
)  # fmt: skip
def test_filters(shelved: Shelved, query: dict[str, str], sequences: set[str]) -> None:
    query = {"bbox": "9,49,21,51", **query}
    assert {each["sequence"] for each in tracks(shelved, zoom=16, **query)} == sequences


def test_a_map_has_bounds(shelved: Shelved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_TRACKS", 10)
    found = answers.tracks(shelved, {"bbox": "9,49,21,51", "zoom": "16"})
    assert found["truncated"]
    assert len({each["sequence"] for each in found["tracks"]}) == 10
    assert "long" in {each["sequence"] for each in found["tracks"]}
    monkeypatch.setattr(answers, "_POINTS", 60)
    found = answers.tracks(shelved, {"bbox": "9,49,21,51", "zoom": "16"})
    assert sum(len(each["points"]) for each in found["tracks"]) <= 60
    monkeypatch.setattr(answers, "_IMAGES", 100)
    images = answers.images(shelved, {"bbox": "9,49,21,51"})
    assert images["truncated"]
    assert 20 < len(images["images"]) <= 100


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"a": NaN, "b": 1e999, "c": -Infinity}', {"a": None, "b": None, "c": None}),
        (b'{"a": "\\ud800 </script>"}', {"a": "\ud800 </script>"}),
        (b'{"a": ' + b"9" * 5_000 + b"}", {}),
        (b"[" * 100_000, {}),
        (b"[1]", {}),
        (b"\xff", {}),
        (b'{"a": "' + b"x" * (2 << 20) + b'"}', {}),
        (bytes(80 << 20), {}),
    ],
)
def test_rows_of_strangers_are_json_or_nothing(
    tmp_path: Path, line: bytes, told: dict[str, Any]
) -> None:
    folder = made(tmp_path / "store", pictures=[Placed("1", NOON, "s", b"x")])
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger:
        ledger.execute("UPDATE pages SET rows = ?", [zlib.compress(line)])
        ledger.commit()
    shelf = Shelf([folder], tmp_path / "cache")
    (shelved,) = shelf
    try:
        answer = answers.image(shelved, 1)
        assert answer
        assert answer["metadata"] == told
        assert answer["lon"] is None
        json.loads(json.dumps(answer, allow_nan=False))
    finally:
        shelf.close()
