"""Collections that mapillary_downloader really made, adopted, completed and uploaded."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.sandbox.catalogue import Catalogue
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, Result, compressed_data

IMAGES = 240
USERS = [
    {
        "username": "ann-b",
        "images": IMAGES,
        "days": 5,
        "undated": 0.02,
        "no_sequence": 0.03,
        "sequence_length": 3,
        "panoramas": 0.2,
        "missing_fields": 0.1,
    }
]
SEED = 21
CATALOGUE = Catalogue(USERS, SEED).user("ann-b")
FAULTS = {
    "api": {"temporary": 0.1},
    "cdn": {
        "server_error": 0.05,
        # These that tool gives up, and says so in its log only.
        "forbidden": [image.image_id for image in islice(CATALOGUE.images(), 5, None, 20)],
        "truncated": 0.04,
        "truncated_closed": 0.02,
        "zero_filled": 0.02,
        "empty": 0.02,
        "html": 0.02,
        "cut": 0.02,
    },
}
#: That tool knows the real service only; its client is told of the sandbox before it starts.
_POINTED = """
import sys
from mapillary_downloader import client
address, made = sys.argv.pop(1), client.MapillaryClient.__init__
def pointed(self, token):
    made(self, token)
    self.base_url = address
client.MapillaryClient.__init__ = pointed
from mapillary_downloader.__main__ import main
main()
"""


class Peer:
    """Runs mapillary_downloader against a sandbox."""

    def __init__(self, python: Path, sandbox: Sandbox, folder: Path) -> None:
        self._python = python
        self._sandbox = sandbox
        self._folder = folder

    def run(self, *options: str) -> Path:
        """Archive the user at 256 px and return the collection's folder."""
        done = subprocess.run(
            [
                str(self._python), "-c", _POINTED, self._sandbox.url, "ann-b", "--quality", "256",
                "--no-check-ia", "--max-workers", "16", "--output", str(self._folder / "theirs"),
                *options,
            ],
            env={
                "PATH": f"{self._python.parent}:/usr/bin:/bin",
                "HOME": str(self._folder),
                "XDG_CACHE_HOME": str(self._folder / "cache"),
                "MAPILLARY_TOKEN": self._sandbox.token,
                "TZ": "Asia/Tokyo",
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr
        webp = "" if "--no-webp" in options else "-webp"
        return self._folder / "theirs" / f"mapillary-ann-b-256{webp}"


@pytest.fixture
def sandbox():
    with Sandbox.running(USERS, seed=SEED, faults=FAULTS) as sandbox:
        yield sandbox


@pytest.fixture
def peer(peer_python, sandbox, tmp_path):
    return Peer(peer_python, sandbox, tmp_path)


@pytest.fixture
def crawling(tmp_path, sandbox):
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment |= {
        "IA_ACCESS_KEY_ID": "key",
        "IA_SECRET_ACCESS_KEY": "secret",
        "IA_RETRY_WAIT": "0.05",
        "HOME": str(tmp_path),
    }
    return crawling


def good_members(folder: Path) -> set[str]:
    """Return the ids of images that Pillow can decode, of that tool's tars."""
    good = set()
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                try:
                    with Image.open(io.BytesIO(content.read())) as image:
                        image.load()
                except (OSError, SyntaxError):
                    continue
                good.add(Path(member.name).stem)
    return good


def records(folder: Path) -> dict[str, ImageRecord]:
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    try:
        return {record.image_id: record for record in streams.in_order(LedgerHere(ledger))}
    finally:
        ledger.close()


def stored(folder: Path, record: ImageRecord) -> bytes:
    assert record.tar is not None
    with (folder / record.tar).open("rb") as tar:
        tar.seek(record.offset or 0)
        body = tar.read(record.size or 0)
    assert hashlib.sha256(body).digest() == record.sha256_stored
    return body


def complete(crawling: Crawling, sandbox: Sandbox, theirs: Path, **arguments: str) -> Result:
    """Adopt a folder, crawl what is missing without faults, and return what `adopt` said."""
    adopted = crawling.scrapy("adopt", str(theirs))
    assert adopted.code == 0, adopted.output
    sandbox.reset()
    sandbox.set_faults({name: dict.fromkeys(faults, 0.0) for name, faults in FAULTS.items()})
    crawled = crawling.run(username="ann-b", quality="256", **arguments)
    assert crawled.code == 0, crawled.output
    assert crawled.balance == {
        "listed": IMAGES, "saved": IMAGES, "gone": 0, "unavailable": 0, "failed": 0,
    }  # fmt: skip
    return adopted


def test_a_real_collection_is_adopted_completed_and_uploaded(peer, sandbox, crawling, tmp_path):
    theirs = peer.run("--no-webp")
    good = good_members(theirs)
    before = {path.name: path.read_bytes() for path in theirs.glob("*.tar")}
    assert IMAGES // 2 < len(good) < IMAGES - 5, (
        "faults have cost it images, and it said all was well"
    )
    complete(crawling, sandbox, theirs)
    folder = tmp_path / "store" / theirs.name
    found = records(folder)
    fetched = sandbox.counters(images=True)["images"]["requests"]
    for image in sandbox.catalogue.user("ann-b").images():
        record = found.pop(image.image_id)
        served = sandbox.catalogue.body(image, "256")
        assert compressed_data(stored(folder, record)) == compressed_data(served), record.member
        assert (record.tar in before) == (record.sha256_served is None)
        assert (image.image_id in fetched) == (record.tar not in before)
    assert not found
    assert max(fetched.values()) == 1
    assert IMAGES - len(fetched) <= len(good), "what Pillow cannot decode is not taken over"
    assert {name: (folder / name).read_bytes() for name in before} == before
    check = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
    assert check.returncode == 0
    listed = gzip.decompress((folder / "metadata.jsonl.gz").read_bytes()).splitlines()
    assert len({json.loads(line)["id"] for line in listed}) == len(listed) == IMAGES
    uploaded = crawling.scrapy("ia_upload", theirs.name)
    assert uploaded.code == 0, uploaded.output
    item = sandbox.archive()["items"][theirs.name]
    assert f"Contains {IMAGES} images in" in item["metadata"]["description"]
    assert {file["name"] for file in item["files"]} == {
        path.name for path in folder.iterdir() if not path.name.startswith(".")
    }


@pytest.mark.skipif(shutil.which("cwebp") is None, reason="cwebp is not installed")
def test_a_real_webp_collection(peer, sandbox, crawling, tmp_path):
    theirs = peer.run()
    complete(crawling, sandbox, theirs, webp="1")
    folder = tmp_path / "store" / theirs.name
    for record in records(folder).values():
        with Image.open(io.BytesIO(stored(folder, record))) as image:
            assert image.format == "WEBP"
            image.load()


def test_a_real_collection_without_tars(peer, sandbox, crawling, tmp_path):
    theirs = peer.run("--no-webp", "--no-tar")
    complete(crawling, sandbox, theirs)
    folder = tmp_path / "store" / theirs.name
    found = records(folder)
    assert len(found) == IMAGES
    for image in sandbox.catalogue.user("ann-b").images():
        served = sandbox.catalogue.body(image, "256")
        assert compressed_data(stored(folder, found[image.image_id])) == compressed_data(served)
