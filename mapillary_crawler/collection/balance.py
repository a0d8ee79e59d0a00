"""Pure: the balance of a collection.

listed = saved + gone + unavailable + failed + left, always; nothing is left of a finished one.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Balance:
    """What has become of the images of a collection.

    What is not settled is `left` if no run had an error with it, else `failed`, of which
    `accepted`, settled by the user, are a part. `damaged`, `bare`, which have no metadata of ours,
    and `vanished`, which the service does not list any more, are parts of `saved`; `outside` and
    `nameless` are beside the balance.
    """

    saved: int = 0
    damaged: int = 0
    gone: int = 0
    unavailable: int = 0
    failed: int = 0
    left: int = 0
    accepted: int = 0
    outside: int = 0
    nameless: int = 0
    bytes_saved: int = 0
    bare: int = 0
    vanished: int = 0

    @property
    def listed(self) -> int:
        """Rows of the selection, unique by id."""
        return self.saved + self.gone + self.unavailable + self.failed + self.left

    @property
    def unsettled(self) -> int:
        """Images that are wanted still, whether a run has failed with them or not."""
        return self.failed - self.accepted + self.left

    def changed(self, before: Balance, now: Balance) -> Balance:
        """Return what this is once a part of it has changed from `before` to `now`."""
        counts = zip(astuple(self), astuple(before), astuple(now), strict=True)
        return Balance(*(count - was + has for count, was, has in counts))

    def __str__(self) -> str:
        text = (
            f"listed {self.listed} = saved {self.saved} + gone {self.gone} "
            f"+ unavailable {self.unavailable} + failed {self.failed}"
        )
        if self.left:
            text += f" + left {self.left}"
        beside = [
            f"{count} {what}"
            for count, what in (
                (self.damaged, "of the saved are damaged at the source"),
                (self.bare, "of the saved are without our metadata"),
                (self.vanished, "of the saved are no longer on Mapillary"),
                (self.accepted, "of the failed are accepted"),
                (self.outside, "outside the selection"),
                (self.nameless, "rows without a usable id"),
            )
            if count
        ]
        return f"{text} ({', '.join(beside)})" if beside else text
