import json
import math
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.sandbox.catalogue import Catalogue, User
from mapillary_crawler.sandbox.fields import position
from mapillary_crawler.sandbox.photographs import WIDTHS


def user(seed: int = 1, **keys: Any) -> User:
    return Catalogue([{"username": "alice", **keys}], seed).user("alice")


def test_the_same_seed_gives_the_same_images_and_another_one_others() -> None:
    keys = {"images": 300, "missing_fields": 0.3, "odd_values": 0.2, "hostile": 9, "nameless": 8}
    first, second, other = user(1, **keys), user(1, **keys), user(2, **keys)
    rows = [json.dumps(image.metadata()) for image in first.images()]
    assert rows == [json.dumps(image.metadata()) for image in second.images()]
    assert not set(rows) & {json.dumps(image.metadata()) for image in other.images()}


def test_users_of_one_catalogue_share_no_image() -> None:
    catalogue = Catalogue([{"username": "alice"}, {"username": "Alice"}])
    ids = [image.image_id for each in catalogue.users for image in each.images()]
    assert len(set(ids)) == 200
    for each in catalogue.users:
        for image in each.images():
            found = catalogue.find(image.image_id)
            assert found is not None
            assert (found.user, found.index) == (each, image.index)


def test_a_user_of_a_billion_images_is_made_at_once() -> None:
    begin = time.monotonic()
    catalogue = Catalogue([{"username": "alice", "images": 10**9, "dead": 10, "late": 5}])
    image = catalogue.user("alice").image(987_654_321)
    found = catalogue.find(image.image_id)
    assert found is not None
    assert found.index == image.index
    assert time.monotonic() - begin < 5, "something is done for each image"


@pytest.mark.parametrize("days", [0.003, 1, 400])
@pytest.mark.parametrize("keys", [{}, {"equal_times": 0.5}, {"odd_values": 0.1}])
def test_capture_times_fall_from_the_newest_on(days: float, keys: dict[str, Any]) -> None:
    subject = user(images=3000, days=days, **keys)
    times = [subject.time(index) for index in range(subject.size)]
    assert times == sorted(times, reverse=True)
    if not keys:
        assert len(set(times)) == len(times)
        assert times[0] <= subject.specification.newest_ms
        assert times[0] - times[-1] <= days * 86_400_000
    else:
        assert len(set(times)) < len(times)


@pytest.mark.parametrize("days", [0.003, 4, 400])
def test_outings_go_along_streets_by_one_camera(days: float) -> None:
    keys = {"images": 1000, "sequence_length": 50, "streets": 9, "panoramas": 0.5}
    subject = user(days=days, missing_fields=0.0, **keys)
    times = [subject.time(index) for index in range(subject.size)]
    assert all(newer > older for newer, older in pairwise(times))
    assert times[0] - times[-1] <= days * 86_400_000
    kinds = set()
    for line in range(20):
        outing = [subject.image(50 * line + index) for index in reversed(range(50))]
        assert len({(image.panorama, image.metadata()["model"]) for image in outing}) == 1
        kinds.add(outing[0].panorama)
        for image, after in pairwise(outing):
            row, (longitude, latitude) = after.metadata(), position(image)
            east = (position(after)[0] - longitude) * math.cos(math.radians(latitude))
            north = position(after)[1] - latitude
            assert math.hypot(east, north) == pytest.approx(5e-5, rel=1e-3)
            way = math.degrees(math.atan2(east, north))
            assert abs((row["compass_angle"] - way + 180) % 360 - 180) < 4.1
    assert kinds == {False, True}


@given(st.integers(0, 199), st.integers(0, 199))
def test_a_window_is_inclusive_at_both_ends(one: int, other: int) -> None:
    subject = user(images=200, equal_times=0.3)
    newer, older = sorted((one, other))
    start, end = subject.time(older), subject.time(newer)
    first, stop = subject.window(start, end)
    within = [index for index in range(200) if start <= subject.time(index) <= end]
    assert list(range(first, stop)) == within


def test_counts_and_rates_are_as_specified() -> None:
    subject = user(
        images=5000, panoramas=0.2, undated=0.1, no_sequence=0.1, no_url=0.1, missing_fields=0.1,
        dead=11, hostile=22, nameless=33, integer_ids=44, late=5, new=6,
    )  # fmt: skip
    images = list(subject.images(late=True))
    assert len(images) == 5000
    assert len(list(subject.images())) == 5000 - 11
    assert sum(image.dead for image in images) == 11
    assert sum(image.late for image in images) == 11
    assert all(image.late for image in images[:6])
    rows = [image.metadata() for image in images]
    assert sum(not isinstance(row.get("id"), str) or not row["id"] for row in rows) == 33 + 44
    for count in (
        sum(image.panorama for image in images) / 2,
        sum("captured_at" not in row for row in rows),
        sum("sequence" not in row for row in rows),
        sum(not image.has_url("256") for image in images),
    ):
        assert 400 < count < 600
    assert not any(value is None for row in rows for name, value in row.items() if name != "id")


def test_a_single_thumb_can_be_missing_while_others_exist() -> None:
    images = list(user(images=2000, missing_thumbs=0.2).images())
    missing = Counter(
        tuple(quality for quality in WIDTHS if not image.has_url(quality)) for image in images
    )
    assert set(missing) == {(), ("256",), ("1024",), ("2048",), ("original",)}


def test_urls_that_only_the_entity_has() -> None:
    images = list(user(images=500, url_by_id_only=0.5).images())
    assert all(image.has_url("1024") for image in images)
    assert 200 < sum(image.has_url("1024", listed=True) for image in images) < 300


def test_hostile_ids_and_sequences_are_unique_and_found() -> None:
    catalogue = Catalogue([{"username": "alice", "images": 300, "hostile": 100}])
    images = list(catalogue.user("alice").images())
    assert len({image.image_id for image in images}) == 300
    odd = [image for image in images if not image.image_id.isdigit()]
    assert len(odd) == 50
    for image in odd:
        found = catalogue.find(image.image_id)
        assert found is not None
        assert found.index == image.index
    sequences = {image.sequence for image in images if "/" in str(image.sequence)}
    assert any(".." in str(each) for each in sequences)
    bodies = {catalogue.body(image, "256") for image in images}
    assert len(bodies) == 300


def test_a_sequence_has_its_images_in_an_order_that_is_not_that_of_time() -> None:
    catalogue = Catalogue([{"username": "alice", "images": 1000, "sequence_length": 300}])
    subject = catalogue.user("alice")
    for index in (0, 299, 300, 999):
        name = subject.image(index).sequence
        assert name is not None
        members = [image.index for image in catalogue.sequence(name)]
        assert sorted(members) == [n for n in range(1000) if n // 300 == index // 300]
        assert members not in (sorted(members), sorted(members, reverse=True))
    assert list(catalogue.sequence("A" * 22)) == []


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({}, "username"),
        ({"username": 5}, "username"),
        ({"username": "a", "image": 5}, "image"),
        ({"username": "a", "images": -5}, "images"),
        ({"username": "a", "images": 1.5}, "images"),
        ({"username": "a", "days": True}, "days"),
        ({"username": "a", "newest": "yesterday"}, "yesterday"),
        ({"username": "a", "images": 5, "dead": 6}, "special"),
    ],
)
def test_a_wrong_entry_is_named(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Catalogue([entry])


def test_two_users_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same username"):
        Catalogue([{"username": "a"}, {"username": "a"}])
