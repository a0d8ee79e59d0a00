"""How fast a day becomes a tar, step by step, beside GNU tar: `python -m bench.sealing`.

Each step is timed alone, so that the share of the disk can be told from ours.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.finish import seal
from mapillary_crawler.archive.finish.parts import Placed, parts
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.durable import CHUNK, WholeFile
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import StoredFile
from mapillary_crawler.ledger.thread import LedgerHere

_DAY = "2024-01-15"
_CAPTURED_AT = 1_705_320_000_000


def make_day(folder: Path, images: int, size: int) -> Ledger:
    """Return the ledger of a collection with one day of images of about `size` bytes."""
    generator = random.Random(1)
    (folder / LEDGER_PATH).parent.mkdir(parents=True)
    ledger = Ledger(folder / LEDGER_PATH)
    rows = [
        listed_row(
            {"id": str(10**15 + n), "captured_at": _CAPTURED_AT + n, "sequence": f"s{n // 500}"},
            Collection("bench"),
        )
        for n in range(images)
    ]
    ledger.listing.commit(None, None, [row for row in rows if row])
    stored = []
    for number, row in enumerate(rows, 1):
        assert row
        body = generator.randbytes(generator.randrange(size // 2, size * 3 // 2))
        path = folder / _DAY / row.sequence / f"{row.image_id}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        digest = hashlib.sha256(body).digest()
        stored.append(StoredFile(number, "jpg", digest, digest, len(body)))
    ledger.images.save(stored)
    ledger.listing.close()
    return ledger


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(folder: Path, images: int, size: int, rounds: int) -> None:
    """Print the best of some rounds of each step."""
    ledger = make_day(folder, images, size)
    work = Work(LedgerHere(ledger), folder, lambda: False, lambda _: None)
    work.scratch.mkdir()
    (part,) = parts(streams.loose(work.ledger, _DAY), 2**62)
    best: dict[str, float] = {}
    for _ in range(rounds):
        for step, seconds in steps(work, part):
            best[step] = min(seconds, best.get(step, seconds))
    best["the whole day, recorded"] = timed(lambda: seal.seal_day(work, _DAY, 2**62))
    ledger.close()
    megabytes = sum(record.size or 0 for record, _ in part) / 1e6
    print(f"{images} images, {megabytes:.0f} MB, best of {rounds}")
    for step, seconds in best.items():
        print(f"{step:25} {seconds:7.3f} s {megabytes / seconds:8.0f} MB/s")
    print(f"writing alone: {best['GNU tar, written'] / best['written']:.2f} of GNU tar's speed")


def steps(work: Work, part: list[Placed]) -> Iterator[tuple[str, float]]:
    """Yield each step of sealing a part and the seconds that it took."""
    target = work.scratch / "target"

    def gnu_tar() -> None:
        command: list[str | Path] = [
            "tar",
            "--sort=name",
            "--format=posix",
            "-cf",
            target,
            "-C",
            work.folder,
            _DAY,
        ]
        subprocess.run(command, check=True)

    def write() -> None:
        with target.open("wb", buffering=CHUNK) as tar:
            tar.writelines(seal.contents(work, part))

    def digest() -> None:
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for data in seal.contents(work, part):
            sha256.update(data)
            md5.update(data)

    for step, do_it in (("GNU tar, written", gnu_tar), ("written", write)):
        target.unlink(missing_ok=True)
        yield step, timed(do_it)
    target.unlink()
    yield "read and hashed", timed(digest)
    with WholeFile(work.folder / "bench.tar", work.scratch) as file:
        file.kept = False
        yield "written and hashed", timed(lambda: [*map(file.write, seal.contents(work, part))])
        yield "flushed", timed(file.flush)
        yield "read back", timed(lambda: seal.read_back(work, file, part))


def main() -> None:
    """Measure with the size and number that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--bytes", type=int, default=120_000, help="of an image, on average")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's own")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        measure(Path(folder), given.images, given.bytes, given.rounds)


if __name__ == "__main__":
    main()
