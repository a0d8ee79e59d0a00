"""A ledger from manifests alone, and manifests from that ledger."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.finish.manifest_reader import ManifestsDisagree
from mapillary_crawler.archive.finish.rebuild import rebuild_ledger
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import (
    ANN,
    Picture,
    add,
    deterministic_set,
    finish,
    manifest,
    members,
    pictures,
    saved,
)

NAME = ANN.name
MANIFESTS = ("metadata.jsonl.gz", "checksums.jsonl.gz", "gone.jsonl")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    add(tmp_path / "staging" / NAME, pictures())
    finish(tmp_path / "staging" / NAME, tmp_path / "store")
    return tmp_path / "store" / NAME


@pytest.mark.parametrize("tar", [True, False])
def test_the_rebuilt_ledger_makes_the_same_collection(tmp_path, tar):
    folder, again = tmp_path / "staging" / NAME, tmp_path / "again" / NAME
    add(folder, pictures())
    balance = finish(folder, tmp_path / "store", tar=tar).balance
    finished = tmp_path / "store" / NAME
    shutil.copytree(finished, again, ignore=shutil.ignore_patterns(".crawl"))
    for name in ("SHA256SUMS", "damaged.jsonl"):
        (again / name).unlink()
    rebuild_ledger(again, again / LEDGER_PATH, ANN, tar=tar)
    assert [path.name for path in (again / ".crawl").iterdir()] == ["ledger.sqlite"]
    assert finish(again, tmp_path / "other", tar=tar).balance == balance
    assert deterministic_set(tmp_path / "other" / NAME) == deterministic_set(finished)


@pytest.mark.parametrize("tar", [True, False])
def test_jpeg_xl_keeps_the_checksum_of_its_jpeg(tmp_path, tar):
    collection = Collection("ann", jxl=True)
    some = [
        Picture("1", body=b"a JXL", extension="jxl", sha256_jpeg=bytes(range(32))),
        Picture("2", body=b"a JPEG that could not be one"),
    ]
    folder = tmp_path / "staging" / collection.name
    add(folder, some, collection)
    finish(folder, tmp_path / "store", collection, tar=tar)
    finished = tmp_path / "store" / collection.name
    rows = manifest(finished, "checksums.jsonl.gz")
    assert [row.get("sha256_jpeg") for row in rows] == [bytes(range(32)).hex(), None]
    assert "sha256_jpeg" not in rows[1]
    again = tmp_path / "again" / collection.name
    shutil.copytree(finished, again, ignore=shutil.ignore_patterns(".crawl"))
    rebuild_ledger(again, again / LEDGER_PATH, collection, tar=tar)
    finish(again, tmp_path / "other", collection, tar=tar)
    found = deterministic_set(tmp_path / "other" / collection.name)
    assert found == deterministic_set(finished)


def test_a_jpeg_xl_without_the_checksum_of_its_jpeg(tmp_path):
    folder = tmp_path / "staging" / NAME
    add(folder, [Picture("1", body=b"a JXL", extension="jxl")])
    finish(folder, tmp_path / "store")
    with pytest.raises(ManifestsDisagree, match="is incomplete: KeyError"):
        rebuild_ledger(tmp_path / "store" / NAME, tmp_path / "l/ledger.sqlite", ANN, tar=True)


def test_with_more_images_than_a_page_of_the_listing(tmp_path):
    some = [Picture(str(number), body=b"x") for number in range(2100)]
    add(tmp_path / "staging" / NAME, some)
    finish(tmp_path / "staging" / NAME, tmp_path / "store", tar_max_bytes=10**6)
    finished = tmp_path / "store" / NAME
    rebuild_ledger(finished, tmp_path / "ledger.sqlite", ANN, tar=True)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    rows = [(row.image_id, row.tar, row.offset) for row in streams.in_order(LedgerHere(ledger))]
    ledger.close()
    checksums = manifest(finished, "checksums.jsonl.gz")
    assert rows == [(row["id"], row["tar"], row["offset"]) for row in checksums]


def test_without_the_tars_an_update_adds_parts(tmp_path, finished):
    """As after the download of an item's manifests."""
    folder = tmp_path / "update" / NAME
    folder.mkdir(parents=True)
    for name in (*MANIFESTS, "SHA256SUMS"):
        shutil.copy(finished / name, folder)
    rebuild_ledger(folder, folder / LEDGER_PATH, ANN, tar=True)
    ledger = Ledger(folder / LEDGER_PATH)
    assert {piece.state for piece in ledger.pieces.all() if piece.day} == {PieceState.REMOVED}
    ledger.close()
    late = [Picture("55", body=b"late")]
    add(folder, late)
    finish(folder, tmp_path / "updated")
    updated = tmp_path / "updated" / NAME
    assert members(updated) == saved(late)
    (new,) = updated.glob("*.tar")
    shutil.copy(new, finished)
    assert members(finished) == saved([*pictures(), *late])
    listed = set((updated / "SHA256SUMS").read_text().splitlines())
    old = {line for line in (finished / "SHA256SUMS").read_text().splitlines() if ".tar" in line}
    assert old < listed
    assert len(manifest(updated, "metadata.jsonl.gz")) == len(pictures()) + 1


