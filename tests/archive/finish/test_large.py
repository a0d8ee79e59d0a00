"""Ten thousand images over three hundred days: flat memory, and room for one part more."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.finish import seal
from tests.archive.finish.made import ANN, DAY, NOON, Picture, add, deterministic_set, finish

pytestmark = pytest.mark.long

NAME = ANN.name
IMAGES, DAYS = 10_000, 300
PART = 60_000

FINISH = """
import resource, sys
from pathlib import Path
from typing import Any
from tests.archive.finish.made import finish
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
finish(Path(sys.argv[1]), Path(sys.argv[2]), tar=sys.argv[3] == "1", tar_max_bytes=60_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def many(images: int, days: int) -> Iterable[Picture]:
    """Return images in an order that is not that of their capture times."""
    for number in range(images):
        day = number * 7 % days
        yield Picture(
            str(10**14 + number * 7919),
            NOON + day * DAY + number,
            f"sequence-{number % 3}",
            body=number.to_bytes(4, "big") * 800,
        )


def grown(folder: Path, store: Path, *, tar: bool) -> int:
    """Return by how many KiB a process grows that finishes a collection."""
    command = [sys.executable, "-c", FINISH, folder, store, str(int(tar))]
    return int(subprocess.check_output(command, text=True))


@pytest.mark.slow
@pytest.mark.parametrize("tar", [True, False])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, tar):
    add(tmp_path / "few" / NAME, list(many(IMAGES // 10, DAYS // 10)))
    add(tmp_path / "many" / NAME, list(many(IMAGES, DAYS)))
    few = grown(tmp_path / "few" / NAME, tmp_path / "store-of-few", tar=tar)
    many_ = grown(tmp_path / "many" / NAME, tmp_path / "store", tar=tar)
    assert many_ < few + 3 * 1024  # a byte for every byte of the images would be 32 MB
    assert (tmp_path / "store" / NAME / "SHA256SUMS").exists()


def occupied(folder: Path) -> int:
    """Return the bytes of all files, the ledger's aside."""
    return sum(
        path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("ledger.sqlite")
    )


@pytest.mark.slow
def test_it_needs_room_for_the_largest_part_and_the_manifests(tmp_path, monkeypatch):
    folder, store = tmp_path / "staging" / NAME, tmp_path / "store"
    add(folder, list(many(IMAGES // 10, DAYS // 10)))
    before, highest = occupied(folder), 0
    read_back = seal.read_back

    def watched(*given: Any) -> None:
        nonlocal highest
        highest = max(highest, occupied(folder))  # the tar is whole, the files are still there
        read_back(*given)

    monkeypatch.setattr(seal, "read_back", watched)
    finish(folder, store, tar_max_bytes=PART)
    made = deterministic_set(store / NAME)
    largest = max(len(body) for path, body in made.items() if path.endswith(".tar"))
    others = sum(len(body) for path, body in made.items() if not path.endswith(".tar"))
    assert sum(path.endswith(".tar") for path in made) >= 2 * (DAYS // 10)
    headers = sum(len(body) for body in made.values()) - others - before
    assert before + largest <= highest <= before + headers + largest + others
    assert largest < PART
