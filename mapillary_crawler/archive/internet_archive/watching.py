"""Pure: what an answer of archive.org says of the tars that an item was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from mapillary_crawler.archive.internet_archive.presence import RemoteItem
from mapillary_crawler.archive.internet_archive.removal import answer_obstacle, removal_obstacle
from mapillary_crawler.ledger.records import Piece


@dataclass(slots=True)
class Seen:
    """What became of the tars of an item, by one answer."""

    #: Why the item is no longer as it was, None if it is.
    changed: str | None = None
    #: Why the answer proves nothing, None if it does.
    waits_for: str | None = None
    #: Tars that are there as they were sent.
    verified: list[Piece] = field(default_factory=list)
    #: Those of them that nothing is against removing here.
    removable: list[Piece] = field(default_factory=list)
    #: Why the others of them stay.
    obstacle: str | None = None
    #: Tars that were never seen there, and nothing is pending.
    missing: list[Piece] = field(default_factory=list)


def seen(
    answer: Mapping[str, Any],
    tasks: Mapping[str, int] | None,
    pieces: Iterable[Piece],
    *,
    item: str,
    uploader: str | None,
    verified: AbstractSet[str],
) -> Seen:
    """Return what an answer says of pieces that were accepted.

    `verified` are names of those that earlier answers have shown, and no later one may lack.
    `uploader` is who the first answer after our own first accepted PUT has named.
    """
    remote, pieces = RemoteItem(answer), list(pieces)
    odd = None if remote.is_dark else answer_obstacle(answer, item)
    if odd:
        return Seen(waits_for=odd)
    is_pending = bool(remote.is_busy or any((tasks or {}).values()))
    changed = _change(remote, pieces, item, uploader, verified, is_pending=is_pending)
    if changed or is_pending:
        return Seen(changed=changed, waits_for="archive.org still has tasks for the item")
    result = Seen(missing=[piece for piece in pieces if not remote.holds(piece)])
    for piece in pieces:
        if piece not in result.missing:
            result.verified.append(piece)
            obstacle = removal_obstacle(answer, tasks, piece, item=item, uploader=uploader)
            if obstacle is None:
                result.removable.append(piece)
            result.obstacle = result.obstacle or obstacle
    return result


def _change(
    remote: RemoteItem,
    pieces: Iterable[Piece],
    item: str,
    uploader: str | None,
    verified: AbstractSet[str],
    *,
    is_pending: bool,
) -> str | None:
    """Return what somebody else did to the item, None where nothing shows that anybody did."""
    if remote.is_dark:
        return f"archive.org has made {item} dark"
    if uploader is not None and remote.metadata.get("uploader") != uploader:
        return f"{item} has another uploader than after the upload"
    for piece in pieces:
        was_there, is_named = piece.name in verified, piece.name in remote.files
        if is_named and not remote.holds(piece) and (was_there or not is_pending):
            return f"{item} has another {piece.name} than was sent"
        if was_there and not is_named:
            return f"{item} no longer has {piece.name}"
    return None
