"""Pure: rows of images as the Graph API gives them, and what the ledger keeps of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mapillary_crawler.collection.addresses import split_url
from mapillary_crawler.collection.names import (
    Collection,
    Selection,
    capture_day,
    capture_time,
    image_id,
    sequence_name,
    sequence_part,
    text,
)
from mapillary_crawler.graph.api import IMAGE_FIELDS, thumb_field
from mapillary_crawler.ledger.records import ListedRow
from mapillary_crawler.terminal.redaction import MARK

#: Bytes of a row's JSON beyond which its larger values are left out, and what is large.
_ROW_BYTES, _VALUE_BYTES = 65_536, 4_096
#: Characters of a URL; those of the CDN have some 500.
_LONGEST_URL = 8_192
#: Levels of a row's JSON; the fields known have three.
_DEPTH = 16
_decode = json.JSONDecoder().raw_decode


def row_id(row: Any) -> str | None:
    """Return the id of a row of a page, None if it has no usable one."""
    return image_id(row.get("id")) if isinstance(row, dict) else None


def sequences_asked_for(rows: Sequence[Any], selection: Selection) -> set[str]:
    """Return the sequences of a page's rows that a selection names, whatever else it asks for."""
    if not selection.sequences:
        return set()
    named = {sequence_name(row.get("sequence")) for row in rows if isinstance(row, dict)}
    return set(filter(selection.asks_for, named))


def listed_row(
    row: Any,
    collection: Collection,
    known: Mapping[str, bool] | None = None,
    extensions: Sequence[str] | None = None,
) -> ListedRow | None:
    """Return a row of a page as the ledger keeps it, None if it has no usable id.

    `known` says of ids that the ledger has whether it still wants the image: of these it
    takes the URL at most, so nothing else is described. `extensions`: see `sequence_part`; None:
    those of the collection.
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
        sequence=sequence_part(row.get("sequence"), extensions or collection.extensions),
        line=canonical_line(row),
        url=url,
        expires=url_expiry(url) if url else None,
        outside=not collection.selection.holds(row, captured_at),
    )


def image_url(value: Any) -> str | None:
    """Return a row's URL if it is one that may be fetched: http or https, nothing else.

    One that held the token is none.
    """
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return None
    if len(value) > _LONGEST_URL or MARK in value:
        return None
    try:
        parts = split_url(value)
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


def fields_in(line: bytes) -> dict[str, Any]:
    """Return the fields of such a row; none of what is no row, in a ledger from elsewhere.

    The row is JSON without blanks around it, which takes less time than any other.
    """
    try:
        fields, _ = _decode(line.decode())
    except (ValueError, AttributeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


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
