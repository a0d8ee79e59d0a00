"""Pure: how fast the API may be asked, so that its limits of a minute are never met.

Graph API: 10,000 searches and 60,000 entities a minute, for all that an application asks. A page of
a listing is a search; an image that is asked for by its id is an entity, and 50 of one question 50.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

#: Graph API: what a minute is limited of.
SEARCHES, ENTITIES = "searches", "entities"
_MINUTE = 60.0


def cost(url: str) -> tuple[str, int]:
    """Return of what a question of graph/api.py takes how much."""
    parts = urlsplit(url)
    if parts.path.endswith("/images"):
        return SEARCHES, 1
    ids = parse_qs(parts.query).get("ids", [""])[0]
    return ENTITIES, ids.count(",") + 1


@dataclass
class Pace:
    """Spreads questions evenly; `limits` are what may be asked in a minute, of each kind.

    Times are seconds on any clock that only goes forward.
    """

    limits: dict[str, int]
    _free_at: dict[str, float] = field(default_factory=dict)

    def wait(self, url: str, now: float) -> float:
        """Note a question, and return in how many seconds it may be asked."""
        kind, amount = cost(url)
        at = max(now, self._free_at.get(kind, now))
        self._free_at[kind] = at + amount * _MINUTE / self.limits[kind]
        return at - now
