"""Fuzzes the walk and the judge: `python -m tests.native.fuzz TRIES [SEED]`, or `make fuzz`.

Bodies are real files, if there are any, and made ones, changed where their structure suggests it
(mutate.c). The walk is built with sanitizers; the judge, with the walk and without, is asked too.
No body may be called whole that libjpeg, with its warnings as errors, does not (oracle.c), and
with the walk or without it the verdict is the same.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path

from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.image import inspection, walk
from mapillary_crawler.image.inspection import State, judge
from tests import shared_data
from tests.crawling import PROJECT
from tests.native.pictures import HOSTILE, KINDS, picture
from tests.native.streams import Maker

HERE = Path(__file__).parent
WALK = PROJECT / "native" / "jpeg_entropy"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover")
#: Pixels of bodies that are tried, those of oracle.c: larger ones take long and show nothing new.
MOST_PIXELS = 300_000
#: Parts of the tries, for the processors to share.
_PARTS = 50
#: Of so many bodies one is judged without the walk, too, which takes ten times as long.
SLOWLY = 5
#: Bytes of the largest file that is changed.
LARGEST = 100_000


class CannotBuild(Exception):
    """No compiler, no sanitizers, or no headers of libjpeg."""


def build(target: Path, *options: str, libjpeg: bool = True) -> Path:
    """Build the driver with the walk, or, with `-shared`, mutations and oracle alone."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise CannotBuild("no C compiler")
    shared = "-shared" in options
    sources = [HERE / "mutate.c"]
    sources += [HERE / "oracle.c"] if libjpeg else []
    sources += [] if shared else [HERE / "mutations.c", *sorted(WALK.glob("*.c"))]
    command = [compiler, "-std=gnu11", "-O2", "-g", f"-I{WALK}", *options, "-o", target, *sources]
    if libjpeg:
        command += ["-DLIBJPEG", "-ljpeg"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if "san" in made.stderr and "cannot find" in made.stderr:
        raise CannotBuild("the compiler has no sanitizers")
    if "jpeglib.h" in made.stderr or "-ljpeg" in made.stderr:
        raise CannotBuild("no headers of libjpeg")
    if made.returncode:
        raise AssertionError(made.stderr)
    return target


def corpus() -> list[bytes]:
    """Return what is changed: of every kind, small."""
    maker = Maker(7)
    inks = [picture((40, 30), "CMYK", progressive=progressive) for progressive in (False, True)]
    files = [*KINDS, *HOSTILE.values(), *inks, *(maker.jpeg() for _ in range(60))]
    real = sorted(shared_data.FOLDER.glob("*/*.jpg"))
    files += [path.read_bytes() for path in real]
    return [body for body in files if len(body) <= LARGEST]


class Changes:
    """mutate.c and oracle.c as a library."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.mutate.restype = ctypes.c_size_t
        self._room = 2 * LARGEST
        self._body = ctypes.create_string_buffer(self._room + 1)

    def mutate(self, body: bytes, other: bytes, seed: int) -> bytes:
        """Return a changed body; the same seed makes the same."""
        ctypes.memmove(self._body, body, len(body))
        size = self._library.mutate(
            self._body, ctypes.c_size_t(len(body)), ctypes.c_size_t(self._room),
            other, ctypes.c_size_t(len(other)), ctypes.c_uint64(seed),
        )  # fmt: skip
        return ctypes.string_at(self._body, size)

    def is_whole(self, body: bytes) -> bool:
        """Say whether libjpeg calls it so."""
        return bool(self._library.libjpeg_calls_whole(body, ctypes.c_size_t(len(body))) == 1)


def try_judge(library: Path, bodies: Sequence[bytes], seed: int, tries: int) -> Counter[str]:
    """Compare verdicts on changed bodies; returns how often each was given.

    Raises `AssertionError` naming the seed of a body that is judged wrongly.
    """
    inspection._walk_apart = walk.is_whole  # no process for each of many small pictures
    changes, found = Changes(library), Counter[str]()
    for number in range(seed, seed + tries):
        chosen = number % len(bodies)
        body = changes.mutate(bodies[chosen], bodies[(number * 7 + 3) % len(bodies)], number)
        verdict = judge(body, MOST_PIXELS)
        if number % SLOWLY == 0:
            slowly = judge(body, MOST_PIXELS, walk=False)
            assert verdict.state == slowly.state, f"{chosen}, seed {number}: {verdict}; {slowly}"
        assert verdict.state is not State.NOT_JUDGED, f"{chosen}, seed {number}: {verdict.reason}"
        says_whole = changes.is_whole(body)
        if verdict.state is State.WHOLE:
            assert says_whole, f"{chosen}, seed {number}: called whole, and libjpeg does not"
        found[verdict.state] += 1
        found["not called whole, though libjpeg does"] += says_whole and verdict.is_damaged
    return found


def main() -> None:
    tries = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    processors, bodies = usable_processors(), corpus()
    with tempfile.TemporaryDirectory() as folder:
        driver = build(Path(folder, "mutations"), *SANITIZERS)
        library = build(Path(folder, "changes.so"), "-shared", "-fPIC")
        files = []
        for number, body in enumerate(bodies):
            files.append(Path(folder, f"{number}.jpg"))
            files[-1].write_bytes(body)
        copies = -(-tries // (len(files) * processors))
        _say(f"The walk, with sanitizers: {copies * len(files) * processors:,} tries")
        walks = [
            subprocess.Popen([driver, str(copies), str(seed * processors + part), *files])
            for part in range(processors)
        ]
        if sum(walked.wait() != 0 for walked in walks):
            sys.exit("the walk failed")
        share = -(-tries // _PARTS)
        _say(f"The judge, with the walk and without: {share * _PARTS:,} tries")
        found = Counter[str]()
        with ProcessPoolExecutor(processors) as pool:
            seeds = [(seed << 32) + part * share for part in range(_PARTS)]
            compare = partial(try_judge, library, bodies)
            for each in pool.map(compare, seeds, repeat(share)):
                found += each
    for state, count in found.most_common():
        _say(f"{count:>12,} {state}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(PROJECT)
    main()
