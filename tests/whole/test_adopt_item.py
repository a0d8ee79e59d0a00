"""`adopt --item`, against the sandbox's archive.org: another machine goes on with a collection."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import IA_KEYS, Crawling, assert_same, manifest

pytestmark = [pytest.mark.slow, pytest.mark.long]

ITEM = "mapillary-up-256"


@pytest.fixture
def sandbox(tmp_path):
    users = [{"username": "up", "images": 60, "days": 5.0, "dead": 2}]
    with Sandbox.running(users, seed=5, uploads=tmp_path / "archive.org") as running:
        yield running


def crawling_in(store: Path, sandbox: Sandbox) -> Crawling:
    crawling = Crawling(store, sandbox)
    crawling.environment |= {
        "HOME": str(store.parent),
        **IA_KEYS,
        "IA_RETRY_WAIT": "0.02",
        "IA_PATIENCE": "20",
    }
    return crawling


def test_from_archive_org_alone(sandbox, tmp_path):
    """Uploaded and removed on one machine, adopted on another: archived, verified, read."""
    one = crawling_in(tmp_path / "one", sandbox)
    result = one.run(username="up", quality="256", upload=1, remove=1)
    assert result.code == 0, result.output
    other = crawling_in(tmp_path / "other", sandbox)
    offered = other.run(username="up", quality="256")
    assert offered.code == 0, offered.output
    assert f"scrapy adopt --item {ITEM}" in offered.lines[-1]
    adopted = other.scrapy("adopt", "--item", ITEM)
    assert adopted.code == 0, adopted.output
    assert f"are on archive.org, in {ITEM}" in adopted.output
    folder = other.store / ITEM
    before = sandbox.counters()["requests"]
    verify = other.scrapy("verify", str(folder))
    assert verify.code == 0, verify.output
    again = other.run(username="up", quality="256", upload=1, remove=1)
    assert (again.code, "is archived since" in again.output) == (0, True), again.output
    status = json.loads(other.scrapy("status", "--json").lines[0])
    assert status["archive_org"]["items"] == [ITEM]
    assert sandbox.counters()["requests"] == before, "no request"
    extracted = other.scrapy("extract", ITEM, str(tmp_path / "images"), "--remote")
    assert extracted.code == 0, extracted.output
    assert len(list((tmp_path / "images").rglob("*.jpg"))) == 58
    assert {path.name for path in (one.store / ITEM).glob("[!.d]*")} == {
        path.name for path in folder.glob("[!.]*")
    }


def test_an_upload_that_was_lost_goes_on_elsewhere(sandbox, tmp_path):
    """Only what the manifests do not know is fetched, and the end is the undisturbed one."""
    plain = Crawling(tmp_path / "plain", sandbox)
    assert plain.run(username="up", quality="256", check_ia=0).code == 0
    one = crawling_in(tmp_path / "one", sandbox)
    one.environment["MAPILLARY_CONCURRENCY_FIXED"] = "1"  # so that days are sealed beside it
    sandbox.set_faults({"cdn": {"latency_ms": 150}})
    half = sum(path.stat().st_size for path in (plain.store / ITEM).glob("*.tar")) // 2
    stopped = one.run(
        username="up", quality="256", upload=1, remove=1, stop_after=f"{half // 1000}kB"
    )
    assert stopped.code == 4, stopped.output
    sandbox.set_faults({"cdn": {"latency_ms": 0}})
    shutil.rmtree(one.store)
    rows = manifest(plain.store / ITEM / "checksums.jsonl.gz")
    there = {row["id"] for row in manifest(tmp_path / "archive.org" / ITEM / "checksums.jsonl.gz")}
    assert 0 < len(there) < len(rows)
    other = crawling_in(tmp_path / "other", sandbox)
    adopted = other.scrapy("adopt", "--item", ITEM)
    assert adopted.code == 0, adopted.output
    assert f"saved {len(there)} " in adopted.output
    assert "upload=1" in adopted.lines[-1]
    before = sandbox.counters(images=True)["images"]["requests"]
    result = other.run(username="up", quality="256", upload=1)
    assert result.code == 0, result.output
    after = sandbox.counters(images=True)["images"]["requests"]
    fetched = {name for name, count in after.items() if count != before.get(name)}
    assert fetched == {row["id"] for row in rows} - there
    folder = other.store / ITEM
    assert other.scrapy("verify", str(folder)).code == 0
    for tar in (tmp_path / "archive.org" / ITEM).glob("*.tar"):
        if not (folder / tar.name).exists():
            shutil.copyfile(tar, folder / tar.name)
    sums = (plain.store / ITEM / "SHA256SUMS").read_text().splitlines()
    found = (folder / "SHA256SUMS").read_text().splitlines()
    assert set(found) <= set(sums), (
        "the page has its pictures, of days whose tars are elsewhere, too"
    )
    (folder / "SHA256SUMS").write_bytes((plain.store / ITEM / "SHA256SUMS").read_bytes())
    assert_same(folder, plain.store / ITEM)
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    assert all(piece.item == ITEM for piece in ledger.pieces.all() if piece.day)
    ledger.close()
