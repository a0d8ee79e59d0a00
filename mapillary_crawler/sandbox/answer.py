"""What a surface of the sandbox answers, before any network fault."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOGIN_PAGE = (
    b"<!DOCTYPE html><html><head><title>Log in to continue</title></head>"
    b"<body><h1>Log in</h1><form method='post' action='/login/'></form></body></html>"
)


@dataclass(frozen=True, slots=True)
class Upload:
    """The body of a PUT: its size and md5 (hexadecimal), and where it is if it is kept."""

    size: int
    md5: str
    body: Path | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as the surfaces see it."""

    method: str
    #: Path and query exactly as sent; signatures depend on every byte.
    target: str
    #: Decoded path and query.
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    #: Scheme, host and port the client used, for URLs in answers.
    origin: str = ""
    #: What a PUT brought, once it is read.
    upload: Upload | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of an answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Any, status: int = 200) -> Answer:
        """Answer with compact JSON, as the Graph API does for programs."""
        return cls(status, json.dumps(value, separators=(",", ":")).encode())

    @classmethod
    def of_text(cls, text: str, status: int) -> Answer:
        """Answer with a short plain text, as the CDN does."""
        return cls(status, text.encode(), "text/plain")
