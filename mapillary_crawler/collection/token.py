"""The token: where it comes from, and who may get it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote

from mapillary_crawler.collection.addresses import is_loopback, split_url
from mapillary_crawler.collection.outcome import ArgumentRefused

#: The one public host that gets the token.
API_HOST = "graph.mapillary.com"
#: Characters of a token's last part from which on it is a secret by itself.
_SECRET = 16


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


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Return the texts that give the token of the environment away, the longest first.

    Graph API: MLY|application|secret. The application is no secret, and looks like an image's id.
    """
    token = environment.get("MAPILLARY_TOKEN", "").strip()
    secret = token.rpartition("|")[2]
    return [
        *((token, quote(token, safe="")) if token else ()),
        *((secret,) if len(secret) >= _SECRET else ()),
    ]


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
