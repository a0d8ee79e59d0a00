"""What archive.org's metadata answers say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.internet_archive.presence import (
    Presence,
    item_url,
    metadata_url,
    read_presence,
)

METADATA = {"identifier": "mapillary-alice-2048", "mediatype": "image"}
TAR, MANIFEST = {"name": "2024-01-15.tar"}, {"name": "metadata.jsonl.gz"}
SUMS = {"name": "SHA256SUMS"}
OURS = {**METADATA, "scanner": "mapillary_crawler 0.1.0"}
BOTH = {**METADATA, "scanner": ["mapillary_downloader 0.5", "mapillary_crawler 0.1.0"]}
THEIRS = {**METADATA, "scanner": ["mapillary_downloader 0.5", "some encoder"]}


@pytest.mark.parametrize(
    ("status", "answer", "presence"),
    [
        (200, {}, Presence.ABSENT),
        (200, {"created": 1700000000}, Presence.ABSENT),
        (200, {"metadata": {}}, Presence.ABSENT),
        (200, {"metadata": METADATA, "files": []}, Presence.EXISTS),
        (200, {"metadata": METADATA, "files": [TAR]}, Presence.INCOMPLETE),
        (200, {"metadata": METADATA, "files": [TAR, {"name": "x"}, 7]}, Presence.INCOMPLETE),
        (200, {"metadata": METADATA, "files": [TAR, MANIFEST]}, Presence.EXISTS),
        (200, {"metadata": METADATA, "files": {"name": "a.tar"}}, Presence.EXISTS),
        (200, {"metadata": METADATA, "files": [{**MANIFEST, "size": "9" * 5000}]}, Presence.EXISTS),
        (200, {"metadata": OURS, "files": [MANIFEST]}, Presence.INCOMPLETE),
        (200, {"metadata": OURS, "files": [MANIFEST, TAR]}, Presence.INCOMPLETE),
        (200, {"metadata": OURS, "files": [TAR]}, Presence.INCOMPLETE),
        (200, {"metadata": OURS, "files": [MANIFEST, TAR, SUMS]}, Presence.EXISTS),
        (200, {"metadata": OURS, "files": [MANIFEST, SUMS]}, Presence.EXISTS),
        (200, {"metadata": BOTH, "files": [MANIFEST, TAR]}, Presence.INCOMPLETE),
        (200, {"metadata": THEIRS, "files": [MANIFEST, TAR]}, Presence.EXISTS),
        (200, {"is_dark": True}, Presence.DARK),
        (200, {"is_dark": True, "metadata": METADATA}, Presence.DARK),
        (200, {"is_dark": False, "metadata": METADATA}, Presence.EXISTS),
        (200, {"metadata": METADATA, "pending_tasks": True}, Presence.UPLOADING),
        (200, {"metadata": METADATA, "tasks": [{"cmd": "archive.php"}]}, Presence.UPLOADING),
        (200, {"tasks": [{"cmd": "archive.php"}]}, Presence.UPLOADING),
        (200, {"metadata": METADATA, "tasks": [], "pending_tasks": False}, Presence.EXISTS),
        (200, {"error": "no such server"}, Presence.UNKNOWN),
        (200, [], Presence.UNKNOWN),
        (200, None, Presence.UNKNOWN),
        (503, {"metadata": METADATA}, Presence.UNKNOWN),
        (404, {}, Presence.UNKNOWN),
        (429, {}, Presence.UNKNOWN),
    ],
)
def test_presence(status: int, answer: Any, presence: Presence) -> None:
    assert read_presence(status, json.dumps(answer).encode()) is presence


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b"\xff", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"]
)
def test_what_cannot_be_read_says_nothing(body: bytes) -> None:
    assert read_presence(200, body) is Presence.UNKNOWN


@given(st.integers(100, 599), st.binary())
def test_no_answer_breaks_it(status: int, body: bytes) -> None:
    assert read_presence(status, body) in Presence


def test_addresses() -> None:
    assert metadata_url("https://archive.org", "mapillary-a_u20_b-2048") == (
        "https://archive.org/metadata/mapillary-a_u20_b-2048"
    )
    assert item_url("http://127.0.0.1:8000/ia", "a/b?c") == (
        "http://127.0.0.1:8000/ia/details/a%2Fb%3Fc"
    )
