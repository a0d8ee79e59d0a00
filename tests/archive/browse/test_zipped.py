"""Zips that are made while they are sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.browse.pictures import Removed
from mapillary_crawler.archive.browse.zipped import zipped
from mapillary_crawler.archive.extract.sources import Unreadable
from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.ledger.records import ImageRecord, State
from mapillary_crawler.ledger.viewer_records import ShownImage


def image(number: int, captured_at: int | None = None, size: int = 1) -> ShownImage:
    record = ImageRecord(
        number, str(number), State.SAVED, captured_at, capture_day(captured_at), "s", "jpg", None,
        b"", size, None, None, 1, number,
    )  # fmt: skip
    return ShownImage(record, 0, "s", "", False, None, None, None, None, None, None, False)


def archive_of(chunks: Iterator[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(chunks)))


def test_more_images_than_a_small_zip_can_have() -> None:
    count = 66_000  # of which a zip without the extensions of ZIP64 names 65,535
    with archive_of(
        zipped(map(image, range(count)), lambda each: each.record.image_id.encode())
    ) as found:
        assert len(found.namelist()) == count
        assert found.read(f"unknown-date/s/{count - 1}.jpg") == str(count - 1).encode()


def test_one_image_is_read_for_each_piece_that_is_taken() -> None:
    read = []

    def body(each: ShownImage) -> bytes:
        read.append(each.record.number)
        return bytes(1000)

    chunks = zipped(map(image, range(100)), body)
    assert read == []
    for taken in range(1, 4):
        assert 1000 < len(next(chunks)) < 1500
        assert len(read) == taken
    chunks.close()
    assert len(read) == 3


def test_what_cannot_be_read_is_named_at_the_end() -> None:
    def body(each: ShownImage) -> bytes:
        if each.record.number == 1:
            raise Unreadable("it is not there")
        if each.record.number == 2:
            raise Removed("an-item")
        return b"x"

    with archive_of(zipped(map(image, range(4)), body)) as found:
        assert found.namelist()[-1] == "missing.txt"
        assert len(found.namelist()) == 3
        assert found.read("missing.txt").decode().splitlines() == [
            "unknown-date/s/1.jpg: it is not there",
            "unknown-date/s/2.jpg: its tar was removed; archive.org's an-item has it",
        ]


@given(st.none() | st.integers(0, 8**11 * 1000 - 1))
def test_any_capture_time_fits(captured_at: int | None) -> None:
    with archive_of(zipped([image(1, captured_at)], lambda _: b"x")) as found:
        (entry,) = found.infolist()
        assert (1980, 1, 1) <= entry.date_time[:3] <= (2107, 12, 31)
        assert found.testzip() is None
