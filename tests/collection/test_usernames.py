"""What people write for a user's name."""

from __future__ import annotations

import pytest

from mapillary_crawler.collection.arguments import validate
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.usernames import plain, username_of


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("https://www.mapillary.com/app/user/alice", "alice"),
        ("https://www.mapillary.com/app/user/alice?lat=52.4&lng=13.3&z=12", "alice"),
        ("http://mapillary.com/app/user/alice/", "alice"),
        (" mapillary.com/app/user/al%20ice#x\n", "al ice"),
        ("HTTPS://WWW.Mapillary.com/app/user/Alice", "Alice"),
        ("alice", "alice"),
        ("@alice", "@alice"),
        (" alice ", " alice "),
        ("https://www.mapillary.com/app/?pKey=1", "https://www.mapillary.com/app/?pKey=1"),
    ],
)
def test_a_profile_is_a_name_and_any_other_text_is_itself(said: str, name: str) -> None:
    assert username_of(said) == name


def test_a_profile_is_an_argument() -> None:
    given = {"username": "https://www.mapillary.com/app/user/alice?z=1"}
    assert validate(given).collection.username == "alice"


@pytest.mark.parametrize(
    "given",
    ["https://www.mapillary.com/app/?pKey=1", "https://www.mapillary.com/app/user/a%2Fb", "a/b"],
)
def test_another_address_is_refused_with_what_a_profile_looks_like(given: str) -> None:
    with pytest.raises(ArgumentRefused, match=r"mapillary\.com/app/user/NAME, say NAME"):
        validate({"username": given})


@pytest.mark.parametrize(
    ("name", "likely"),
    [("@alice", "alice"), (" alice\t", "alice"), ("@ alice", "alice"), ("alice", None),
     ("al ice", None), ("@", None)],
)  # fmt: skip
def test_what_a_name_is_more_likely_to_be(name: str, likely: str | None) -> None:
    assert plain(name) == likely
