"""How much of a collection is on archive.org, is here, and waits, as its ledger says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import HERE, SENT, PieceState
from mapillary_crawler.terminal import json_lines

#: The facts that an upload keeps: who has uploaded each item, and when each was verified.
UPLOADERS, VERIFIED = "uploaders", "verified"


@dataclass(frozen=True, slots=True)
class OnArchiveOrg:
    """Files and bytes of a collection of which an upload has begun.

    `items` hold the files that archive.org has accepted; those that wait are written and not
    accepted yet. `here` are bytes: tars, manifests, and images that are in no tar.
    `verified_at`, in seconds since 1970, is when the item that was verified longest ago was, None
    where one was not yet.
    """

    items: tuple[str, ...]
    files: int
    size: int
    waiting_files: int
    waiting: int
    here: int
    verified_at: float | None

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "items": list(self.items),
            "files": self.files,
            "bytes": self.size,
            "waiting_files": self.waiting_files,
            "waiting_bytes": self.waiting,
            "here_bytes": self.here,
            "verified_at": json_lines.moment(self.verified_at),
        }


def on_archive_org(ledger: Ledger) -> OnArchiveOrg | None:
    """Return what is on archive.org, None where no upload has begun; counts pieces, no images."""
    amounts = ledger.pieces.amounts()
    sent = [each for each in amounts if each.state in SENT]
    if not sent and ledger.facts.get(UPLOADERS) is None:
        return None
    waiting = [each for each in amounts if each.state is PieceState.SEALED]
    here = [each for each in amounts if each.state in HERE]
    items = sorted({each.item for each in sent if each.item})
    verified: dict[str, float] = ledger.facts.get(VERIFIED, {})
    times = [verified.get(item) for item in items]
    return OnArchiveOrg(
        items=tuple(items),
        files=sum(each.files for each in sent),
        size=sum(each.size for each in sent),
        waiting_files=sum(each.files for each in waiting),
        waiting=sum(each.size for each in waiting),
        here=sum(each.size for each in here) + ledger.survey.loose_bytes(),
        verified_at=min((time for time in times if time), default=None) if all(times) else None,
    )
