"""A setting that nobody reads and that is one letter from one of ours is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.settings import default_settings

from mapillary_crawler import settings
from mapillary_crawler.collection.misspelt import misspelt

OWN = [name for name in dir(settings) if name.isupper() and not hasattr(default_settings, name)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAPILLARY_STOR", "MAPILLARY_STORE"),
        ("MAPILARY_STORE", "MAPILLARY_STORE"),
        ("MAPILLARY_STROE", "MAPILLARY_STORE"),
        ("MAPILLARY_TOKENS", "MAPILLARY_TOKEN"),
        ("TAR_MAX_BYTE", "TAR_MAX_BYTES"),
        ("WEBP-QUALITY", "WEBP_QUALITY"),
        ("NO_END", "ON_END"),
    ],
)
def test_one_edit_is_named_wherever_it_comes_from(name: str, meant: str) -> None:
    line = f"{name} is no setting, and has no effect; {meant} is one"
    assert misspelt([name], {}) == [line]
    assert misspelt([], {name: "x"}) == [line]
    assert misspelt([name], {name: "x"}) == [line]


@pytest.mark.parametrize("name", ["", "PATH", "STORE", "MAPILLARY_SROTE", "mapillary_store"])
def test_others_are_not(name: str) -> None:
    assert misspelt([name], {name: "x"}) == []


def test_none_of_ours_and_none_of_scrapy_s_is_warned_of() -> None:
    assert misspelt(OWN, dict.fromkeys(OWN, "x")) == []
    assert misspelt(dir(default_settings), {}) == []


@given(st.lists(st.text()))
def test_no_name_is_too_odd(names: list[str]) -> None:
    assert len(misspelt(names, {})) <= len(set(names))
