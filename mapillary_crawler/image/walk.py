"""The walk of native/ in Python, for pictures that TurboJPEG does not take where that is absent.

Pure: it says of the same bodies that they are whole (native/jpeg_entropy/walk.h has the reasons),
and takes some hundred times as long, with the GIL. So it is run as a program of its own, which can
be killed: the body on standard input, exit code 0 for whole, `NOT_SHOWN` for what it cannot call
so.
Sections named are those of ITU-T T.81.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

#: Exit code of the program where the body is not shown whole.
NOT_SHOWN = 3

_BLOCK, _TABLES, _COMPONENTS, _MCU_BLOCKS, _LONGEST_SIDE = 64, 4, 4, 10, 65_500
_LONGEST_CODE = 16
#: What a table has for a symbol that ends a block: more than any index.
_END_OF_BLOCK = 1 << 8
#: Zeros behind the codes: more than an MCU can read.
_PADDING = bytes(8192)
_SOFS = {0xC0: False, 0xC1: False, 0xC2: True}
_DHT, _RST0, _EOI, _SOS, _DQT, _DRI, _COM = 0xC4, 0xD0, 0xD9, 0xDA, 0xDB, 0xDD, 0xFE
_MARKER = re.compile(rb"\xff[^\x00]", re.DOTALL)


class NotShown(Exception):
    """The body makes no sense, or more than is known here."""


@dataclass
class _Component:
    identifier: int
    across: int
    down: int
    quantization: int
    blocks: int = 0
    dc: int = 0
    ac: int = 0
    #: Of a progressive picture: which coefficients are not zero, a bit each, for each block.
    nonzero: list[int] = field(default_factory=list)
    #: That a scan has brought, by coefficient; -1: none has.
    lowest_bit: list[int] = field(default_factory=lambda: [-1] * _BLOCK)


@dataclass
class _Scan:
    components: list[_Component]
    first: int
    last: int
    high: int
    low: int
    mcus: int = 0

    def blocks_of_mcu(self, component: _Component) -> int:
        return 1 if len(self.components) == 1 else component.across * component.down


class _Codes:
    """The codes between two markers, without the zeros that are stuffed in (B.1.1.5)."""

    def __init__(self, stuffed: bytes) -> None:
        data = stuffed.replace(b"\xff\0", b"\xff")
        self.bits = 8 * len(data)
        self.data = data + _PADDING
        #: The bit that is next.
        self.at = 0

    def look(self, at: int) -> int:
        """Return 16 bits."""
        data, byte = self.data, at >> 3
        return (data[byte] << 16 | data[byte + 1] << 8 | data[byte + 2]) >> 8 - (at & 7) & 0xFFFF


#: By the next 16 bits: the symbol, and its code's length above it; 0: no code.
_Table = list[int]


def is_whole(body: bytes) -> bool:
    """Say that libjpeg would decode a JPEG without a warning; False: that cannot be said."""
    try:
        _Walk(body).run()
    except NotShown:
        return False
    return True


class _Walk:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 2
        self._progressive = False
        self._components: list[_Component] = []
        self._scans = 0
        self._mcus = 0
        self._interval = 0
        self._quantization: set[int] = set()
        self._dc: dict[int, _Table] = {}
        self._ac: dict[int, _Table] = {}

    def run(self) -> None:
        """Go from marker to marker; raises `NotShown`."""
        _need(self._body.startswith(b"\xff\xd8"))
        while True:
            at, body = self._at, self._body
            _need(len(body) >= at + 2 and body[at] == 0xFF)
            if body[at + 1] == _EOI:
                break
            size = int.from_bytes(body[at + 2 : at + 4], "big")
            _need(len(body) >= at + 4 and size >= 2 and len(body) >= at + 2 + size)
            self._at = at + 2 + size
            self._segment(body[at + 1], body[at + 4 : at + 2 + size])
        _need(self._components)
        _need(not any(any(component.lowest_bit) for component in self._components))

    def _segment(self, marker: int, payload: bytes) -> None:
        if marker in _SOFS:
            self._frame(payload, progressive=_SOFS[marker])
        elif marker == _DHT:
            self._huffman_tables(payload)
        elif marker == _DQT:
            self._quantization_tables(payload)
        elif marker == _DRI:
            _need(len(payload) == 2)
            self._interval = int.from_bytes(payload, "big")
        elif marker == _SOS:
            self._scan(payload)
        else:
            _need(marker == _COM or (0xE0 <= marker <= 0xEF and not self._scans))

    def _frame(self, payload: bytes, *, progressive: bool) -> None:
        """B.2.2."""
        _need(not self._components and len(payload) >= 6 and payload[0] == 8)
        height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
        _need(0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE)
        _need(1 <= payload[5] <= _COMPONENTS and len(payload) == 6 + 3 * payload[5])
        self._progressive = progressive
        for at in range(6, len(payload), 3):
            identifier, sampling, quantization = payload[at : at + 3]
            self._components.append(
                _Component(identifier, sampling >> 4, sampling & 15, quantization)
            )
        across = max(component.across for component in self._components)
        down = max(component.down for component in self._components)
        for component in self._components:
            _need(component.quantization < _TABLES)
            _need(0 < component.across <= 4 and 0 < component.down <= 4)
            _need(not (across % component.across or down % component.down))
            component.blocks = _divided(width * component.across, 8 * across) * _divided(
                height * component.down, 8 * down
            )
            if progressive:
                component.nonzero = [0] * component.blocks
        self._mcus = _divided(width, 8 * across) * _divided(height, 8 * down)

    # Tables

    def _huffman_tables(self, payload: bytes) -> None:
        """B.2.4.2."""
        while len(payload) > _LONGEST_CODE:
            kind, place = payload[0] >> 4, payload[0] & 15
            counts = payload[1 : 1 + _LONGEST_CODE]
            used = 1 + _LONGEST_CODE + sum(counts)
            _need(kind <= 1 and place < _TABLES and sum(counts) <= 256 and used <= len(payload))
            symbols = payload[1 + _LONGEST_CODE : used]
            _need(kind or all(symbol <= 15 for symbol in symbols))
            (self._ac if kind else self._dc)[place] = _table(counts, symbols)
            payload = payload[used:]
        _need(not payload)

    def _quantization_tables(self, payload: bytes) -> None:
        """B.2.4.1."""
        while payload:
            used = 1 + _BLOCK * ((payload[0] >> 4) + 1)
            _need(payload[0] >> 4 <= 1 and payload[0] & 15 < _TABLES and used <= len(payload))
            self._quantization.add(payload[0] & 15)
            payload = payload[used:]

    # Scans

    def _scan(self, payload: bytes) -> None:
        """B.2.3; components come in the order of the frame."""
        count = payload[0] if payload else 0
        _need(1 <= count <= len(self._components) and len(payload) == 4 + 2 * count)
        first, last, bits = payload[-3:]
        scan = _Scan([], first, last, bits >> 4, bits & 15)
        self._check_band(scan, count)
        place = 0
        for at in range(1, 1 + 2 * count, 2):
            while place < len(self._components) and (
                self._components[place].identifier != payload[at]
            ):
                place += 1
            _need(place < len(self._components))
            component = self._components[place]
            component.dc, component.ac = payload[at + 1] >> 4, payload[at + 1] & 15
            self._check_component(scan, component)
            scan.components.append(component)
            place += 1
        if count == 1:
            scan.mcus = scan.components[0].blocks
        else:
            _need(sum(map(scan.blocks_of_mcu, scan.components)) <= _MCU_BLOCKS)
            scan.mcus = self._mcus
        self._scans += 1
        self._walk_scan(scan)

    def _check_band(self, scan: _Scan, count: int) -> None:
        """See which coefficients a scan may have, and how exact (G.1.1.1)."""
        if not self._progressive:
            _need((scan.first, scan.last, scan.high, scan.low) == (0, _BLOCK - 1, 0, 0))
            return
        _need(scan.low == scan.high - 1 if scan.high else scan.low <= 13)
        if scan.first:
            _need(count == 1 and scan.first <= scan.last < _BLOCK)
        else:
            _need(scan.last == 0)

    def _check_component(self, scan: _Scan, component: _Component) -> None:
        """See that its bits are due and its tables there."""
        _need(not scan.first or component.lowest_bit[0] >= 0)
        for index in range(scan.first, scan.last + 1):
            _need(component.lowest_bit[index] == (scan.high or -1))
            component.lowest_bit[index] = scan.low
        _need(component.dc < _TABLES and component.ac < _TABLES)
        _need(component.quantization in self._quantization)
        _need(scan.first or scan.high or component.dc in self._dc)
        _need(not scan.last or component.ac in self._ac)

    def _walk_scan(self, scan: _Scan) -> None:
        """Walk the MCUs of a scan, from restart marker to restart marker (E.2.4)."""
        done, restart = 0, 0
        while True:
            mcus = min(self._interval or scan.mcus, scan.mcus - done)
            marker = _MARKER.search(self._body, self._at)
            _need(marker)
            assert marker is not None
            codes = _Codes(self._body[self._at : marker.start()])
            self._at = marker.start()
            self._walk_mcus(scan, codes, done, mcus)
            _need(0 <= codes.bits - codes.at <= 7)
            done += mcus
            if done == scan.mcus:
                return
            _need(self._body[self._at + 1] == _RST0 + restart)
            self._at += 2
            restart = (restart + 1) % 8

    def _walk_mcus(self, scan: _Scan, codes: _Codes, start: int, mcus: int) -> None:
        if not self._progressive:
            self._sequential(scan, codes, mcus)
        elif scan.first == 0 and scan.high:  # one bit a block: none need be looked at
            codes.at += sum(map(scan.blocks_of_mcu, scan.components)) * mcus
        elif scan.first == 0:
            self._dc_first(scan, codes, mcus)
        elif scan.high:
            self._ac_refine(scan, codes, range(start, start + mcus))
        else:
            self._ac_first(scan, codes, start, start + mcus)

    def _tables_of_mcu(self, scan: _Scan) -> list[tuple[_Table, _Table]]:
        """Return the tables of each block of an MCU; of a DC scan the second is empty."""
        return [
            (self._dc[component.dc], self._ac[component.ac] if scan.last else [])
            for component in scan.components
            for _ in range(scan.blocks_of_mcu(component))
        ]

    def _sequential(self, scan: _Scan, codes: _Codes, mcus: int) -> None:
        """F.2."""
        tables, look, at = self._tables_of_mcu(scan), codes.look, 0
        for _ in range(mcus):
            for dc, ac in tables:
                code = dc[look(at)]
                _need(code)
                at += (code >> 8) + (code & 255)
                index = 1
                while index < _BLOCK:
                    code = ac[look(at)]
                    _need(code)
                    size = code & 15
                    at += (code >> 8) + size
                    index += (code >> 4 & 15) + 1 if size or code & 255 == 0xF0 else _END_OF_BLOCK
                _need(index == _BLOCK or index >= _END_OF_BLOCK)
            _need(at <= codes.bits)
        codes.at = at

    def _dc_first(self, scan: _Scan, codes: _Codes, mcus: int) -> None:
        """G.1.2.1; libjpeg has 31 bits for what the differences may add up to."""
        tables, look, at, most = self._tables_of_mcu(scan), codes.look, 0, 0
        for _ in range(mcus):
            for dc, _none in tables:
                code = dc[look(at)]
                _need(code)
                at += (code >> 8) + (code & 255)
                most += 1 << (code & 255)
            _need(at <= codes.bits and most < 1 << 31)
        codes.at = at

    def _ac_first(self, scan: _Scan, codes: _Codes, block: int, end: int) -> None:
        """G.1.2.2."""
        (component,) = scan.components
        table, look, at = self._ac[component.ac], codes.look, 0
        while block < end:
            index, without = scan.first, 0
            while index <= scan.last:
                code = table[look(at)]
                _need(code)
                at += code >> 8
                run, size = code >> 4 & 15, code & 15
                if not size and run < 15:
                    without = (1 << run) - 1 + (look(at) >> 16 - run)
                    at += run
                    break
                index += run
                if size:
                    at += size
                    # More would leave the 16 bits that libjpeg has.
                    _need(index <= scan.last and size <= 15 - scan.low)
                    component.nonzero[block] |= 1 << index
                index += 1
            _need(at <= codes.bits and block + without < end)
            block += 1 + without
        codes.at = at

    def _ac_refine(self, scan: _Scan, codes: _Codes, blocks: range) -> None:
        """G.1.2.3: coefficients that were not zero have a bit each, on the way to the next."""
        (component,) = scan.components
        band = (2 << scan.last) - (1 << scan.first)
        nonzero, without = component.nonzero, 0
        for block in blocks:
            before = nonzero[block] & band
            if without:
                without -= 1
                codes.at += before.bit_count()
            else:
                without, found = self._refined(scan, codes, band, before)
                nonzero[block] |= found
            _need(codes.at <= codes.bits)
        _need(not without)

    def _refined(self, scan: _Scan, codes: _Codes, band: int, before: int) -> tuple[int, int]:
        """Return how many blocks follow without news, and what of this one became nonzero."""
        table = self._ac[scan.components[0].ac]
        zeros, index, found, without = ~before & band, scan.first, 0, 0
        while index <= scan.last:
            code = table[codes.look(codes.at)]
            _need(code)
            codes.at += code >> 8
            run, size = code >> 4 & 15, code & 15
            _need(size <= 1)
            if not size and run < 15:
                without = (1 << run) - 1 + (codes.look(codes.at) >> 16 - run)
                codes.at += run
                zeros = 0
            else:
                for _ in range(run):
                    zeros &= zeros - 1
                _need(zeros or not size)
            if not zeros:  # the rest of the band brings no new coefficient
                codes.at += (before >> index).bit_count()
                break
            to = (zeros & -zeros).bit_length() - 1
            codes.at += size + to - index - run
            zeros &= zeros - 1
            found |= size << to
            index = to + 1
        return without, found


def _table(counts: bytes, symbols: bytes) -> _Table:
    """Return a table; raises where codes do not fit, or one is all ones (C.2, B.2.4.2)."""
    table: _Table = []
    following = iter(symbols)
    for length, count in enumerate(counts, 1):
        each = 1 << _LONGEST_CODE - length
        code = len(table) // each
        _need(not count or code + count < 1 << length)
        for _ in range(count):
            table += [length << 8 | next(following)] * each
    return table + [0] * ((1 << _LONGEST_CODE) - len(table))


def _divided(number: int, by: int) -> int:
    return -(-number // by)


def _need(sense: object) -> None:
    if not sense:
        raise NotShown


if __name__ == "__main__":
    sys.exit(0 if is_whole(sys.stdin.buffer.read()) else NOT_SHOWN)
