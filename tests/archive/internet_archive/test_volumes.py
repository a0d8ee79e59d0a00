"""Volumes: by date, deterministic, within the limits, and nothing ever moves."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.finish.tags import Contents, image_count, tags
from mapillary_crawler.archive.internet_archive.identifier import volume_identifier
from mapillary_crawler.archive.internet_archive.item_metadata import of_volume
from mapillary_crawler.archive.internet_archive.volumes import volume_number, volumes
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.ledger.records import Piece, PieceState

ITEM = "mapillary-ann-original"


def tar(day: str, size: int = 10, part: int = 0) -> Piece:
    name = f"{day}.{part}.tar" if part else f"{day}.tar"
    return Piece(0, name, day, part, 5, size, b"", b"", PieceState.SEALED, None)


def manifest(name: str, size: int = 1) -> Piece:
    return Piece(0, name, None, None, 0, size, b"", b"", PieceState.SEALED, None)


def recorded(pieces: list[Piece], numbers: dict[str, int]) -> list[Piece]:
    return [replace(each, item=volume_identifier(ITEM, numbers[each.name])) for each in pieces]


days = st.dates().map(lambda day: f"{day:%Y}".zfill(4) + f"-{day:%m-%d}")
tars = st.lists(
    st.tuples(days | st.just("unknown-date"), st.integers(0, 120), st.integers(0, 3)),
    unique_by=lambda each: (each[0], each[2]),
    max_size=40,
).map(lambda each: [tar(day, size, part) for day, size, part in each])
manifests = st.lists(st.integers(0, 20), max_size=5).map(
    lambda sizes: [manifest(f"manifest-{n}", size) for n, size in enumerate(sizes)]
)


@given(tars, manifests, st.randoms(use_true_random=False))
def test_limits_hold_and_dates_ascend(tars, manifests, random):
    pieces = tars + manifests
    numbers = volumes(pieces, ITEM, max_bytes=100, max_files=6)
    shuffled = pieces[:]
    random.shuffle(shuffled)
    assert volumes(shuffled, ITEM, max_bytes=100, max_files=6) == numbers
    assert numbers.keys() == {piece.name for piece in pieces}
    assert all(numbers[piece.name] == 1 for piece in manifests)
    used = set(numbers.values()) | {1}
    assert used == set(range(1, len(used) + 1))
    for number in used:
        inside = [piece for piece in pieces if numbers[piece.name] == number]
        tars_inside = [piece for piece in inside if piece.day]
        assert len(inside) <= max(6, len(manifests))
        if len(tars_inside) > 1:
            assert sum(piece.size for piece in inside) <= 100
    ordered = sorted(tars, key=lambda piece: (piece.day, piece.part))
    assert [numbers[piece.name] for piece in ordered] == sorted(
        numbers[piece.name] for piece in tars
    )


@given(tars, tars, manifests)
def test_later_additions_move_nothing(first, later, manifests):
    names = {piece.name for piece in first}
    later = [piece for piece in later if piece.name not in names]
    before = volumes(first + manifests, ITEM, max_bytes=100, max_files=6)
    kept = recorded(first + manifests, before)
    after = volumes(kept + later, ITEM, max_bytes=100, max_files=6)
    assert {name: after[name] for name in before} == before
    assert volumes(recorded(kept + later, after), ITEM, max_bytes=1, max_files=1) == after


def test_an_addendum_goes_to_the_item_of_its_day():
    pieces = [tar("2024-01-01", 60), tar("2024-01-02", 60), tar("2024-01-03", 10)]
    numbers = volumes(pieces, ITEM, max_bytes=100, max_files=9)
    assert numbers == {"2024-01-01.tar": 1, "2024-01-02.tar": 2, "2024-01-03.tar": 2}
    more = [tar("2024-01-01", 40, 1), tar("2024-01-01", 1, 2), tar("2020-05-05", 5)]
    after = volumes(recorded(pieces, numbers) + more, ITEM, max_bytes=100, max_files=9)
    assert after["2024-01-01.1.tar"] == 1, "there is room beside its day"
    assert after["2024-01-01.2.tar"] == 2, "there is none left"
    assert after["2020-05-05.tar"] == 2


def test_a_tar_larger_than_an_item_gets_one_of_its_own():
    pieces = [manifest("m"), tar("2024-01-01", 500), tar("2024-01-02", 50), tar("2024-01-03", 50)]
    numbers = volumes(pieces, ITEM, max_bytes=100, max_files=9)
    assert [numbers[piece.name] for piece in pieces] == [1, 2, 3, 3]


@pytest.mark.parametrize("item", ["other", f"{ITEM}-vol2", f"{ITEM}-vol01", f"{ITEM}-webp", ""])
def test_items_of_other_collections_are_none_of_its_volumes(item):
    with pytest.raises(ValueError, match="no volume"):
        volume_number(item, ITEM)


ANN = Collection("v. 2")
DAYS = ["2024-01-01", "2024-02-01", "2024-02-03", "2024-03-01", "unknown-date"]


@pytest.mark.parametrize("volume", [1, 2])
def test_a_volume_tells_of_its_own_images(volume):
    def described(images, days):
        return tags(Contents(ANN, Balance(saved=images), days, tar=True))

    whole = described(1_234, DAYS)
    before = deepcopy(whole)
    own = of_volume(whole, ITEM, volume, images=2_000, days=["2024-02-03", "2024-02-01"])
    assert whole == before
    expected = described(2_000, ["2024-02-01", "2024-02-03"])
    sentence = expected["description"][0].split(". The pictures")[0]
    assert own["description"][0].startswith(sentence), "as the finish would say it"
    rest = whole["description"][0].split(". The pictures")[1]
    assert rest in own["description"][0]
    assert image_count(own["description"][0]) == 2_000
    assert own["coverage"] == expected["coverage"]
    assert own["date"] == expected["date"]
    assert own["title"] == ["Mapillary images by v. 2" + (" (volume 2)" if volume == 2 else "")]
    undated = of_volume(whole, ITEM, volume, images=1, days=["unknown-date"])
    assert "date" not in undated
    sentence = described(1, ["unknown-date"])["description"][0].split(". The pictures")[0]
    assert undated["description"][0].startswith(sentence)
