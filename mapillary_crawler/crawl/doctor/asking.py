"""One question to a server, off any reactor: the answer with its date, or why there is none."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from mapillary_crawler.collection.addresses import proxy_of, split_url
from mapillary_crawler.graph.answers import MOST_BYTES

_CHUNK = 65_536
#: What `http.client` says of a proxy that does not connect.
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")


class Silence(Enum):
    """Why there is no answer."""

    NO_NAME = auto()  #: the host's name leads nowhere
    NO_CONNECTION = auto()  #: refused, reset, or no way there
    TIMEOUT = auto()
    CERTIFICATE = auto()  #: nobody vouches for the server, or the clock is wrong
    PROXY = auto()  #: the proxy of the environment cannot be reached, or refuses


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body, and seconds by which this machine's clock is ahead, where there is a Date."""

    status: int
    body: bytes
    ahead: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class NoReply:
    """Why there is none, and the system's own words, which hold no address."""

    why: Silence
    said: str


def ask(url: str, headers: Mapping[str, str], timeout: float) -> Reply | NoReply:
    """Ask once, within about `timeout` seconds; no redirect is followed.

    Proxies are those of a crawl (`proxy_of`). The answer is cut at what an answer may have.
    """
    proxy = proxy_of(url)
    opener = build_opener(
        ProxyHandler({split_url(url).scheme: proxy} if proxy else {}), _NoRedirects()
    )
    request = Request(url, headers=dict(headers))  # noqa: S310 - the address is http(s)
    asked, began = time.time(), time.monotonic()
    try:
        try:
            answer: Any = opener.open(request, timeout=timeout)
        except HTTPError as error:
            answer = error
        with answer:
            took = time.monotonic() - began
            ahead = _ahead(answer.headers.get("Date"), asked, took)
            body = _read(answer, began + timeout)
            return Reply(int(answer.status), body, ahead, time.monotonic() - began)
    except (URLError, OSError, http.client.HTTPException) as error:
        return _no_reply(error, proxied=proxy is not None)


class _NoRedirects(HTTPRedirectHandler):
    """Hands a redirect on as the answer that it is."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _read(answer: Any, until: float) -> bytes:
    """Read a body, which may come slowly; raises TimeoutError."""
    body = bytearray()
    while len(body) <= MOST_BYTES and (chunk := answer.read1(_CHUNK)):
        body += chunk
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(body)


def _ahead(date: str | None, asked: float, took: float) -> float | None:
    """Return by how many seconds the clock was ahead of a Date, 0 where it may agree.

    The answer was made at some time between question and answer, and its Date has whole seconds.
    """
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    least, most = asked - there - 1, asked + took - there
    return 0.0 if least <= 0 <= most else (least + most) / 2


def _no_reply(error: Exception, *, proxied: bool) -> NoReply:
    cause: object = error.reason if isinstance(error, URLError) else error
    said = _said(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return NoReply(Silence.CERTIFICATE, cause.verify_message)
    if isinstance(cause, TimeoutError):
        return NoReply(Silence.TIMEOUT, said)
    if proxied and not isinstance(cause, ssl.SSLError):
        return NoReply(Silence.PROXY, said)
    if isinstance(cause, socket.gaierror):
        return NoReply(Silence.NO_NAME, said)
    return NoReply(Silence.NO_CONNECTION, said)


def _said(cause: object) -> str:
    """Return the system's words for an error; what a server or proxy says is left out."""
    if status := _TUNNEL.match(str(cause)):
        return f"HTTP {status[1]}"
    if isinstance(cause, OSError) and cause.errno is not None and cause.strerror:
        return cause.strerror
    return type(cause).__name__
