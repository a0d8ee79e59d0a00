"""When a collection was last brought up to date, and what that brought."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import UPDATED
from mapillary_crawler.collection.limits import STATE_BYTES
from mapillary_crawler.ledger.records import Changes
from mapillary_crawler.terminal import json_lines


@dataclass(frozen=True, slots=True)
class LastUpdate:
    """When a collection was updated last, in s since 1970, and what that brought."""

    at: float
    changes: Changes

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        changes = self.changes
        return {
            "at": json_lines.moment(self.at),
            "new": changes.new,
            "available": changes.available,
            "vanished": changes.vanished,
        }


def last_update(folder: Path) -> LastUpdate | None:
    """Return when a collection was updated last, None where it never was, or nobody knows."""
    try:
        fields = json.loads(descent.read(folder, UPDATED, STATE_BYTES))
        new, available, vanished = (int(fields[name]) for name in ("new", "available", "vanished"))
        return LastUpdate(float(fields["at"]), Changes(new, available, vanished))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
