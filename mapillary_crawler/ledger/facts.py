"""Facts about the whole collection: the selection, the encoder, the listing, the runs."""

from __future__ import annotations

import json
from typing import Any

from mapillary_crawler.ledger.database import Database


class Facts:
    """Named JSON values."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a fact, or `default` where it was never set."""
        found = self._database.value("SELECT value FROM facts WHERE name = ?", (name,))
        return default if found is None else json.loads(found)

    def set(self, **values: Any) -> None:
        """Set facts, all in one transaction."""
        with self._database.transaction():
            self._database.executemany(
                "INSERT INTO facts VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, json.dumps(value)) for name, value in values.items()],
            )

    def add(self, name: str, number: int) -> int:
        """Add to a counter and return its new value."""
        value: int = self.get(name, 0) + number
        self.set(**{name: value})
        return value
