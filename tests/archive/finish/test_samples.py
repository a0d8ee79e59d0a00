"""The small picture of each day that the ledger keeps."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from mapillary_crawler.archive.finish.pictures import reduced
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, State
from tests.archive.finish.made import ANN, DAY, NOON, Picture, add, finish, jpeg

NAME = ANN.name


def samples(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return number and JPEG of each day's sample."""
    ledger = Ledger(folder / LEDGER_PATH)
    try:
        rows = ledger.database.execute("SELECT day, number, jpeg FROM samples")
        return {day: (number, body) for day, number, body in rows}
    finally:
        ledger.close()


def finished(
    folder: Path, some: Sequence[Picture], *, tar: bool = True, max_bytes: int = 10**6
) -> Path:
    add(folder / "staging" / NAME, some)
    finish(folder / "staging" / NAME, folder / "store", tar=tar, tar_max_bytes=max_bytes)
    return folder / "store" / NAME


def noise(side: int) -> bytes:
    body = random.Random(1).randbytes(side * side * 3)
    packed = io.BytesIO()
    Image.frombytes("RGB", (side, side), body).save(packed, "PNG")
    return packed.getvalue()


@pytest.mark.parametrize("body", [jpeg(3000, 1500), jpeg(orientation=6), noise(400), jpeg(40, 30)])
def test_it_is_small_whatever_it_is_of(body: bytes) -> None:
    sample = reduced(body)
    assert sample is not None
    assert len(sample) <= 8192
    with Image.open(io.BytesIO(sample)) as image, Image.open(io.BytesIO(body)) as original:
        assert image.format == "JPEG"
        assert max(image.size) == min(160, max(original.size))


def test_what_is_no_picture_has_none() -> None:
    assert reduced(b"no picture") is None


@pytest.mark.parametrize("tar", [True, False])
def test_each_day_has_the_first_that_is_whole(tmp_path: Path, tar: bool) -> None:
    some = [
        Picture("9", NOON + 5, body=jpeg(colour="red")),
        Picture("1", NOON + 9, body=jpeg(colour="green")),
        Picture("5", NOON + 1, body=b"no picture"),
        Picture("6", NOON + 2, body=jpeg(), state=State.DAMAGED),
        Picture("7", NOON + DAY, body=jpeg()),
        Picture("8", NOON + 2 * DAY, body=b"no picture"),
    ]
    found = samples(finished(tmp_path, some, tar=tar))
    assert {day: number for day, (number, _) in found.items()} == {
        "2024-01-15": 1,
        "2024-01-16": 5,
    }
    assert found["2024-01-15"][1] == reduced(jpeg(colour="red"))


def test_it_is_of_the_first_part_which_may_be_removed_before_the_last_is_made(
    tmp_path: Path,
) -> None:
    some = [Picture(str(n), NOON + 20 - n, body=jpeg() + bytes(6000)) for n in range(10, 20)]
    folder = finished(tmp_path, some, max_bytes=40_960)
    with tarfile.open(folder / "2024-01-15.tar") as tar:
        members = tar.getnames()
    assert 1 < len(members) < len(some)  # of which the last was taken first
    assert samples(folder)["2024-01-15"][0] == len(members)


def test_the_thumbnail_is_a_sample_where_no_tar_is_here(tmp_path: Path) -> None:
    folder = tmp_path / "staging" / NAME
    some = [Picture("1", body=jpeg())]
    add(folder, some)
    finish(folder, tmp_path / "once")
    whole = (tmp_path / "once" / NAME / "__ia_thumb.jpg").read_bytes()

    (tmp_path / "once" / NAME).rename(folder)
    (folder / "2024-01-15.tar").unlink()
    ledger = Ledger(folder / LEDGER_PATH)
    ledger.pieces.set_state("2024-01-15.tar", PieceState.REMOVED, NAME)
    ledger.close()
    finish(folder, tmp_path / "again")
    thumbnail = (tmp_path / "again" / NAME / "__ia_thumb.jpg").read_bytes()
    assert thumbnail != whole
    assert thumbnail == samples(tmp_path / "again" / NAME)["2024-01-15"][1]
