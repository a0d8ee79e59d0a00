"""The journal by which an update takes its place: from anybody, so believed in nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mapillary_crawler.archive.finish.errors import BadJournal, ForeignTar
from mapillary_crawler.archive.update.half_done import half_done
from mapillary_crawler.archive.update.journal import finish_update, is_half_done, rank
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import ARRIVING, JOURNAL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "mapillary-ann-original"
    (folder / ARRIVING).mkdir(parents=True)
    (folder / "metadata.jsonl.gz").write_text("old")
    (folder / "gone.jsonl").write_text("old")
    (folder / ARRIVING / "metadata.jsonl.gz").write_text("new")
    (folder / ARRIVING / "2024-01-15.1.tar").write_text("new")
    return folder


def write(folder: Path, *entries: object) -> None:
    (folder / JOURNAL).write_text("".join(json.dumps(entry) + "\n" for entry in entries))


GOOD = ({"put": "2024-01-15.1.tar"}, {"put": "metadata.jsonl.gz"}, {"remove": "gone.jsonl"})


def test_what_has_arrived_takes_its_place(folder):
    write(folder, *GOOD)
    assert finish_update(folder)
    assert (folder / "metadata.jsonl.gz").read_text() == "new"
    assert (folder / "2024-01-15.1.tar").read_text() == "new"
    assert sorted(path.name for path in folder.rglob("*")) == [
        ".crawl", "2024-01-15.1.tar", "metadata.jsonl.gz",
    ]  # fmt: skip
    assert not finish_update(folder)


@pytest.mark.parametrize(
    "entry",
    [
        {"put": "../outside"}, {"remove": "../outside"}, {"put": "/etc/passwd"}, {"put": ""},
        {"remove": ".crawl/locks"}, {"put": ".bashrc"}, {"put": "a/../../b"}, {"put": "a//b"},
        {"put": 1}, {"put": None}, {"take": "metadata.jsonl.gz"}, {}, [], "put", 1,
        {"put": "gone.jsonl", "remove": "gone.jsonl"},
    ],
)  # fmt: skip
def test_a_journal_of_other_files_moves_nothing(folder, entry):
    (folder.parent / "outside").write_text("mine")
    write(folder, *GOOD, entry)
    with pytest.raises(BadJournal):
        finish_update(folder)
    assert (folder / "metadata.jsonl.gz").read_text() == "old"
    assert (folder / "gone.jsonl").exists()
    assert (folder.parent / "outside").read_text() == "mine"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"x" * 10_000_000])
def test_a_damaged_journal_moves_nothing(folder, content):
    (folder / JOURNAL).write_bytes(content)
    with pytest.raises(BadJournal):
        finish_update(folder)
    assert (folder / "metadata.jsonl.gz").read_text() == "old"


def test_links_are_not_followed(folder):
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "2024-01-15").symlink_to(outside)
    (folder / ARRIVING / "2024-01-15").mkdir()
    (folder / ARRIVING / "2024-01-15" / "1.jpg").write_text("new")
    write(folder, {"put": "2024-01-15/1.jpg"})
    with pytest.raises(NotFollowed):
        finish_update(folder)
    assert list(outside.iterdir()) == []
    (folder / JOURNAL).unlink()
    (folder / JOURNAL).symlink_to(outside)
    assert not is_half_done(folder)
    with pytest.raises(NotFollowed):
        finish_update(folder)


def test_a_tar_that_is_there_is_never_replaced(folder):
    (folder / "2024-01-15.1.tar").write_text("mine")
    write(folder, *GOOD)
    with pytest.raises(ForeignTar):
        finish_update(folder)
    assert (folder / "2024-01-15.1.tar").read_text() == "mine"
    assert (folder / "metadata.jsonl.gz").read_text() == "old"
    assert is_half_done(folder)


def test_parts_come_before_what_names_them():
    order = [
        "2024-01-15.1.tar", "2024-01-15/s/1.jpg", "metadata.jsonl.gz", ".meta/title/0",
        "vanished.jsonl", "__ia_thumb.jpg", "download.log.20240101T000000Z", "SHA256SUMS",
        ".crawl/ledger.sqlite",
    ]  # fmt: skip
    assert sorted(order, key=rank) == order


def test_what_is_half_done_is_said_with_what_ends_it(folder):
    assert half_done(folder) is None
    write(folder, *GOOD)
    line = half_done(folder)
    assert line is not None
    assert line.startswith("mapillary-ann-original: an update is half done; finish it with: ")
    assert "repair" in line  # its ledger cannot be read
