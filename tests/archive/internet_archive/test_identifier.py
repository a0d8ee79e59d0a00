"""Identifiers: read from the right, unescaped, and judged by the library's own rule."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mapillary_crawler.archive.internet_archive.identifier import (
    ArchivedName,
    broken_rule,
    unescape,
    volume_identifier,
)
from mapillary_crawler.collection.names import QUALITIES, USERNAME_LENGTH, Collection, escape

usernames = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=80
).filter(lambda name: name not in {".", ".."} and name.isprintable())


@given(
    usernames,
    st.sampled_from(QUALITIES),
    st.sampled_from(["", "webp", "jxl"]),
    st.integers(1, 120),
)
@example("xx" + "\u0101" * 79, "256", "", 1)
@example("000:::\u0100\u0100\u0100\u0100\u0100\u0100\u1d00", "256", "", 1)
def test_an_identifier_of_ours_is_read_back(username, quality, kind, volume):
    webp, jxl = kind == "webp", kind == "jxl"
    collection = Collection(username, quality, webp=webp, jxl=jxl)
    identifier = volume_identifier(collection.identifier, volume)
    name = ArchivedName.parse(identifier)
    assert name is not None
    assert (name.quality, name.webp, name.jxl, name.volume) == (quality, webp, jxl, volume)
    if len(escape(username, 10_000)) > USERNAME_LENGTH:
        # The cut form itself, or where it happens to be one, the short name that is escaped so.
        cut = escape(username, USERNAME_LENGTH)
        assert cut in (name.username, escape(name.username, USERNAME_LENGTH))
    else:
        assert name.username == username
    assert broken_rule(identifier) is None


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("mapillary-anna-2048", ArchivedName("anna", "2048")),
        ("mapillary-anna-b-original-webp", ArchivedName("anna-b", "original", webp=True)),
        ("mapillary-anna-1024-256", ArchivedName("anna-1024", "256")),
        (
            "mapillary-anna-256-webp-1024-webp-vol12",
            ArchivedName("anna-256-webp", "1024", True, 12),
        ),
        ("mapillary-anna-vol02-original", ArchivedName("anna-vol02", "original")),
        ("mapillary-anna-original-vol02", ArchivedName("anna", "original", volume=2)),
        ("mapillary-anna-original-vol2", None),
        ("mapillary-anna", None),
        ("mapillary--original", None),
        ("kartaview-anna-original", None),
    ],
)
def test_identifiers_are_read_from_the_right(identifier, expected):
    assert ArchivedName.parse(identifier) == expected


@pytest.mark.parametrize("name", ["max_u2_x", "a_u110000_b", "a_u41_b", "_u_", "anna_u5f_x"])
def test_what_escape_never_makes_stays_as_it_is(name):
    assert unescape(name) == name


@given(st.text(st.sampled_from("aZ0._-@ é/"), max_size=104))
def test_the_rules_agree_with_the_librarys_own(identifier):
    utils = pytest.importorskip("internetarchive.utils")
    try:
        utils.validate_s3_identifier(identifier)
        accepted = True
    except utils.InvalidIdentifierException:
        accepted = False
    if identifier.startswith("@"):  # items of user accounts, never ours
        return
    assert (broken_rule(identifier) is None) == accepted
