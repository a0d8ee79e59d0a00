"""Manifests that unpack to more than a manifest can."""

from __future__ import annotations

import io

import pytest

from mapillary_crawler.collection import limits
from mapillary_crawler.collection.limits import TooLarge, lines


def test_lines_are_what_they_are() -> None:
    longest = b"x" * (limits.LINE_BYTES - 1) + b"\n"
    assert list(lines(io.BytesIO(b"a\n\n" + longest + b"b"))) == [b"a\n", b"\n", longest, b"b"]


def test_an_endless_line_is_none() -> None:
    with pytest.raises(TooLarge, match="a line of more than 1,048,576 bytes: it is no such file"):
        list(lines(io.BytesIO(b"\n" + bytes(limits.LINE_BYTES + 1))))


def test_endless_lines_are_none() -> None:
    endless = io.BytesIO(b"{}\n" * 100)
    with pytest.raises(TooLarge, match="more bytes than such a file"):
        list(lines(endless, most=6399))
    endless.seek(0)
    assert len(list(lines(endless, packed=1))) == 100
