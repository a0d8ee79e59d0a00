"""The golden collections: the real command makes of the same service what it always made.

Each collection is crawled anew from the sandbox, in another time zone and locale than when it was
recorded, and every file of the deterministic set is compared with its recorded sha256:

- The pictures that the sandbox serves are files beside this one, so the tars of JPEGs, the loose
  images, gone.jsonl and damaged.jsonl are compared byte for byte, whatever Pillow is installed.
- metadata.jsonl.gz and checksums.jsonl.gz are compared uncompressed, for zlib's versions differ;
  that they are this content at level 6, without time and name, is asserted with the zlib at hand.
- In `.meta` the versions of this program and of the encoder are replaced. Each line of SHA256SUMS
  is proven, then compared with the hash of what is compared of its file.
- WebP is always compared without what an encoder decides: names, modes, times and order of the
  members, their EXIF, XMP and ICC chunks and size in pixels, the checksums without sha256_stored,
  size and offset, which are proven. Byte for byte it is compared where Pillow, libwebp and
  libjpeg-turbo are those of the record; otherwise that test is skipped, and says so.

The record is made again by `python -m tests.golden.record`, and only with a new number of the
collection's format (`FORMAT` in the ledger's records), said in CHANGELOG.md. A change of the code
that changes a hash without that is a defect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import manifest
from tests.golden.collections import GOLDEN, Golden, crawl, encoder, golden_sandbox, recorded

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("golden")]

#: Neither of them is what the collections were recorded with.
ELSEWHERE = {"TZ": "Pacific/Chatham", "LC_ALL": "C"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with golden_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def folders(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        golden.name: crawl(golden, sandbox, tmp_path_factory.mktemp(golden.name), ELSEWHERE)
        for golden in GOLDEN
    }


def record(golden: Golden) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(golden.record.read_text("utf-8"))
    return read


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_every_file_is_what_was_recorded(golden: Golden, folders: dict[str, Path]) -> None:
    assert recorded(golden, folders[golden.name])["files"] == record(golden)["files"]


def test_webp_is_what_this_encoder_made(folders: dict[str, Path]) -> None:
    (golden,) = (golden for golden in GOLDEN if golden.encoded)
    if encoder() != record(golden)["encoder"]:
        pytest.skip(f"recorded with {record(golden)['encoder']}, here is {encoder()}")
    assert recorded(golden, folders[golden.name]) == record(golden)


def test_the_collections_have_one_of_each(folders: dict[str, Path]) -> None:
    jpeg, loose, webp = (folders[golden.name] for golden in GOLDEN)
    rows = manifest(jpeg / "metadata.jsonl.gz")
    assert {row.get("is_pano") for row in rows} >= {True, False}
    assert {row["reason"] for row in manifest(jpeg / "gone.jsonl")} == {
        "deleted",
        "no-url-at-quality",
        "accepted-failure",
    }
    assert len(manifest(jpeg / "damaged.jsonl")) == 2
    tars = {path.name for path in jpeg.glob("*.tar")}
    assert {"1970-01-01.tar", "2024-05-30.tar", "2024-05-30.1.tar", "unknown-date.tar"} <= tars
    assert not list(loose.glob("*.tar"))
    stored = manifest(webp / "checksums.jsonl.gz")
    kinds = {(Path(row["member"]).suffix, row["state"]) for row in stored}
    assert kinds == {(".webp", "saved"), (".jpg", "saved"), (".jpg", "damaged")}
