"""Pure: the balance and the outcome of a run.

listed = saved + gone + unavailable + failed, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Balance:
    """What has become of the images of a collection.

    `damaged` is part of `saved`; `accepted` and `untried` are parts of `failed`;
    `outside` and `nameless` are beside the balance.
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
                (self.untried, "of the failed were not tried yet"),
                (self.accepted, "of the failed are accepted"),
                (self.outside, "outside the selection"),
                (self.nameless, "rows without a usable id"),
            )
            if count
        ]
        return f"{text} ({', '.join(beside)})" if beside else text


class Outcome(Enum):
    """How a run ended: the spider's finish_reason, the exit code, and a word for people."""

    COMPLETE = ("finished", 0, "complete")
    ALREADY_ARCHIVED = ("already_archived", 0, "already archived")
    PLANNED = ("planned", 0, "planned, crawl it to go on")
    ERROR = ("error", 1, "unexpected error")
    REFUSED = ("refused", 2, "refused")
    INCOMPLETE = ("images_failed", 3, "incomplete, run the same command again")
    ACCEPTED = ("failed_accepted", 3, "finished without the images that failed, as accepted")
    INTERRUPTED = ("shutdown", 4, "interrupted, run the same command again")
    TOKEN_REFUSED = ("token_refused", 5, "the token was refused")
    DISK_FULL = ("disk_full", 6, "disk full, make space and run the same command again")
    UNAVAILABLE = ("unavailable", 7, "the service stayed unavailable, run the same command again")
    BLOCKED = ("blocked", 7, "the service blocked us, run the same command again in a day")
    NO_IMAGES = ("no_images", 8, "no images")
    LOCKED = ("locked", 9, "another process works on this collection")

    def __init__(self, reason: str, exit_code: int, words: str) -> None:
        self.reason = reason
        self.exit_code = exit_code
        self.words = words
