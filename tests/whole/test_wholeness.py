"""What is whole, damaged, cut or refused, by the real commands, of ../shared/data/faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests import shared_data
from tests.crawling import Crawling, images, manifest

FAULTS = shared_data.FOLDER / "faults"
WHOLE = [
    "jfif2-whole", "progressive-whole", "sampling-1x4-whole", "sampling-2x2-2x1-1x1-whole",
    "sampling-3x1-whole",
]  # fmt: skip
DAMAGED = [
    "jfif2-hole", "jfif2-zero-tail", "progressive-cut-between-scans", "sampling-1x4-zero-tail",
    "sampling-2x2-2x1-1x1-zero-tail", "sampling-3x1-zero-tail", "scan-bomb",
]  # fmt: skip
#: Each file is some image's among so many.
IMAGES = 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FAULTS.is_dir(), reason="no faults in ../shared/data"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    photos = tmp_path_factory.mktemp("photos")
    for name in (*WHOLE, *DAMAGED):
        shutil.copy(FAULTS / f"{name}.jpg", photos)
    users = [{"username": "fay", "images": IMAGES, "days": 2.0, "panoramas": 0.0}]
    with Sandbox.running(users, seed=1, photos=photos) as running:
        yield running


@pytest.mark.parametrize("walk", [1, pytest.param(0, marks=pytest.mark.long)])
def test_each_is_judged_rightly(sandbox: Sandbox, tmp_path: Path, walk: int) -> None:
    served = {
        image.image_id: image.photograph.file.stem
        for image in sandbox.catalogue.user("fay").images()
        if image.photograph.file is not None
    }
    assert set(served.values()) == {*WHOLE, *DAMAGED}
    damaged = {image_id for image_id, name in served.items() if name in DAMAGED}

    sandbox.reset()
    crawling = Crawling(tmp_path / "store", sandbox)
    options = ("-s", f"JPEG_WALK={walk}", "-s", "IMAGE_ATTEMPTS=2")
    first = crawling.run(*options, username="fay", quality="original", tar=0, timeout=300)
    assert first.code == 3, first.output
    assert first.balance["failed"] == len(damaged)
    second = crawling.run(*options, username="fay", quality="original", tar=0, timeout=300)
    assert second.code == 0, second.output
    folder = crawling.store / "mapillary-fay-original"
    assert {row["id"] for row in manifest(folder / "damaged.jsonl")} == damaged
    for path, body in images(folder).items():
        assert (b"Exif\0" in body) == (Path(path).stem not in damaged)
    verified = crawling.scrapy("verify", "mapillary-fay-original", *options)
    assert verified.code == 0, verified.output
