"""Pure: whole numbers as few bytes, which page.js unpacks: variable length, then deflate."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator


class Packing:
    """Numbers, one behind another: seven bits a byte, the low ones first, the eighth bit goes on.

    Places are packed as what they differ by from the place before.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._x = self._y = 0

    def add(self, number: int) -> None:
        """Add a number from 0 on."""
        while number > 127:
            self._bytes.append(number & 127 | 128)
            number >>= 7
        self._bytes.append(number)

    def add_signed(self, number: int) -> None:
        """Add a number: 0, -1, 1, -2, 2 are 0, 1, 2, 3, 4."""
        self.add(2 * number if number >= 0 else -2 * number - 1)

    def add_places(self, places: Iterable[tuple[int, int]]) -> None:
        """Add places, without their count."""
        for x, y in places:
            self.add_signed(x - self._x)
            self.add_signed(y - self._y)
            self._x, self._y = x, y

    def packed(self) -> bytes:
        """Return everything in zlib's format (RFC 1950)."""
        return zlib.compress(bytes(self._bytes), 9)


def unpacked(packed: bytes) -> Iterator[int]:
    """Yield the numbers again, all as from 0 on."""
    number, shift = 0, 0
    for byte in zlib.decompress(packed):
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield number
            number, shift = 0, 0


def signed(number: int) -> int:
    """Return the number that was packed as one from 0 on."""
    return -(number + 1) // 2 if number % 2 else number // 2
