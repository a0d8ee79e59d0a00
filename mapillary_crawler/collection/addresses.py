"""Hosts and addresses of the network: which are this machine, which are nobody else's business."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: RFC 3986: brackets hold the whole of a host; Python's `urlsplit` ignores what follows them.
_NETWORK_PLACE = re.compile(r"(?:[^@]*@)?(?:\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\]|[^\[\]:]*)(?::\d*)?")
#: RFC 6598, shared by the customers of a provider, and by private networks laid over others.
_SHARED = ipaddress.ip_network("100.64.0.0/10")
#: RFC 2544; made private by its registry, given to every public name by some VPN clients.
_BENCHMARKING = ipaddress.ip_network("198.18.0.0/15")
#: RFC 6052: addresses of IPv4 behind a translator.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL; raises ValueError also where its host is not one."""
    parts = urlsplit(url)
    if not _NETWORK_PLACE.fullmatch(parts.netloc):
        raise ValueError("no host")
    return parts


def is_loopback(host: str) -> bool:
    """Say whether a host of a URL is this machine."""
    try:
        return _plain(ipaddress.ip_address(host)).is_loopback
    except ValueError:
        return host == "localhost"


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the internet at large.

    Loopback, link-local, private, shared, reserved and unspecified addresses are not, neither
    as IPv6 has them embedded.
    """
    ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
    if ip in _BENCHMARKING:
        return True
    closed = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast
    site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return not (closed or site_local or ip.is_reserved or ip in _SHARED)


def _plain(ip: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _TRANSLATED:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment has for a URL, None for none.

    `http_proxy` and `https_proxy`, but for the hosts of `no_proxy`; loopback never has one.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)
