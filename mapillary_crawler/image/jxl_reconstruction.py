"""Pure: the head of a `jbrd` box, by which a JPEG XL gives back its JPEG (ISO/IEC 18181-2, A).

It is read as far as one flag near its end: whether the bits that fill the last byte of a scan, or
of a restart interval, are others than ones. Where the JPEG has restart intervals, libjxl 0.7 does
not read such a box, though it writes it: it takes their number for too many.
"""

from __future__ import annotations

#: How a number is written, by two bits before it: so many bits, added to a least value.
_Choices = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]

_APP_TYPE: _Choices = ((0, 0), (0, 1), (1, 2), (2, 4))
_ONE_TO_FOUR: _Choices = ((0, 1), (0, 2), (0, 3), (0, 4))
_TABLES: _Choices = ((0, 4), (3, 2), (4, 10), (6, 26))
_CODES: _Choices = ((0, 0), (0, 1), (3, 2), (8, 0))
_SYMBOL: _Choices = ((2, 0), (2, 4), (4, 8), (8, 1))
_PASS: _Choices = ((0, 0), (0, 1), (0, 2), (3, 3))
_POINTS: _Choices = ((0, 0), (2, 1), (4, 4), (16, 20))
_BLOCK: _Choices = ((0, 0), (3, 1), (5, 9), (28, 41))
_RUNS: _Choices = ((0, 1), (2, 2), (4, 5), (8, 20))
_TAIL: _Choices = ((0, 0), (8, 1), (16, 257), (22, 65_793))

_SOS, _DRI, _EOI, _COM, _BETWEEN = 0xDA, 0xDD, 0xD9, 0xFE, 0xFF
_CUSTOM_COMPONENTS = 3
#: Markers, and other things, that a file may have: as libjxl limits markers.
_MOST = 16_384


class Unreadable(ValueError):
    """The box is cut, or none that libjxl writes."""


class _Reader:
    """Numbers of so many bits, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def bits(self, count: int) -> int:
        """Return the next number of so many bits, 28 at most; raises `Unreadable`."""
        first, skipped = divmod(self._place, 8)
        self._place += count
        if self._place > 8 * len(self._data):
            raise Unreadable
        part = int.from_bytes(self._data[first : first + 5], "little")
        return part >> skipped & ((1 << count) - 1)

    def number(self, choices: _Choices) -> int:
        """Return the next number that is written by choice."""
        count, least = choices[self.bits(2)]
        return self.bits(count) + least


def needs_later_reader(box: bytes) -> bool:
    """Say whether libjxl 0.7 does not give the JPEG back; raises `Unreadable`."""
    reader = _Reader(box)
    reader.bits(1)  # grey
    markers = _markers(reader)
    if _DRI not in markers:
        return False
    for _ in range(sum(marker & 0xF0 == 0xE0 for marker in markers)):
        reader.number(_APP_TYPE)
        reader.bits(16)
    for _ in range(markers.count(_COM)):
        reader.bits(16)
    for _ in range(reader.number(_ONE_TO_FOUR)):  # quantization
        reader.bits(4)
    _skip_components(reader)
    for _ in range(reader.number(_TABLES)):
        _skip_codes(reader)
    _skip_scans(reader, markers.count(_SOS))
    for _ in range(markers.count(_BETWEEN)):
        reader.bits(16)
    reader.number(_TAIL)
    return bool(reader.bits(1))


def _markers(reader: _Reader) -> list[int]:
    markers: list[int] = []
    while _EOI not in markers[-1:]:
        markers.append(reader.bits(6) + 0xC0)
        if len(markers) > _MOST:
            raise Unreadable
    return markers


def _skip_components(reader: _Reader) -> None:
    kind = reader.bits(2)
    count = 1 if kind == 0 else 3
    if kind == _CUSTOM_COMPONENTS:
        count = reader.number(_ONE_TO_FOUR)
        for _ in range(count):
            reader.bits(8)
    for _ in range(count):
        reader.bits(2)


def _skip_codes(reader: _Reader) -> None:
    reader.bits(4)
    for _ in range(sum(reader.number(_CODES) for _ in range(17))):
        reader.number(_SYMBOL)


def _skip_scans(reader: _Reader, scans: int) -> None:
    for _ in range(scans):
        components = reader.number(_ONE_TO_FOUR)
        reader.bits(20)
        for _ in range(components):
            reader.bits(6)
        reader.number(_PASS)
    reader.bits(16)  # the restart interval
    for _ in range(scans):
        for _ in range(reader.number(_POINTS)):
            reader.number(_BLOCK)
        for _ in range(reader.number(_POINTS)):
            reader.number(_RUNS)
            reader.number(_BLOCK)
