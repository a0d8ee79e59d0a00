"""Pure: the balance and the outcome of a run.

listed = saved + gone + unavailable + failed, always.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Balance:
    """What has become of the images of a collection.

    `damaged` and `bare`, which have no metadata of ours, are parts of `saved`; `accepted`
    and `untried` are parts of `failed`; `outside` and `nameless` are beside the balance.
    """

    saved: int = 0
    damaged: int = 0
    gone: int = 0
    unavailable: int = 0
    failed: int = 0
    accepted: int = 0
    untried: int = 0
    outside: int = 0
    nameless: int = 0
    bytes_saved: int = 0
    bare: int = 0

    @property
    def listed(self) -> int:
        """Rows of the selection, unique by id."""
        return self.saved + self.gone + self.unavailable + self.failed

    def __str__(self) -> str:
        text = (
            f"listed {self.listed} = saved {self.saved} + gone {self.gone} "
            f"+ unavailable {self.unavailable} + failed {self.failed}"
        )
        beside = [
            f"{count} {what}"
            for count, what in (
                (self.damaged, "of the saved are damaged at the source"),
                (self.bare, "of the saved are without our metadata"),
                (self.untried, "of the failed were not tried yet"),
                (self.accepted, "of the failed are accepted"),
                (self.outside, "outside the selection"),
                (self.nameless, "rows without a usable id"),
            )
            if count
        ]
        return f"{text} ({', '.join(beside)})" if beside else text
