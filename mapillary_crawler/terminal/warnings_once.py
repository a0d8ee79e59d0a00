"""Troubles that many images share: the first is a warning, the rest a number at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


class WarningsOnce:
    """Logs each cause when it first happens, and how often it did when asked.

    Causes come from the program's own short list of texts; what differs from
    image to image belongs into the example, so that memory does not grow.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._counts: Counter[str] = Counter()

    def note(self, cause: str, example: str) -> None:
        """Count `cause`; log it, with `example`, if it is the first of its kind."""
        self._counts[cause] += 1
        if self._counts[cause] == 1:
            self._logger.warning("%s: %s (further ones are counted)", cause, example)

    def summary(self) -> None:
        """Log how often each cause happened; for the end of the spider."""
        for cause, count in sorted(self._counts.items()):
            self._logger.warning("%s: %d in all", cause, count)
