"""Valid JPEGs of our own making: any tables, bands, orders and restarts that T.81 allows.

Encoders use few of them; a hostile body may use all. The pictures are noise.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
DHT, SOS, DQT, DRI = 0xC4, 0xDA, 0xDB, 0xDD
LONGEST_CODE = 16
NO_MORE, SIXTEEN_ZEROS = 0x00, 0xF0


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def stuffed(bits: str) -> bytes:
    """Return bits as bytes, filled with ones, with a zero behind each FF."""
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


@dataclass(frozen=True)
class Table:
    """A Huffman table: codes by symbol, and its segment's payload but for class and place."""

    codes: dict[int, str]
    payload: bytes


def table(random: Random, symbols: Sequence[int]) -> Table:
    """Return a table with codes of any lengths, of which none is all ones."""
    lengths = [random.randint(1, LONGEST_CODE) for _ in symbols]
    while sum(2.0**-length for length in lengths) > 1 - 2.0**-LONGEST_CODE:
        shortest = min(range(len(lengths)), key=lambda i: lengths[i] + random.random() * 4)
        lengths[shortest] = min(lengths[shortest] + 1, LONGEST_CODE)
    lengths.sort()
    code, codes = 0, {}
    for symbol, length, following in zip(symbols, lengths, [*lengths[1:], 0], strict=True):
        codes[symbol] = f"{code:0{length}b}"
        code = code + 1 << max(0, following - length)
    counts = bytes(lengths.count(length) for length in range(1, LONGEST_CODE + 1))
    return Table(codes, counts + bytes(symbols))


@dataclass(frozen=True)
class Component:
    number: int
    across: int
    down: int
    blocks: int  # of a scan of this component alone


def _valued(sizes: Iterable[int]) -> list[int]:
    """Return the symbols that a value of these sizes follows, and the run of sixteen zeros."""
    return [SIXTEEN_ZEROS, *(run << 4 | size for run in range(16) for size in sizes)]


