"""`.meta`, and what the tools that read it make of it."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from mapillary_crawler import __version__
from mapillary_crawler.archive.finish.meta import read_metadata, write_meta
from mapillary_crawler.archive.finish.tags import (
    Contents,
    growing_tags,
    image_count,
    is_growing,
    tags,
)
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection, Selection
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import ANN, NOON, Picture, add, finish, pictures

BALANCE = Balance(saved=12_345, damaged=3, gone=40, unavailable=10, failed=5, accepted=5)
CONTENTS = Contents(ANN, BALANCE, ["2015-06-01", "2024-01-15", "unknown-date"], tar=True)
ENCODER = {"kind": "cwebp", "version": "1.3.2", "quality": 80, "method": 6}


def values(folder: Path) -> dict[str, str]:
    """Return the values in `.meta` as `rip` reads them: one a file, trailing newlines off."""
    return {
        path.relative_to(folder / ".meta").as_posix(): path.read_text("utf-8").rstrip("\n")
        for path in (folder / ".meta").rglob("*")
        if path.is_file()
    }


def test_all_tags_of_the_items_that_are_there_already():
    tagged = tags(CONTENTS)
    assert tagged["title"] == ["Mapillary images by ann"]
    assert tagged["subject"] == [
        "mapillary", "street-view", "computer-vision", "geospatial", "photography",
    ]  # fmt: skip
    assert tagged["creator"] == ["ann"]
    assert tagged["date"] == ["2015-06-01"]
    assert tagged["coverage"] == ["2015-06-01 - 2024-01-15"]
    assert tagged["licenseurl"] == ["https://creativecommons.org/licenses/by-sa/4.0/"]
    assert tagged["source"] == ["https://www.mapillary.com/app/user/ann"]
    assert tagged["scanner"] == [f"mapillary_crawler {__version__}"]
    assert tagged["mapillary_downloader"] == [__version__]
    assert tagged["mapillary_crawler_format"] == ["3"]
    assert tagged["mediatype"] == ["data"]
    assert tagged["collection"] == ["mapillary-images"]
    assert len(tagged) == 13
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9._-]*", tag) for tag in tagged)
    assert all(text and text == text.strip() for several in tagged.values() for text in several)


def test_a_growing_item_says_what_stays_true():
    growing, whole = growing_tags(CONTENTS, 1_200), tags(CONTENTS)
    assert {tag: growing[tag] for tag in growing if tag != "description"} == {
        tag: whole[tag] for tag in whole if tag not in ("description", "date", "coverage")
    }
    (text,) = growing["description"]
    assert "At least 1,200 images so far, of 12,400 listed, in original resolution" in text
    assert image_count(text) is None, "it is counted once it is complete"
    assert is_growing(text)
    assert not is_growing(whole["description"][0])


def test_the_description_has_the_numbers():
    (text,) = tags(CONTENTS)["description"]
    found = re.search(r"Contains ([\d,]+) images in", text)  # as the peer's statistics read it
    assert found
    assert int(found[1].replace(",", "")) == 12_345
    assert "in original resolution captured between 2015-06-01 and 2024-01-15 (UTC)" in text
    assert "12,400 listed = 12,345 saved + 40 gone + 10 unavailable + 5 failed" in text
    assert "3 of them are damaged at the source" in text
    assert "compressed data untouched; EXIF and XMP metadata" in text


def test_a_collection_without_dates_has_no_date():
    contents = replace(CONTENTS, days=["unknown-date"])
    assert not {"date", "coverage"} & set(tags(contents))
    assert "images in original resolution without date." in tags(contents)["description"][0]


def test_jpeg_xl_names_its_encoder_and_how_to_get_the_jpeg():
    encoder = {"kind": "cjxl", "version": "0.7.0", "effort": 3}
    contents = replace(CONTENTS, collection=Collection("ann", jxl=True), encoder=encoder)
    (text,) = tags(contents)["description"]
    assert "transcoded to JPEG XL (cjxl 0.7.0, JPEG XL effort 3), which gives back" in text
    assert "djxl FILE.jxl FILE.jpg" in text
    assert "recompressed" not in text
    assert tags(contents)["scanner"][1] == "cjxl 0.7.0, JPEG XL effort 3"
    assert tags(contents)["mediatype"] == ["data"]
    (unknown,) = tags(replace(contents, encoder=None))["description"]
    assert "transcoded to JPEG XL, which" in unknown


def test_webp_names_its_encoder():
    contents = replace(CONTENTS, collection=Collection("ann", "2048", True), encoder=ENCODER)
    (text,) = tags(contents)["description"]
    assert "cwebp 1.3.2, WebP quality 80, method 6" in text
    assert "images in 2048px resolution" in text
    assert "recompressed as WebP" in text
    assert tags(contents)["scanner"][1].startswith("cwebp 1.3.2")
    (unknown,) = tags(replace(contents, encoder=None))["description"]
    assert "recompressed as WebP, those" in unknown


def test_a_selection_says_that_it_is_one():
    selection = Selection((1.5, -2.0, 3.0, 4.0), date(2020, 1, 2), date(2021, 1, 1))
    (text,) = tags(replace(CONTENTS, collection=Collection("ann", selection=selection)))[
        "description"
    ]
    assert "not all images" in text
    assert "from 2020-01-02, until 2021-01-01, bbox 1.5,-2.0,3.0,4.0" in text


def test_a_selection_names_its_sequences():
    def said(*sequences):
        selection = Selection(end=date(2021, 1, 1), sequences=sequences)
        tagged = tags(replace(CONTENTS, collection=Collection("ann", selection=selection)))
        return tagged["description"][0]

    assert "user: until 2021-01-01, sequence a_." in said("a_")
    assert "user: until 2021-01-01, sequences -b,a." in said("-b", "a")


def test_an_odd_user_name_is_escaped_in_the_address_only():
    tagged = tags(replace(CONTENTS, collection=Collection("Ünî a/b?#%")))
    assert tagged["source"] == ["https://www.mapillary.com/app/user/%C3%9Cn%C3%AE%20a%2Fb%3F%23%25"]
    assert tagged["creator"] == ["Ünî a/b?#%"]


def test_written_for_rip(tmp_path):
    folder = tmp_path / "staging" / ANN.name
    add(folder, pictures())
    finish(folder, tmp_path)
    found = values(tmp_path / ANN.name)
    assert found["subject/4"] == "photography"
    assert found["date/0"] == "1970-01-01"
    assert found["coverage/0"] == "1970-01-01 - 2024-01-17"
    saved = sum(picture.state.name in ("SAVED", "DAMAGED") for picture in pictures())
    assert f"Contains {saved:,} images in" in found["description/0"]
    assert "description/1" not in found
    assert not any(path.read_bytes().endswith(b"\n") for path in tmp_path.rglob(".meta/*/*"))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    add(tmp_path, [Picture("1", NOON)])
    work = Work(LedgerHere(Ledger(tmp_path / LEDGER_PATH)), tmp_path, lambda: False, lambda _: None)
    work.scratch.mkdir()
    return work


def recorded(work: Work) -> set[str]:
    return {piece.name for piece in work.ledger.wait_for(lambda ledger: list(ledger.pieces.all()))}


def test_tags_that_are_no_longer_made_go_and_those_of_others_stay(work):
    write_meta(work, CONTENTS)
    (work.folder / ".meta/notes").mkdir()
    (work.folder / ".meta/notes/0").write_text("mine")
    write_meta(work, replace(CONTENTS, days=[]))
    assert values(work.folder)["notes/0"] == "mine"
    assert "date/0" not in values(work.folder)
    assert recorded(work) == {f".meta/{name}" for name in values(work.folder)} - {".meta/notes/0"}


@pytest.mark.parametrize(
    "left", [{".meta.before"}, {".meta.before", ".meta"}, {".meta.writing", ".meta"}]
)
def test_what_a_crash_left_is_put_right(work, left):
    write_meta(work, CONTENTS)
    (work.folder / ".meta/notes").mkdir()
    (work.folder / ".meta/notes/0").write_text("mine")
    for name in left - {".meta"}:
        if ".meta" in left:
            (work.folder / name / "half").mkdir(parents=True)
        else:
            (work.folder / ".meta").rename(work.folder / name)
    write_meta(work, CONTENTS)
    assert values(work.folder)["notes/0"] == "mine"
    assert values(work.folder)["title/0"] == "Mapillary images by ann"
    assert [path.name for path in work.folder.glob(".meta*")] == [".meta"]


def test_metadata_is_read_as_rip_reads_it(tmp_path):
    values = {"subject/10": "last", "subject/2": "middle\n\n", "subject/0": "first\nline\n"}
    values |= {"title/0": "ünïcode", "not a tag/0": "x", "empty/x": "x"}
    for name, value in values.items():
        path = tmp_path / ".meta" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    assert read_metadata(tmp_path) == {
        "subject": ["first\nline", "middle", "last"],
        "title": ["ünïcode"],
    }
    assert read_metadata(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("description", "count"),
    [
        ("Contains 12,345 images in original resolution", 12345),
        ("x. Contains 1 images in 2048px", 1),
        ("Contains images in", None),
        ("Contains 12,345 imagesin", None),
        ("Contains " + "9" * 5000 + " images in", None),
        ("", None),
    ],
)
def test_image_counts(description, count):
    assert image_count(description) == count
