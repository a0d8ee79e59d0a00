"""The layout of tars, with Python's tarfile and GNU tar as judges."""

import io
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.finish.parts import (
    Placed,
    ending,
    header,
    padding,
    parts,
    tar_size,
)
from mapillary_crawler.collection.names import capture_day
from mapillary_crawler.ledger.records import ImageRecord, State


def image(number: int, size: int, captured_at: int | None = 0, sequence: str = "s") -> ImageRecord:
    return ImageRecord(
        number=number,
        image_id=str(number),
        state=State.SAVED,
        captured_at=captured_at,
        day=capture_day(captured_at),
        sequence=sequence,
        extension="jpg",
        sha256_served=b"",
        sha256_stored=b"",
        size=size,
        tar=None,
        offset=None,
        page=1,
        row=0,
    )


def body(record: ImageRecord) -> bytes:
    return bytes([record.number % 251]) * (record.size or 0)


def written(part: list[Placed]) -> bytes:
    """Return a part's tar, put together as the sealing does."""
    content = b"".join(
        header(record) + body(record) + padding(record.size or 0) for record, _ in part
    )
    return content + ending(part)


records = st.builds(
    image,
    number=st.integers(1, 10**17),
    size=st.integers(0, 5000),
    captured_at=st.none() | st.integers(0, 8**11 * 1000 - 1),
    sequence=st.text("abc-_.9", max_size=100),
)


@given(st.lists(records, min_size=1, max_size=30), st.integers(1, 40_000))
def test_parts_are_whole_tars_below_the_limit(some, limit):
    laid = list(parts(some, limit))
    assert [record for part in laid for record, _ in part] == some
    for part in laid:
        content = written(part)
        assert len(content) == tar_size(part)
        assert len(content) < limit or len(part) == 1
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            entries = tar.getmembers()
        assert len(entries) == len(part)
        for (record, offset), entry in zip(part, entries, strict=True):
            assert entry.name == record.member
            assert (entry.size, entry.offset_data) == (record.size, offset)
            assert content[offset:][: record.size] == body(record)
            assert entry.mtime == (record.captured_at or 0) // 1000
            assert (entry.mode, entry.uid, entry.gid) == (0o644, 0, 0)
            assert (entry.uname, entry.gname, entry.isreg()) == ("", "", True)


@given(st.lists(records, min_size=1, max_size=30), st.integers(1, 40_000), st.data())
def test_what_an_interruption_left_is_cut_as_before(some, limit, data):
    whole = list(parts(some, limit))
    done = data.draw(st.integers(0, len(whole) - 1))
    left = [record for part in whole[done:] for record, _ in part]
    assert list(parts(left, limit)) == whole[done:]


def test_each_part_takes_as_much_as_fits():
    some = [image(number, 512) for number in range(1, 10)]  # 1 KiB each, 9 in 10 KiB
    assert [len(part) for part in parts(some, 10_241)] == [9]
    assert [len(part) for part in parts(some, 10_240)] == [1] * 9
    large = [image(1, 512), image(2, 50_000), image(3, 512)]
    assert [len(part) for part in parts(large, 20_000)] == [1, 1, 1]
    assert not list(parts([], 1))


def test_a_file_beyond_8_gib_has_its_header_counted():
    (part,) = parts([image(1, 8**11)], 1)
    assert part[0].offset == len(header(part[0].record)) > 512


@pytest.mark.parametrize("longer", [0, 60])
def test_gnu_tar_makes_the_same(tmp_path, longer):
    """By the recipe for reproducible tars in GNU tar's manual."""
    some = [image(number, 100 * number, 1_700_000_000_999, "s" * longer) for number in (10, 11)]
    for record in some:
        path = tmp_path / record.member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body(record))
        path.chmod(0o600)
    (part,) = parts(some, 10**6)
    recipe = (
        "tar --sort=name --format=posix --pax-option=delete=atime,delete=ctime "
        "--owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@1700000000 --no-recursion -cf -"
    )
    made = subprocess.check_output(
        [*recipe.split(), *(record.member for record in some)], cwd=tmp_path
    )
    entries = []
    for content in (made, written(part)):
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            entries.append([{**entry.get_info(), "chksum": 0} for entry in tar])
    assert entries[0] == entries[1]
    assert len(made) == tar_size(part)