class Maker:
    """Makes one JPEG after the other, all of them valid."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def jpeg(self, samplings: Sequence[int] = ()) -> bytes:
        """Return a JPEG of a few blocks: sequential or progressive, of any samplings or those."""
        progressive = self._random.random() < 0.6
        frame = self._random.choice([0xC2] if progressive else [0xC0, 0xC1])
        width, height = self._random.randint(1, 40), self._random.randint(1, 40)
        samplings = samplings or self._samplings()
        self._lay_out(width, height, samplings)
        header = struct.pack(">BHHB", 8, height, width, len(samplings))
        for number, sampling in enumerate(samplings, 1):
            header += bytes([number, sampling, 0])
        scans = self._progressive() if progressive else self._sequential()
        tables = segment(DQT, b"\0" + b"\1" * 64)
        return SOI + tables + segment(frame, header) + b"".join(scans) + EOI

    def _samplings(self) -> Sequence[int]:
        """Return those that encoders use, or any that are legal, for up to four components."""
        if self._random.random() < 0.5:
            luma = self._random.choice([0x11, 0x21, 0x22, 0x12, 0x41])
            return self._random.choice([[luma, 0x11, 0x11], [luma]])
        count = self._random.randint(1, 4)
        while True:
            factors = [[self._random.randint(1, 4) for _ in range(count)] for _ in range(2)]
            if all(max(each) % factor == 0 for each in factors for factor in each):
                return [across << 4 | down for across, down in zip(*factors, strict=True)]

    def _lay_out(self, width: int, height: int, samplings: Sequence[int]) -> None:
        across, down = max(each >> 4 for each in samplings), max(each & 15 for each in samplings)

        def blocks(wide: int, high: int) -> int:
            return -(-width * wide // (8 * across)) * -(-height * high // (8 * down))

        self._mcus = blocks(1, 1)
        self._components = [
            Component(number, each >> 4, each & 15, blocks(each >> 4, each & 15))
            for number, each in enumerate(samplings, 1)
        ]

    # Scans

    def _scan(
        self,
        components: Sequence[Component],
        band: tuple[int, int],
        bits: tuple[int, int],
        block: Callable[[Component, int], str],
    ) -> bytes:
        """Return a scan; `block` gives a component's next one, told how many the interval has."""
        alone = components[0] if len(components) == 1 else None
        mcus = alone.blocks if alone else self._mcus
        interval = self._random.choice([0, 0, 1, 2, 3, 7])
        head = bytes([len(components)])
        for place, each in enumerate(components):
            head += bytes([each.number, place * 0x11])
        head += bytes([*band, bits[0] << 4 | bits[1]])
        data = []
        for start in range(0, mcus, interval or mcus):
            end = min(start + (interval or mcus), mcus)
            units = [
                block(each, end - mcu)
                for mcu in range(start, end)
                for each in components
                for _ in range(1 if alone else each.across * each.down)
            ]
            data.append(stuffed("".join(units)))
        for number in range(1, len(data)):
            data[number] = bytes([0xFF, 0xD0 + (number - 1) % 8]) + data[number]
        restarts = segment(DRI, struct.pack(">H", interval))
        return restarts + segment(SOS, head) + b"".join(data)

    def _tables(self, count: int, kind: int, symbols: Callable[[], list[int]]) -> list[Table]:
        made = [table(self._random, symbols()) for _ in range(count)]
        self._defined = b"".join(
            segment(DHT, bytes([kind << 4 | place]) + each.payload)
            for place, each in enumerate(made)
        )
        return made

    def _some(self, symbols: Sequence[int], most: int, *always: int) -> list[int]:
        chosen = self._random.sample(symbols, self._random.randint(1, min(most, len(symbols))))
        chosen = list({*chosen, *always})
        self._random.shuffle(chosen)
        return chosen

    def _bits(self, count: int) -> str:
        return "".join(self._random.choices("01", k=count))

    def _groups(self) -> list[list[Component]]:
        """Return which components share a scan: in the order of the frame within each."""
        numbers = list(self._components)
        cut = self._random.choice([0, 0, 1, len(numbers) - 1])
        groups = [each for each in (numbers[:cut], numbers[cut:]) if each]
        if any(sum(each.across * each.down for each in group) > 10 for group in groups):
            groups = [[each] for each in numbers]
        self._random.shuffle(groups)
        return groups

    # Sequential

    def _sequential(self) -> Iterator[bytes]:
        for components in self._groups():
            dc = self._tables(len(components), 0, lambda: self._some(range(16), 16))
            defined = self._defined
            ac = self._tables(
                len(components), 1, lambda: self._some(_valued(range(1, 16)), 40, NO_MORE, 0x01)
            )
            places = {each.number: place for place, each in enumerate(components)}

            def block(of: Component, _: int, dc=dc, ac=ac, places=places) -> str:
                place = places[of.number]
                return self._dc(dc[place]) + self._ac(ac[place])

            yield defined + self._defined + self._scan(components, (0, 63), (0, 0), block)

    def _dc(self, dc: Table) -> str:
        size = self._random.choice(list(dc.codes))
        return dc.codes[size] + self._bits(size)

    def _ac(self, ac: Table) -> str:
        bits, index = "", 1
        while index < 64:
            symbol = self._random.choice(list(ac.codes))
            if symbol != NO_MORE and index + (symbol >> 4) > 63:
                symbol = 0x01
            bits += ac.codes[symbol] + self._bits(symbol & 15)
            if symbol == NO_MORE:
                break
            index += (symbol >> 4) + 1
        return bits

    # Progressive

    def _progressive(self) -> Iterator[bytes]:
        self._nonzero: dict[int, list[set[int]]] = {
            each.number: [set() for _ in range(each.blocks)] for each in self._components
        }
        groups, low = self._groups(), self._random.choice([0, 1, 2, 13])
        for group in groups:
            yield self._dc_scan(group, 0, low)
        queues: list[list[Callable[[], bytes]]] = [
            [
                lambda group=group, high=high: self._dc_scan(group, high, high - 1)
                for high in range(low, 0, -1)
                for group in groups
            ]
        ]
        queues += [self._ac_scans(each) for each in self._components]
        while queues := [each for each in queues if each]:
            yield self._random.choice(queues).pop(0)()

    def _dc_scan(self, group: list[Component], high: int, low: int) -> bytes:
        made = self._tables(len(group), 0, lambda: self._some(range(16), 16))
        places = {each.number: place for place, each in enumerate(group)}

        def block(of: Component, _: int) -> str:
            return self._bits(1) if high else self._dc(made[places[of.number]])

        return self._defined + self._scan(group, (0, 0), (high, low), block)

    def _ac_scans(self, component: Component) -> list[Callable[[], bytes]]:
        """Return the scans of a component's bands, from the first bits to the last."""
        low = self._random.randint(0, 3)
        return [
            lambda band=(start, end - 1), high=high, each=each: self._ac_scan(
                component, band, high, each
            )
            for high, each in [(0, low), *((bit, bit - 1) for bit in range(low, 0, -1))]
            for start, end in pairwise(
                sorted({1, 64, *self._random.sample(range(2, 64), self._random.randint(0, 3))})
            )
        ]

    def _ac_scan(self, component: Component, band: tuple[int, int], high: int, low: int) -> bytes:
        sizes = [1] if high else range(1, 16 - low)
        ends = self._some([run << 4 for run in range(15)], 4)
        (made,) = self._tables(1, 1, lambda: self._some(_valued(sizes), 30, NO_MORE, 0x01, *ends))
        blocks, without = iter(self._nonzero[component.number]), 0

        def block(_: Component, rest: int) -> str:
            nonlocal without
            nonzero = next(blocks)
            if without:
                without -= 1
                return self._bits(len([k for k in nonzero if band[0] <= k <= band[1]])) * bool(high)
            bits, without = (self._refined if high else self._first)(made, nonzero, band, rest)
            return bits

        return self._defined + self._scan([component], band, (high, low), block)

    def _end(self, made: Table, symbol: int, rest: int) -> tuple[str, int]:
        """Return the bits of an end of so many blocks, and how many follow this one."""
        run = symbol >> 4
        if 1 << run > rest:
            run = 0
        blocks = self._random.randint(1 << run, min((2 << run) - 1, rest))
        bits = f"{blocks - (1 << run):0{run}b}" if run else ""
        return made.codes[run << 4] + bits, blocks - 1

    def _first(
        self, made: Table, nonzero: set[int], band: tuple[int, int], rest: int
    ) -> tuple[str, int]:
        bits, index = "", band[0]
        while index <= band[1]:
            symbol = self._random.choice(list(made.codes))
            run, size = symbol >> 4, symbol & 15
            if not size and run < 15:
                ended, without = self._end(made, symbol, rest)
                return bits + ended, without
            if index + run > band[1]:
                symbol, run, size = 0x01, 0, 1
            bits += made.codes[symbol] + self._bits(size)
            index += run
            if size:
                nonzero.add(index)
            index += 1
        return bits, 0

    def _refined(
        self, made: Table, nonzero: set[int], band: tuple[int, int], rest: int
    ) -> tuple[str, int]:
        before = {each for each in nonzero if band[0] <= each <= band[1]}
        bits, index = "", band[0]
        while index <= band[1]:
            symbol = self._random.choice(list(made.codes))
            run, size = symbol >> 4, symbol & 15
            zeros = [each for each in range(index, band[1] + 1) if each not in before]
            if size and len(zeros) <= run:
                symbol, run, size = (0x01, 0, 1) if zeros else (NO_MORE, 0, 0)
            if not size and run < 15:
                ended, without = self._end(made, symbol, rest)
                corrected = len([each for each in before if each >= index])
                return bits + ended + self._bits(corrected), without
            to = zeros[run] if len(zeros) > run else band[1]
            corrected = len([each for each in before if index <= each <= to])
            bits += made.codes[symbol] + self._bits(size + corrected)
            if size:
                nonzero.add(to)
            index = to + 1
        return bits, 0
