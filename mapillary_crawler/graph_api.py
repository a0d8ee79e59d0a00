"""Pure: what is asked of the Graph API and what its answers hold.

Every URL is built here; of `paging.next` only its presence and cursor are used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from mapillary_crawler.collection import (
    Collection,
    Selection,
    capture_day,
    capture_time,
    image_id,
    sequence_part,
    text,
)
from mapillary_crawler.ledger.listing import ListedRow

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

#: Graph API: batches of 50 ids are served everywhere, the true maximum is not known.
BATCH_IDS = 50

#: Bytes of a row's JSON beyond which its larger values are left out, and what is large.
_ROW_BYTES, _VALUE_BYTES = 65_536, 4_096
#: Levels of a row's JSON; the fields known have three.
_DEPTH = 16


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
    return Page(rows, after)


def _cursor_of(following: Any) -> str | None:
    try:
        query = urlsplit(following).query if isinstance(following, str) else ""
    except ValueError:
        return None
    return parse_qs(query).get("after", [None])[0]


def row_id(row: Any) -> str | None:
    """Return the id of a row of a page, None if it has no usable one."""
    return image_id(row.get("id")) if isinstance(row, dict) else None


def listed_row(
    row: Any, collection: Collection, known: Mapping[str, bool] | None = None
) -> ListedRow | None:
    """Return a row of a page as the ledger keeps it, None if it has no usable id.

    `known` says of ids that the ledger has whether it still wants the image: of these it
    takes the URL at most, so nothing else is described.
    """
    image = row_id(row)
    if image is None:
        return None
    wanted = known.get(image) if known else None
    if wanted is False:
        return ListedRow(image, None, "", "", b"", None, None)
    url = image_url(row.get(thumb_field(collection.quality)))
    if wanted:
        return ListedRow(image, None, "", "", b"", url, url_expiry(url) if url else None)
    captured_at = capture_time(row.get("captured_at"))
    return ListedRow(
        image_id=image,
        captured_at=captured_at,
        day=capture_day(captured_at),
        sequence=sequence_part(row.get("sequence")),
        line=canonical_line(row),
        url=url,
        expires=url_expiry(url) if url else None,
        outside=not collection.selection.holds(row, captured_at),
    )


def image_url(value: Any) -> str | None:
    """Return a row's URL if it is one that may be fetched: http or https, nothing else."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return value if usable else None


def url_expiry(url: str) -> int | None:
    """Return when a signed URL expires, in seconds since 1970, None if it does not say.

    Meta's CDN: `oe` is hexadecimal Unix seconds.
    """
    found = re.search(r"[?&]oe=([0-9A-Fa-f]{1,12})(?:&|$)", url)
    return int(found[1], 16) if found else None


def canonical_line(row: dict[str, Any]) -> bytes:
    """Return a row's fields as canonical JSON: sorted keys, compact, UTF-8, no URLs.

    The id is text, as in all manifests: a reader may take a number for one with 53 bits.
    NaN and infinities become null, lone surrogates U+FFFD; so do values that are nested
    or long beyond reason.
    """
    fields = {name: row[name] for name in IMAGE_FIELDS if name in row}
    if (identity := image_id(row.get("id"))) is not None:
        fields["id"] = identity
    try:
        line = _dump(fields)
    except (ValueError, RecursionError):
        line = b""
    if not line or line.count(b"[") + line.count(b"{") > _DEPTH:  # perhaps nested too deep
        fields = _cleaned(fields, _DEPTH)
        line = _dump(fields)
    if len(line) > _ROW_BYTES:
        line = _dump(
            {
                name: value if len(_dump(value)) <= _VALUE_BYTES else None
                for name, value in fields.items()
            }
        )
    return line


def _dump(value: Any) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _cleaned(value: Any, depth: int) -> Any:
    """Return a JSON value without what JSON or UTF-8 cannot hold."""
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {text(name): _cleaned(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cleaned(inner, depth - 1) for inner in value]
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and value - value != 0:
        return None
    return value
