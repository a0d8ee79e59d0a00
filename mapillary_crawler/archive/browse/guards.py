"""Pure: who may ask the viewer, and what every answer says to the browser.

The server listens on 127.0.0.1 alone, which any page in any browser here can ask, too. A page of
another site is kept out by all of these: the Host that it has to name (a name of its own that leads
here is refused: DNS rebinding), the Origin and Sec-Fetch-Site that browsers send, and a random
token that it does not know, which the browser keeps in a cookie for us alone (SameSite=Strict,
HttpOnly).
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

#: Sent with every answer. `blob:` and `data:` are what canvases and panoramas are drawn from.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: The one address that may be posted to, and the header that has the token then.
ACTION, HEADER = "/api/action", "X-Token"
#: By whatever port: a tunnel may have another one.
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?")
#: Sec-Fetch-Site of what this viewer's own page asks for, and of an address that was opened.
_OWN = frozenset({"same-origin", "none"})
_FORBIDDEN = HTTPStatus.FORBIDDEN


class Refusal(NamedTuple):
    """The status and the words of an answer to who may not ask."""

    status: HTTPStatus
    words: str


def new_token() -> str:
    """Return a random token of 128 bits."""
    return secrets.token_urlsafe(16)


def is_token(given: str | None, token: str) -> bool:
    """Say whether a token is the right one, in a time that says nothing of it."""
    return given is not None and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), token.encode()
    )


def cookie(port: int) -> str:
    """Return the name of the cookie: browsers do not tell ports apart."""
    return f"mapillary_viewer_{port}"


def refusal(
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    token: str,
    in_address: str | None,
    in_cookie: str | None,
) -> Refusal | None:
    """Return why a request is refused, None for one that is answered.

    `headers` finds names in any case. `in_address` is the token of the address, which counts for
    `/` alone, the page that is opened.
    """
    host = headers.get("Host", "")
    opens = path == "/" and is_token(in_address, token)
    of_another = headers.get("Sec-Fetch-Site", "none") not in _OWN
    checks = (
        (not _HOST.fullmatch(host), _FORBIDDEN, "this server has another name"),
        (headers.get("Origin") not in (None, f"http://{host}"), _FORBIDDEN, "another site asks"),
        (
            method not in ("GET", "HEAD") and (method, path) != ("POST", ACTION),
            HTTPStatus.METHOD_NOT_ALLOWED,
            "GET and HEAD only",
        ),
        (not opens and of_another, _FORBIDDEN, "another site asks"),
        (
            not opens and not is_token(in_cookie, token),
            _FORBIDDEN,
            "open the address that was printed at the terminal, with its token",
        ),
        (
            method == "POST" and not is_token(headers.get(HEADER), token),
            _FORBIDDEN,
            f"the header {HEADER} has another token",
        ),
    )
    return next((Refusal(status, words) for fails, status, words in checks if fails), None)
