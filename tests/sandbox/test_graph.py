"""The Graph API of the sandbox against its reference, without a network."""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.sandbox.catalogue import Catalogue
from mapillary_crawler.sandbox.fields import NAMES
from mapillary_crawler.sandbox.graph import TOKEN
from mapillary_crawler.sandbox.server import Server
from tests.sandbox.client import ask, expected, listed, pages, served

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "graph-responses"
FUZZED = served(images=30)


def test_a_user_is_listed_whole_newest_first_in_pages_of_2000() -> None:
    server = served(images=4321)
    found = pages(server, fields="captured_at")
    assert [len(page["data"]) for page in found] == [2000, 2000, 321]
    assert listed(found) == expected(server)
    times = [row["captured_at"] for page in found for row in page["data"]]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 4321
    assert found[0]["paging"]["cursors"]["after"] in found[0]["paging"]["next"]
    assert "next" not in found[-1]["paging"]


@pytest.mark.parametrize(
    ("images", "limit", "sizes"),
    [(100, "40", [40, 40, 20]), (80, "40", [40, 40]), (3, "9999", [3]), (0, "10", [0])],
)
def test_pages_have_the_limit_and_end_without_next(images: int, limit: str, sizes: Any) -> None:
    found = pages(served(images=images), limit=limit)
    assert [len(page["data"]) for page in found] == sizes


def test_a_cursor_can_be_used_twice_and_says_the_same() -> None:
    server = served(images=100)
    first = ask(server, "/images", creator_username="alice", limit="10")[1]
    after = first["paging"]["cursors"]["after"]
    query = {"creator_username": "alice", "limit": "10", "after": after}
    assert ask(server, "/images", **query) == ask(server, "/images", **query)
    assert ask(server, "/images", creator_username="alice", limit="10")[1] == first
    assert ask(server, "/images", **{**query, "after": after[:-1] + "!"})[0] == 400


def test_only_wanted_fields_come_and_absent_ones_are_left_out() -> None:
    server = served(images=500, missing_fields=0.5, undated=0.1, no_url=0.1)
    rows = pages(server)[0]["data"]
    assert all(list(row) == ["id"] for row in rows)
    rows = pages(server, fields=",".join(NAMES))[0]["data"]
    assert all(value is not None for row in rows for value in row.values())
    for field in ("captured_at", "computed_geometry", "make", "altitude", "thumb_2048_url"):
        assert 0 < sum(field not in row for row in rows) < 400, field
    row = pages(server, fields="creator.username,altitude")[0]["data"][0]
    assert set(row) <= {"creator", "altitude", "id"}


def test_an_unknown_field_is_code_100() -> None:
    status, body = ask(served(), "/images", creator_username="alice", fields="id,bogus")
    assert (status, body["error"]["code"]) == (400, 100)
    assert "nonexisting field (bogus)" in body["error"]["message"]
    assert "error_subcode" not in body["error"]


def test_names_are_case_sensitive_and_may_be_strange() -> None:
    catalogue = Catalogue([{"username": "Zoë & co/=+", "images": 2}])
    server = Server(catalogue)
    assert len(ask(server, "/images", creator_username="Zoë & co/=+")[1]["data"]) == 2
    for name in ("zoë & co/=+", "alice", ""):
        assert ask(server, "/images", creator_username=name) == (200, {"data": []})
    server = served({"unknown_user": "error"})
    assert ask(server, "/images", creator_username="Alice")[0] == 400
    identity = server.catalogue.user("alice").identity
    assert ask(server, f"/{identity}") == (200, {"username": "alice", "id": identity})
    assert ask(server, "/images", creator_username=identity)[0] == 400


def test_date_windows_are_inclusive_and_leave_undated_images_out() -> None:
    keys = {"images": 300, "days": 3, "undated": 0.1}
    server = served(**keys)
    alice = server.catalogue.user("alice")
    dated = [image for image in alice.images() if image.captured_at is not None]
    newest, oldest = dated[50], dated[200]

    def iso(milliseconds: Any) -> str:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")

    window = {
        "start_captured_at": iso(oldest.captured_at),
        "end_captured_at": iso(newest.captured_at),
    }
    within = [image.image_id for image in dated[50:201]]
    assert listed(pages(server, limit="40", **window)) == within
    assert ask(server, "/images", creator_username="alice", start_captured_at="x")[0] == 400
    undated = [image.image_id for image in alice.images() if image.captured_at is None]
    everywhere = listed(pages(served({"undated_in_windows": True}, **keys), **window))
    assert sorted(everywhere) == sorted(within + undated)


def test_entities_in_a_batch_are_keyed_by_id_with_holes() -> None:
    server = served(images=60, dead=3)
    images = list(server.catalogue.user("alice").images())
    dead = [image.image_id for image in images if image.dead]
    living = [image.image_id for image in images if not image.dead]
    asked = [*dead, *living[:40], "1", "123456789012345"]
    status, body = ask(server, "/", ids=",".join(asked), fields="thumb_256_url")
    assert status == 200
    assert list(body) == living[:40]
    assert all(row["id"] == name and "thumb_256_url" in row for name, row in body.items())
    status, body = ask(server, "/", ids=",".join(living[:51]))
    assert (status, body["error"]["code"]) == (400, 100)
    assert "error_subcode" not in body["error"], "too many ids look like a gone image"
    server = served({"batch": "fail", "batch_max": 0}, images=60, dead=3)
    assert ask(server, "/", ids=",".join(living))[0] == 200
    status, body = ask(server, "/", ids=",".join([*living, dead[0]]))
    assert (status, body["error"]["code"], body["error"]["error_subcode"]) == (400, 100, 33)
    assert f"'{dead[0]}'" in body["error"]["message"]


