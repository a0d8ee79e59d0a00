"""What is published with a collection holds no secret and nothing of the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.terminal.redaction import Redactor

TOKEN = "MLY|123|abcdef"
redact = Redactor(secrets=[TOKEN, ""], hosts=["crawler7", "127.0.0.1", "localhost", ""])


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("sealing day 1 of 8: 2024-05-24, 10 images", None),
        ("mapillary-alice-256: listed 3 = saved 3 + gone 0, 3.2 MB/s", None),
        ("Listed 5 new images / 6 known; 24/7; and/or; a -> b", None),
        ("[mapillary_crawler.extensions.ending] scrapy.core.engine", None),
        ("archive.org: does not exist", None),
        ("2026-11-22 13:45:46, ratio 1.2.3", None),
        (f"token {TOKEN} said", "token (token) said"),
        ("Authorization: OAuth MLY|9|x", "Authorization: OAuth (token)"),
        ("Invalid OAuth 2.0 Access Token", "Invalid OAuth 2.0 Access Token"),
        ("Invalid OAuth access token", None),
        ("with &access_token=EAAB and more", "with &(token) and more"),
        ("GET https://graph.mapillary.com/images?after=x&limit=2 failed", "GET (URL) failed"),
        ("<GET http://127.0.0.1:8080/1?a=b>", "<GET (URL)>"),
        ("asked /images?access_token=x&b=c for more", "asked /images?(query) for more"),
        ("/srv/data/store/mapillary-a-256 exists", "mapillary-a-256 exists"),
        ('File "/usr/lib/python3.11/asyncio/base.py", line 3', 'File "base.py", line 3'),
        ("No such file: '/home/jo doe/x y.jpg'", "No such file: 'x y.jpg'"),
        ("~/archive/x: gone", "x: gone"),
        ("connect to 10.1.2.3:443 refused", "connect to (host):443 refused"),
        ("connect to [2001:db8::1]:443", "connect to (host):443"),
        ("DNS lookup failed: scontent-fra5-1.xx.fbcdn.net.", "DNS lookup failed: (host)."),
        ("on crawler7, not crawler77", "on (host), not crawler77"),
        ("localhost:8080", "(host):8080"),
    ],
)
def test_text(text: str, published: str | None) -> None:
    assert redact(text) == (text if published is None else published)


@given(
    before=st.text(alphabet=" :,('\"", max_size=2),
    parts=st.lists(st.text(alphabet="abcxyz019._-", min_size=1, max_size=8), min_size=2),
    after=st.sampled_from(["", " ", ", then", "'", ")"]),
)
def test_no_absolute_path_is_left(before: str, parts: list[str], after: str) -> None:
    path = "/" + "/".join(parts)
    assert path not in redact(f"{before}{path}{after}")


@given(st.text(max_size=40), st.text(max_size=40))
def test_token_is_nowhere(before: str, after: str) -> None:
    assert TOKEN not in redact(before + TOKEN + after)
