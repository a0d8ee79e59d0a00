"""Which hosts are this machine, which addresses the internet's, who has a proxy."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.addresses import is_loopback, is_public, proxy_of, split_url


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost"]
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0", "10.0.0.1", "::"]
)
def test_no_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.127.255.255", "0.0.0.0", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1",
        "fec0::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::",
        "2002:c0a8:101::1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1",
    ],
)  # fmt: skip
def test_addresses_of_nobody_else_s_business(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "157.240.0.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2a03:2880::1", "198.18.0.7",
        "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
    ],
)  # fmt: skip
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses())
def test_every_address_is_judged(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(str(address)):
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_unspecified


@pytest.mark.parametrize(
    "url",
    ["http://[::1].evil.test/", "http://[::1]x", "http://x[::1]", "http://[x]"],
)
def test_a_host_in_brackets_is_an_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"no host|address"):
        assert split_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://[::1]/", "http://[fe80::1%25eth0]:80/", "http://a:b@[::1]:8/", "http://h:9", ""],
)
def test_other_hosts_are_as_they_were(url: str) -> None:
    split_url(url)


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://one:1")
    monkeypatch.setenv("https_proxy", "http://two:2")
    monkeypatch.setenv("no_proxy", "intern.example.org,10.0.0.7")


@pytest.mark.usefixtures("proxies")
@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://example.org/", "http://one:1"),
        ("https://example.org/", "http://two:2"),
        ("http://10.0.0.8/", "http://one:1"),
        ("http://10.0.0.7/", None),
        ("http://a.intern.example.org/", None),
        ("http://localhost:8000/", None),
        ("http://127.0.0.1:8000/", None),
        ("https://[::1]:8000/", None),
        ("ftp://example.org/", None),
        ("data:,", None),
    ],
)
def test_who_has_a_proxy(url: str, proxy: str | None) -> None:
    assert proxy_of(url) == proxy