def test_an_entity_is_one_object_or_gone() -> None:
    server = served(images=60, dead=3, hostile=20)
    for image in server.catalogue.user("alice").images():
        status, body = ask(server, f"/{image.image_id}", fields="captured_at")
        if image.dead:
            assert status == 400
            assert (body["error"]["code"], body["error"]["error_subcode"]) == (100, 33)
        else:
            assert status == 200
            assert body["id"] == image.image_id
    assert ask(server, "/5")[1]["error"]["error_subcode"] == 33


def test_image_ids_of_a_sequence() -> None:
    server = served(images=600, sequence_length=200)
    name = server.catalogue.user("alice").image(300).sequence
    assert name is not None
    status, body = ask(server, "/image_ids", sequence_id=name)
    assert status == 200
    assert {row["id"] for row in body["data"]} == set(expected(server)[200:400])
    assert ask(server, "/image_ids", sequence_id="nothing") == (200, {"data": []})


@pytest.mark.parametrize(
    ("headers", "query", "status", "message"),
    [
        ({}, {}, 500, "Invalid OAuth 2.0 Access Token"),
        ({"Authorization": "OAuth nonsense"}, {}, 401, "Failed to decode"),
        ({}, {"access_token": "nonsense"}, 400, "Cannot parse access token"),
        ({"Authorization": f"OAuth {TOKEN[:-1]}0"}, {}, 401, "Error validating application"),
        ({}, {"access_token": f"{TOKEN[:-1]}0"}, 400, "Error validating application"),
        ({"Authorization": f"OAuth {TOKEN}x"}, {}, 400, "Error verifying the token"),
    ],
)
def test_a_wrong_token_is_refused_as_observed(
    headers: dict[str, str], query: dict[str, str], status: int, message: str
) -> None:
    answer = ask(served(), "/images", headers, creator_username="alice", **query)
    assert answer[0] == status
    assert message in answer[1]["error"]["message"]


def test_the_token_is_in_next_only_if_it_was_in_the_query() -> None:
    server = served(images=20)
    query = {"creator_username": "alice", "limit": "10"}
    assert "access_token" not in ask(server, "/images", **query)[1]["paging"]["next"]
    body = ask(server, "/images", {}, **query, access_token=TOKEN)[1]
    assert urlencode({"access_token": TOKEN}) in body["paging"]["next"]


def test_a_box_has_no_cursor_and_a_greatest_area() -> None:
    server = served(images=5000)
    west, south = server.catalogue.user("alice").place
    box = f"{west},{south},{west + 0.09},{south + 0.09}"
    status, body = ask(server, "/images", bbox=box, fields="geometry")
    assert (status, list(body)) == (200, ["data"])
    assert 0 < len(body["data"]) < 2000
    for row in body["data"]:
        longitude, latitude = row["geometry"]["coordinates"]
        assert west - 1e-9 <= longitude <= west + 0.09 + 1e-9
        assert south - 1e-9 <= latitude <= south + 0.09 + 1e-9
    status, body = ask(server, "/images", bbox="0,0,0.3,0.25", creator_username="alice")
    assert status == 500
    assert "0.010 square degrees, but got 0.075 square degrees" in body["error"]["message"]


def test_urls_expire_in_about_thirty_days() -> None:
    server = served(images=200)
    ends = []
    for row in pages(server, fields="thumb_1024_url")[0]["data"]:
        query = parse_qs(urlsplit(row["thumb_1024_url"]).query)
        ends.append((int(query["oe"][0], 16) - time()) / 86400)
    assert 29.7 < min(ends) < max(ends) < 30.0
    assert max(ends) - min(ends) > 0.1, "no jitter between images"


@given(
    st.one_of(st.sampled_from(["/images", "/", "/image_ids"]), st.text().map("/".__add__)),
    st.dictionaries(
        st.sampled_from(["creator_username", "limit", "after", "start_captured_at", "bbox", "ids",
                         "fields", "sequence_id", "access_token", "end_captured_at"]),
        st.one_of(
            st.text(),
            st.sampled_from(["alice", "9" * 5000, "0", "0001-01-01T00:00:00+23:00", "nan,1,2,inf",
                             "1,2,3", "QVFI" + "A" * 52, "id,captured_at", "²", ",,,"]),
        ),
    ),
)  # fmt: skip
def test_any_request_has_an_answer(path: str, query: dict[str, str]) -> None:
    status, body = ask(FUZZED, path, **query)
    assert (status == 200) != ("error" in body)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="../shared/data/graph-responses is absent")
def test_rows_have_the_fields_and_types_of_recorded_answers() -> None:
    def kinds(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: kinds(each) for name, each in value.items()}
        if isinstance(value, list):
            return "numbers" if value and not isinstance(value[0], dict) else "objects"
        return "number" if type(value) in (int, float) else type(value)

    rows = pages(served(images=50, panoramas=0, missing_fields=0), fields=",".join(NAMES))[0]
    ours = kinds(rows["data"][0])
    recorded = [json.loads(file.read_text()) for file in sorted(RECORDED.glob("*.json"))]
    images = [answer for answer in recorded if "captured_at" in answer]
    assert images
    for image in images:
        for name, kind in kinds(image).items():
            if name != "comment":  # recorded in 2021, in no documentation
                assert ours[name] == kind, name
