"""Pure: what is asked of the Graph API and what its answers hold.

Every URL is built here; of `paging.next` only its presence and cursor are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from mapillary_crawler.collection.names import (
    Collection,
    Selection,
    text,
)
from mapillary_crawler.terminal.redaction import MARK

#: Graph API: the fields that describe an image; a field without a value is left out.
IMAGE_FIELDS = (
    "id",
    "altitude",
    "atomic_scale",
    "camera_parameters",
    "camera_type",
    "captured_at",
    "compass_angle",
    "computed_altitude",
    "computed_compass_angle",
    "computed_geometry",
    "computed_rotation",
    "creator",
    "exif_orientation",
    "geometry",
    "height",
    "is_pano",
    "make",
    "merge_cc",
    "model",
    "organization",
    "quality_score",
    "sequence",
    "width",
)

#: Graph API: a page holds at most 2000 images; below 25 asking for less is pointless.
PAGE_ROWS = 2000
PAGE_ROWS_LEAST = 25

#: Rows beyond which an answer is no page, whatever was asked for: rows can come twice.
_MOST_ROWS = 4 * PAGE_ROWS
#: Characters of a cursor; they have some hundred, and a URL with one must be taken by servers.
_LONGEST_CURSOR = 1024

#: Graph API: batches of 50 ids are served everywhere, the true maximum is not known.
BATCH_IDS = 50


def thumb_field(quality: str) -> str:
    """Return the field that holds the URL of a quality."""
    return f"thumb_{quality}_url"


def page_url(
    base: str,
    collection: Collection,
    fields: tuple[str, ...],
    *,
    cursor: str | None = None,
    limit: int = PAGE_ROWS,
) -> str:
    """Return the URL of a page of a user's images, newest first.

    Only `creator_username` queries paginate, so a bbox is never sent; days are sent
    widened by one on each side, since the bounds' exact meaning is not known.
    """
    parameters = {
        "creator_username": collection.username,
        "fields": ",".join(fields),
        "limit": str(limit),
        **_window(collection.selection),
    }
    if cursor is not None:
        parameters["after"] = cursor
    return _url(base, "/images", parameters)


def batch_url(base: str, ids: list[str], fields: tuple[str, ...]) -> str:
    """Return the URL that asks for several images by id; the answer is keyed by id."""
    return _url(base, "/", {"ids": ",".join(ids), "fields": ",".join(fields)})


def entity_url(base: str, image: str, fields: tuple[str, ...]) -> str:
    """Return the URL that asks for one image."""
    return _url(base, f"/{quote(image, safe='')}", {"fields": ",".join(fields)})


def cheap_url(base: str) -> str:
    """Return the URL of a question that costs the API next to nothing.

    One image of a box of a hundred metres in the middle of the Atlantic, where none are: in dense
    areas the API can refuse a box of any size.
    """
    return _url(base, "/images", {"bbox": "-30.001,0.5,-30,0.501", "fields": "id", "limit": "1"})


def _url(base: str, path: str, parameters: dict[str, str]) -> str:
    query = "&".join(f"{name}={quote(value, safe=',:')}" for name, value in parameters.items())
    return f"{base.rstrip('/')}{path}?{query}"


def _window(selection: Selection) -> dict[str, str]:
    window = {}
    if selection.start and selection.start > date.min:
        window["start_captured_at"] = f"{selection.start - timedelta(days=1)}T00:00:00Z"
    if selection.end and selection.end < date.max - timedelta(days=1):
        window["end_captured_at"] = f"{selection.end + timedelta(days=2)}T00:00:00Z"
    return window


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its rows as they came, and the cursor behind it, None on the last one."""

    rows: list[Any]
    following: str | None


class MalformedPage(ValueError):
    """An answer with status 200 that is no page of images."""


def read_page(answer: dict[str, Any], limit: int = PAGE_ROWS) -> Page:
    """Return the page of an answer to a question for `limit` rows.

    Graph API: `data` is always an array; no `paging.next`, no further page. Only a full
    page with a cursor is doubted: asking once more is cheaper than losing what may follow.
    Raises `MalformedPage`.
    """
    rows = answer.get("data")
    if not isinstance(rows, list):
        raise MalformedPage("the answer has no list of images")
    if len(rows) > _MOST_ROWS:
        raise MalformedPage(f"the page has {len(rows):,} rows")
    paging = answer.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    cursors = paging.get("cursors") if isinstance(paging, dict) else None
    after = cursors.get("after") if isinstance(cursors, dict) else None
    if not following and not (after and len(rows) >= limit):
        return Page(rows, None)
    if not isinstance(after, str) or not after:
        after = _cursor_of(following)
    if after is None or after != text(after):
        raise MalformedPage("a page follows, but the answer has no cursor")
    if len(after) > _LONGEST_CURSOR:
        raise MalformedPage(f"the cursor has {len(after):,} characters")
    if MARK in after:
        raise MalformedPage("the cursor holds the token")
    return Page(rows, after)


def _cursor_of(following: Any) -> str | None:
    try:
        query = urlsplit(following).query if isinstance(following, str) else ""
    except ValueError:
        return None
    return parse_qs(query).get("after", [None])[0]
