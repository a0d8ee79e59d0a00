"""The bytes of images on their way, bounded."""

from __future__ import annotations

import asyncio
from collections import deque


class ByteBudget:
    """Lets images pass as long as their bytes fit; one that is larger passes alone.

    The size of an image is not known before it has come, so `take` asks for the size that
    images had lately and `correct` puts the true one in its place.
    """

    #: Part of the expected size that remains when smaller images come.
    _FADING = 0.98

    def __init__(self, most: int, expected: int) -> None:
        self._most = most
        self._expected = expected
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes that are on their way, or expected to be."""
        return self._taken

    async def take(self, size: int | None = None) -> int:
        """Wait until an image of a size, or of the expected one, may pass; return its bytes."""
        size = self._expected if size is None else size
        if self._waiting or not self._fits(size):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give_back(size)
                raise
        else:
            self._taken += size
        return size

    def take_at_once(self) -> int:
        """Count an image of the expected size that is not to wait: others wait for its sake."""
        self._taken += self._expected
        return self._expected

    def hold(self, size: int) -> int:
        """Count further copies of an image that has passed, without a wait; return their bytes."""
        self._taken += size
        return size

    def correct(self, taken: int, true: int) -> int:
        """Put an image's true bytes in the place of those taken; return them."""
        self._expected = max(true, int(self._expected * self._FADING))
        self._taken += true - taken
        self._admit()
        return true

    def give_back(self, taken: int) -> None:
        """Take an image's bytes out of the account and let others pass."""
        self._taken -= taken
        self._admit()

    def _fits(self, size: int) -> bool:
        return self._taken == 0 or self._taken + size <= self._most

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._taken += size
                turn.set_result(None)
