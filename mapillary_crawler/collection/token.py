"""The token: where it comes from, and who may get it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mapillary_crawler.collection.addresses import is_loopback, split_url
from mapillary_crawler.collection.outcome import ArgumentRefused

#: The one public host that gets the token.
API_HOST = "graph.mapillary.com"


def read_token(environment: Mapping[str, str]) -> str:
    """Return the token of the environment, without spaces and newlines around it.

    Raises `ArgumentRefused`, which never shows it.
    """
    token = environment.get("MAPILLARY_TOKEN", "").strip()
    if not token:
        raise ArgumentRefused(
            "MAPILLARY_TOKEN is not set; get a free token at "
            "https://www.mapillary.com/dashboard/developers and export it"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ArgumentRefused(
            "MAPILLARY_TOKEN holds characters that no token has; copy it again from "
            "https://www.mapillary.com/dashboard/developers"
        )
    return token


def may_have_token(url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether a request to `url` may carry the token."""
    try:
        parts = split_url(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if host == API_HOST:
        return parts.scheme == "https" and port in (None, 443)
    trusted = environment.get("MAPILLARY_TRUSTED_API_HOST", "").strip().lower()
    if trusted and trusted in {host, parts.netloc.lower()}:
        return True
    return is_loopback(host)
