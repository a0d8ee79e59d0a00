"""Who may ask the viewer: attacks by pages of other sites, one by one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.browse.guards import HEADERS, new_token, refusal

TOKEN = "right"
OWN = {"Host": "127.0.0.1:8000"}


def status(
    method: str = "GET",
    path: str = "/api/collections",
    headers: dict[str, str] | None = None,
    *,
    address: str | None = None,
    cookie: str | None = TOKEN,
) -> int | None:
    found = refusal(
        method, path, OWN | (headers or {}), token=TOKEN, in_address=address, in_cookie=cookie
    )
    return int(found.status) if found else None


def test_who_opened_the_address_is_answered() -> None:
    assert status("GET", "/", address=TOKEN, cookie=None) is None
    assert status() is None
    assert status("HEAD") is None
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert status(headers=own) is None
    assert status("POST", "/api/action", own | {"X-Token": TOKEN}) is None
    # By the name that people type, and through a tunnel that has another port.
    for host in ("localhost:8000", "127.0.0.1:9999", "localhost"):
        assert status(headers={"Host": host, "Origin": f"http://{host}"}) is None


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "127.0.0.1:8000.evil",
        "localhost.evil.example:8000", "127.0.0.1@evil.example", "127.0.0.1:8000\n", "0.0.0.0:8000",
        "[::1]:8000", "127.0.0.1:123456", "127.0.0.1:",
    ],
)  # fmt: skip
def test_another_name_is_refused_also_with_the_token(host: str) -> None:
    assert status(headers={"Host": host}) == 403
    assert status("GET", "/", {"Host": host}, address=TOKEN) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port: another program of this machine
    ],
)
def test_other_sites_are_refused_also_with_the_cookie(headers: dict[str, str]) -> None:
    assert status(headers=headers) == 403
    assert status("POST", "/api/action", headers | {"X-Token": TOKEN}) == 403


def test_without_the_token_nothing_is_answered() -> None:
    for cookie in (None, "", "wrong", "righ", "right ", "ri\udcffght"):
        assert status(cookie=cookie) == 403
        assert status("GET", "/", cookie=cookie) == 403
        assert status("GET", "/", address=cookie, cookie=None) == 403
    # In an address it counts for the page that is opened alone: such an address is passed on.
    assert status("GET", "/api/collections", address=TOKEN, cookie=None) == 403


def test_one_address_may_be_posted_to_with_the_header() -> None:
    assert status("POST", "/api/action") == 403
    assert status("POST", "/api/action", {"X-Token": "wrong"}) == 403
    assert status("POST", "/api/action", {"X-Token": TOKEN}, cookie=None) == 403
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"):
        assert status(method, "/api/action", {"X-Token": TOKEN}) == 405
    assert status("POST", "/api/collections", {"X-Token": TOKEN}) == 405


@given(st.text(), st.text(), st.text())
def test_whatever_is_sent_without_the_token_is_refused(host: str, origin: str, site: str) -> None:
    headers = {"Host": host, "Origin": origin, "Sec-Fetch-Site": site}
    assert refusal("GET", "/", headers, token=TOKEN, in_address=None, in_cookie=None)


def test_tokens_have_128_bits_and_differ() -> None:
    some = {new_token() for _ in range(100)}
    assert len(some) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", each) for each in some)


def test_no_script_may_stand_in_a_page() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "script-src" not in policy