def test_an_image_that_no_manifest_accounts_for_is_wanted(tmp_path, finished):
    (finished / "gone.jsonl").unlink()
    rebuild_ledger(finished, tmp_path / "ledger.sqlite", ANN, tar=True)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    rows = streams.in_order(LedgerHere(ledger))
    assert {row.image_id for row in rows if row.state is State.UNSETTLED} == {"32", "33"}
    assert ledger.listing.position().closed
    ledger.close()


def changed(name: str, change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    """Return what rewrites a manifest with changed rows."""

    def rewrite(folder: Path) -> None:
        rows = manifest(folder, name)
        change(rows)
        content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    return rewrite


def cut(folder: Path) -> None:
    path = folder / "checksums.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])


def flipped(folder: Path) -> None:
    path = folder / "metadata.jsonl.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def other_tar(folder: Path) -> None:
    with (folder / "2024-01-15.tar").open("ab") as tar:
        tar.write(b"more")


C, M, G = "checksums.jsonl.gz", "metadata.jsonl.gz", "gone.jsonl"
B = "bare.jsonl"
HOSTILE = [
    (cut, "checksums.jsonl.gz line [0-9]+ cannot be read"),
    (flipped, "metadata.jsonl.gz line [0-9]+ cannot be read"),
    (lambda folder: (folder / M).unlink(), "metadata.jsonl.gz line 1 cannot be read"),
    (lambda folder: (folder / G).write_text("[]\n"), "gone.jsonl line 1 is no JSON object"),
    (lambda folder: (folder / G).write_text("[" * 10**5), "gone.jsonl line 1 cannot be read"),
    (lambda folder: (folder / G).write_text("\n"), "gone.jsonl line 1 cannot be read"),
    (other_tar, "2024-01-15.tar is not what SHA256SUMS says"),
    (changed(C, lambda rows: rows.reverse()), "line [12] is no image of metadata.jsonl.gz, or in"),
    (changed(C, lambda rows: rows[2].update(member="../../etc/x.jpg")), "line 3 has another mem"),
    (changed(C, lambda rows: rows[2].update(member=None)), "line 3 has another member"),
    (changed(C, lambda rows: rows[2].update(tar="../x.tar")), "line 3 has another tar"),
    (changed(C, lambda rows: rows[2].update(tar=None)), "line 3 has another tar"),
    (changed(C, lambda rows: rows[2].update(tar="2024-01-15.01.tar")), "line 3 has another tar"),
    (changed(C, lambda rows: rows[2].update(offset=None)), "line 3 has another tar"),
    (changed(C, lambda rows: rows[2].update(state="lost")), "line 3 is incomplete"),
    (changed(C, lambda rows: rows[2].update(sha256_stored="12")), "line 3 is incomplete"),
    (changed(C, lambda rows: rows[2].pop("size")), "line 3 is incomplete"),
    (changed(G, lambda rows: rows[0].update(reason="tired")), "gone.jsonl line 1 has an unknown"),
    (changed(B, lambda rows: rows[0].update(reason="tired")), "bare.jsonl line 1 has an unknown"),
    (changed(B, lambda rows: rows[0].update(id="32")), "bare.jsonl line 1 is no image of check"),
    (changed(B, lambda rows: rows.reverse()), "bare.jsonl line [12] is no image of checksums"),
    (changed(M, lambda rows: rows[2].pop("id")), "metadata.jsonl.gz line 3 has no usable id"),
    (changed(M, lambda rows: rows.append(rows[-1])), "has an image twice"),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_damaged_manifests_are_refused_by_name(tmp_path, finished, number):
    damage, message = HOSTILE[number]
    damage(finished)
    with pytest.raises(ManifestsDisagree, match=message):
        rebuild_ledger(finished, tmp_path / "ledger.sqlite", ANN, tar=True)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_an_image_that_is_both_saved_and_gone_is_refused(tmp_path, finished):
    first = manifest(finished, C)[0]["id"]
    (finished / G).write_text(json.dumps({"id": first, "reason": "deleted"}) + "\n")
    with pytest.raises(ManifestsDisagree, match=r"line 1 is an image that .* has as saved"):
        rebuild_ledger(finished, tmp_path / "ledger.sqlite", ANN, tar=True)


def test_tars_where_there_are_to_be_none(tmp_path, finished):
    with pytest.raises(ManifestsDisagree, match="in a tar, though there are none"):
        rebuild_ledger(finished, tmp_path / "ledger.sqlite", ANN, tar=False)


def test_a_ledger_is_never_replaced(finished):
    before = (finished / LEDGER_PATH).read_bytes()
    with pytest.raises(FileExistsError):
        rebuild_ledger(finished, finished / LEDGER_PATH, Collection("ann"), tar=True)
    assert (finished / LEDGER_PATH).read_bytes() == before
