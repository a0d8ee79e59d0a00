"""Pure: answers that say "too many requests", and whether the concurrency is to blame for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mapillary_crawler.crawl.transfer.window import TransferOutcome, Window

#: Refusals that a proof expects at least, the share of them that raises suspicion, and the one
#: that ends a climb.
_PROOF, _SUSPICIOUS, _TOO_MANY = 8.0, 0.005, 0.02
#: Answers after which older ones count half, and those that prove a concurrency.
_REMEMBERED, _MANY = 2000, 500


@dataclass(slots=True)
class Refusals:
    """The refusals at one concurrency, and whether we are their cause."""

    concurrency: int = 0
    #: The share of them at the concurrency before.
    usual: float = 0.0
    answers: float = 0.0
    refused: float = 0.0
    #: Fewest transfers in flight with which one was begun that was refused; infinity for none.
    begun_with: float = math.inf
    #: The share of which it is known that a lower concurrency does not make it less.
    _blameless: float = 0.0

    @property
    def share(self) -> float:
        """Share of the answers that were refusals, from 0 to 1."""
        return self.refused / self.answers if self.answers else 0.0

    def begin(self, concurrency: int) -> None:
        """Count for a concurrency, anew if it is another one."""
        if concurrency == self.concurrency:
            return
        self.concurrency, self.usual = concurrency, self.share
        self.answers = self.refused = 0.0
        self.begun_with = math.inf

    def count(self, outcome: TransferOutcome, begun_with: int) -> None:
        """Count an answer; old ones fade."""
        if self.answers >= _REMEMBERED:
            self.answers, self.refused = self.answers / 2, self.refused / 2
        self.answers += 1
        if outcome is TransferOutcome.REFUSED:
            self.refused += 1
            self.begun_with = min(self.begun_with, begun_with)

    def tolerable(self, concurrency: int, *, climbing: bool) -> float:
        """Return how many refusals in a round may have nothing to do with the concurrency."""
        usual = min(3 * max(self.usual, self.share), 0.3) * concurrency
        if climbing:
            return usual + 1.0
        return usual + max(3.0, 0.25 * concurrency)

    def none(self) -> bool:
        """Say whether there were none among many answers."""
        return not self.refused and self.answers >= _MANY

    def suspicious(self) -> bool:
        """Say whether a lower concurrency should be looked at for the refusals."""
        return self.refused > 2 and self.share > max(_SUSPICIOUS, 2 * self._blameless)

    def too_many(self) -> bool:
        """Say whether they are more than at the concurrency before."""
        return self.refused > 2 and self.share > max(_TOO_MANY, 3 * self.usual)

    def enough(self, window: Window) -> bool:
        """Say whether a measure at a lower concurrency can tell if it has fewer refusals."""
        return self.share < _SUSPICIOUS or self.share * window.answers >= _PROOF

    def fewer(self, window: Window) -> bool:
        """Say whether a lower concurrency has far fewer refusals; if not, it is not to blame."""
        expected = self.share * window.answers
        if expected >= _PROOF and window.refused < expected / 4:
            return True
        self._blameless = self.share
        return False

    def admitted(self) -> int:
        """Return how many transfers the server seems to take."""
        by_share = self.concurrency * (1 - self.share)
        return int(min(by_share, self.concurrency - 1, self.begun_with - 1))
