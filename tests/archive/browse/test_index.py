"""The viewer's index: what it answers, that it is made anew, and caches that are none."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mapillary_crawler.archive.browse.indexing import clear_old, identity, make_index, open_index
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.outcome import Refused, RunStopped
from mapillary_crawler.ledger.viewer_index import IndexWriter
from mapillary_crawler.ledger.viewer_questions import NoIndex, ViewerIndex
from mapillary_crawler.ledger.viewer_records import Box, IndexedImage, Wanted
from tests.archive.finish.made import NOON, Picture, pictures
from tests.commands.in_process import made


@dataclass(frozen=True)
class Placed(Picture):
    """An image with more fields than most."""

    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        return {**super().row, **self.fields}


def say(_: str) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "store", pictures=pictures())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def index(folder: Path, cache: Path) -> Iterator[ViewerIndex]:
    with closing(make_index(folder, cache, say)) as index:
        yield index


def test_all_saved_images_are_there_in_the_order_of_the_manifests(index: ViewerIndex) -> None:
    total, rows = index.listed(Wanted(), 0, 100)
    assert total == index.facts["images"] == index.facts["saved"] == len(rows) == 26
    assert [number for number, _, _ in rows] == list(range(1, 27))
    times = [captured_at for _, _, captured_at in rows]
    assert times == sorted(times, key=lambda time: (time is None, time or 0))
    assert [row[1] for row in rows[-3:]] == ["7", "35", "odd id/../ü"]
    assert index.facts["gone"] == index.facts["unavailable"] == 1
    assert index.facts["undated"] == 3
    assert index.facts["username"] == "ann"
    odd = index.image(26)
    assert odd
    assert odd.record.member == "unknown-date/odd_u20_id_u2f_.._u2f__ufc_.jpg"
    assert b'"id":"odd id/../' in index.line(odd)
    assert index.image(0) is index.image(27) is None


def test_neighbours_are_those_of_the_sequence(index: ViewerIndex) -> None:
    rows = index.listed(Wanted(sequence="AbC-1"), 0, 100)[1]
    numbers = [number for number, _, _ in rows]
    for at, number in enumerate(numbers):
        image = index.image(number)
        assert image
        assert image.sequence == "AbC-1"
        assert index.beside(image) == (
            numbers[at - 1] if at else None,
            numbers[at + 1] if at + 1 < len(numbers) else None,
            at + 1,
            len(numbers),
        )


def test_what_the_service_said_of_camera_and_kind(tmp_path: Path) -> None:
    sphere = {"camera_type": "equirectangular", "width": 4096, "height": 2048}
    flat = {"camera_type": "perspective", "width": 4000, "height": 3000}
    some = [
        Placed("1", NOON, "s", b"1", fields={**sphere, "make": "GoPro", "model": "Max"}),
        Placed("2", NOON + 1, "s", b"2", fields={**flat, "computed_compass_angle": 370.0}),
        Placed("3", NOON + 2, "s", b"3", fields={"width": -1, "height": True, "is_pano": True}),
        Placed("4", NOON + 3, "s", b"4", fields={"geometry": None, "model": "</script>\x1b[2J" * 99}),  # noqa: E501
    ]  # fmt: skip
    folder = made(tmp_path / "store", pictures=list(some))
    with closing(make_index(folder, tmp_path / "cache", say)) as index:
        found = [index.image(number) for number in range(1, 5)]
        assert all(found)
        assert [image.pano for image in found if image] == [True, False, True, False]
        assert [image.width for image in found if image] == [4096, 4000, None, None]
        assert found[1]
        assert found[1].compass == 10
        assert found[3]
        assert found[3].longitude is None
        assert "\x1b" not in found[3].camera
        assert len(found[3].camera) <= 200
        assert index.facts["panoramas"] == 2
        assert index.facts["placed"] == 3
        assert index.cameras(9)[0] == ("GoPro Max", 1) or index.cameras(9)[1] == ("GoPro Max", 1)
        assert list(index.numbers(Wanted(pano=True))) == [1, 3]
        assert list(index.numbers(Wanted(camera="GoPro Max"))) == [1]
        assert list(index.numbers(Wanted(box=Box(-180, -90, 180, 90)))) == [1, 2, 3]


def test_it_is_opened_until_the_collection_changes(folder: Path, cache: Path) -> None:
    assert open_index(folder, cache) is None
    make_index(folder, cache, say).close()
    opened = open_index(folder, cache)
    assert opened
    opened.close()
    assert next(cache.iterdir()).stat().st_mode & 0o022 == 0
    assert cache.stat().st_mode & 0o777 == 0o700
    for name in ("SHA256SUMS", str(LEDGER_PATH), "metadata.jsonl.gz"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before + b"\n")
        assert open_index(folder, cache) is None
        make_index(folder, cache, say).close() if name == "SHA256SUMS" else None
        (folder / name).write_bytes(before)
    assert open_index(folder, cache) is None
    shutil.copytree(folder, folder.with_name("another"))
    assert open_index(folder.with_name("another"), cache) is None


def test_caches_that_are_none_are_made_anew(folder: Path, cache: Path, tmp_path: Path) -> None:
    make_index(folder, cache, say).close()
    (path,) = cache.iterdir()
    good = path.read_bytes()

    def changed(*statements: str) -> None:
        path.write_bytes(good)
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def cut() -> None:
        path.write_bytes(good[:5_000])

    def link() -> None:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")

    def pipe() -> None:
        path.unlink()
        os.mkfifo(path)

    for spoil in (
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(b"no database" * 999),
        cut,
        lambda: changed("CREATE TABLE more (x)"),
        lambda: changed("CREATE VIEW v AS SELECT 1"),
        lambda: changed("CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM images; END"),
        lambda: changed("ALTER TABLE images ADD COLUMN more"),
        lambda: changed("DROP TABLE places", "CREATE VIEW places AS SELECT * FROM images"),
        lambda: changed("UPDATE facts SET value = 'no JSON'"),
        lambda: changed("UPDATE facts SET value = '[' || hex(zeroblob(9)) || ']'"),
        lambda: changed("DELETE FROM facts"),
        link,
        pipe,
    ):
        spoil()
        assert open_index(folder, cache) is None
        if path.is_fifo() or path.is_symlink():
            path.unlink()
        make_index(folder, cache, say).close()
        assert (tmp_path / "elsewhere").exists() is (spoil in (link, pipe))
        again = open_index(folder, cache)
        assert again
        again.close()


def test_what_was_not_made_to_its_end_is_no_index(folder: Path, cache: Path) -> None:
    with pytest.raises(RunStopped):
        make_index(folder, cache, say, lambda: True)
    assert list(cache.iterdir()) == []
    with pytest.raises(ZeroDivisionError), IndexWriter(cache / "x.sqlite"):
        _ = 1 / 0
    assert list(cache.iterdir()) == []


def test_old_ones_go(folder: Path, cache: Path) -> None:
    make_index(folder, cache, say).close()
    (path,) = cache.iterdir()
    killed = path.with_name(f"{path.name}.123")
    killed.touch()
    clear_old(cache)
    assert set(cache.iterdir()) == {path, killed}
    os.utime(killed, (0, path.stat().st_mtime - 2 * 86_400))
    clear_old(cache)
    assert set(cache.iterdir()) == {path}
    os.utime(path, (0, path.stat().st_mtime - 91 * 86_400))
    clear_old(cache)
    assert not list(cache.iterdir())
    clear_old(cache / "absent")


def test_who_reads_a_ledger_changes_nothing_in_it(folder: Path, cache: Path) -> None:
    """One that a crawl has is in WAL mode, in which SQLite makes a file for who only reads."""
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    make_index(folder, cache, say).close()
    for _ in range(2):
        opened = open_index(folder, cache)
        assert opened
        opened.close()


def test_without_a_ledger_the_manifests_say_the_same(folder: Path, cache: Path) -> None:
    with closing(make_index(folder, cache, say)) as index:
        before = [index.image(number) for number in range(1, 27)]
        facts = index.facts
    shutil.rmtree(folder / ".crawl")
    assert identity(folder)[1] is None
    with closing(make_index(folder, cache, say)) as index:
        after = [index.image(number) for number in range(1, 27)]
        for one, other in zip(before, after, strict=True):
            assert one
            assert other
            for name in ("member", "sha256_stored", "size", "tar", "offset", "captured_at"):
                assert getattr(one.record, name) == getattr(other.record, name)
        same = ("username", "quality", "saved", "gone", "months", "bbox", "first", "last", "bytes")
        assert [index.facts[name] for name in same] == [facts[name] for name in same]
        assert not index.facts["has_ledger"]


def test_what_is_no_collection_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match="neither a ledger nor"):
        make_index(tmp_path / "empty", cache, say)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE images SET state = 'x'",
        "UPDATE images SET day = x'00'",
        "UPDATE images SET captured_at = 'x', sha256_stored = 5, extension = '../x'",
        "UPDATE images SET page = 'x', row = -1, offset = -5, size = 9000000000000000000",
        "UPDATE pages SET rows = x'00'",
        "UPDATE facts SET value = 'no JSON'",
        "UPDATE pieces SET name = '../../etc/passwd' || number, item = x'00'",
        "UPDATE facts SET value = '[]' WHERE name = 'username'",
    ],
)
def test_hostile_ledgers_are_refused_or_shown_as_far_as_they_go(
    folder: Path, cache: Path, statement: str
) -> None:
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger:
        ledger.executescript(
            "DROP TRIGGER image_settled; PRAGMA writable_schema = ON; "
            "PRAGMA ignore_check_constraints = ON;"
        )
        ledger.execute(statement)
        ledger.commit()
    try:
        index = make_index(folder, cache, say)
    except (Refused, ValueError, TypeError, sqlite3.Error):
        return
    with closing(index):
        for image in index.selected(list(range(1, 27))):
            index.line(image)
            index.beside(image)
        index.near(Wanted(), 10)
        index.lines(Wanted(), Box(0, 0, 1, 1))


@pytest.mark.parametrize(
    "sequence",
    [
        "..",
        "../../../../etc",
        "/etc",
        "a\\b",
        "a\nb",
        ".hidden",
        "s" * 100_000,
    ],  # no zip names that
)
def test_sequences_that_lead_elsewhere_are_in_no_index(
    folder: Path, cache: Path, sequence: str
) -> None:
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger:
        ledger.execute("UPDATE images SET sequence = ? WHERE number = 3", [sequence])
        ledger.commit()
    with pytest.raises(Refused, match="an image is no image"):
        make_index(folder, cache, say)


#: Places that meet, at the ends of the earth, and anywhere.
degrees = st.one_of(
    st.sampled_from([(0.0, 0.0), (180.0, 90.0), (-180.0, -90.0), (13.4, 52.5), (13.41, 52.5)]),
    st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
)
images = st.lists(
    st.tuples(st.none() | degrees, st.integers(-1, 3), st.integers(0, 2), st.integers(0, 2),
              st.booleans()),
    max_size=40,
)  # fmt: skip
boxes = st.none() | st.builds(
    lambda one, other: Box(one[0], min(one[1], other[1]), other[0], max(one[1], other[1])),
    degrees, degrees,
)  # fmt: skip
wants = st.builds(
    Wanted,
    days=st.none() | st.tuples(st.none() | st.integers(0, 4), st.none() | st.integers(0, 4))
    | st.just((-1, -1)),
    sequence=st.none() | st.sampled_from(["s0", "s1", "s2", "s9"]),
    camera=st.none() | st.sampled_from(["c0", "c1", "c9"]),
    pano=st.none() | st.booleans(),
    box=boxes,
)  # fmt: skip


def fits(number: int, image: Any, wanted: Wanted, *, placed: bool) -> bool:
    """Say whether an image is wanted, as a person would."""
    place, day, sequence, camera, pano = image
    if placed and place is None:
        return False
    if wanted.box:
        if place is None:
            return False
        west, south, east, north = wanted.box
        longitude, latitude = place
        across = west <= longitude <= east if west <= east else not east < longitude < west
        if not (across and south <= latitude <= north):
            return False
    if wanted.days:
        first, last = wanted.days
        if not (0 if first is None else first) <= day <= (9 if last is None else last):
            return False
    return (
        wanted.sequence in (None, f"s{sequence}")
        and wanted.camera in (None, f"c{camera}")
        and wanted.pano in (None, pano)
    )


@settings(max_examples=25, deadline=None)
@given(images, st.lists(wants, min_size=1, max_size=6), st.integers(1, 20))
@example([((1.0, 0.0), 0, 0, 0, False)], [Wanted(box=Box(0.015625, 0.0, 0.0, 0.0))], 1)
def test_questions_are_answered_as_if_all_images_were_looked_at(
    tmp_path_factory: pytest.TempPathFactory, some: list[Any], wanted: list[Wanted], limit: int
) -> None:
    path = tmp_path_factory.mktemp("index") / "index.sqlite"
    with IndexWriter(path) as writer:
        writer.add_images([indexed(*each) for each in some])
        for table, letter in (("sequences", "s"), ("cameras", "c")):
            counts = [sum(each[2 if letter == "s" else 3] == n for each in some) for n in range(3)]
            rows = [[f"{letter}{n}", *[f"{letter}{n}"] * (letter == "s"), counts[n]]
                    for n in range(3)]  # fmt: skip
            writer.add_names(table, rows)
        writer.arrange()
        writer.set_facts(**writer.extent())
    with closing(ViewerIndex(path)) as index:
        for want in wanted:
            right = [
                number for number, image in enumerate(some, 1)
                if fits(number, image, want, placed=False)
            ]  # fmt: skip
            assert list(index.numbers(want)) == right
            total, rows = index.listed(want, 1, 3)
            assert (total, [row[0] for row in rows]) == (len(right), right[1:4])
            seen = {
                number for number, image in enumerate(some, 1)
                if fits(number, image, want, placed=True)
            }  # fmt: skip
            near, truncated = index.near(want, limit)
            numbers = [row[0] for row in near]
            assert numbers == sorted(set(numbers))
            assert set(numbers) <= seen
            assert truncated is (set(numbers) != seen)
            assert len(numbers) <= limit
            assert bool(numbers) is bool(seen)


def indexed(place: Any, day: int, sequence: int, camera: int, pano: bool) -> IndexedImage:
    longitude, latitude = place or (None, None)
    return IndexedImage(
        day, sequence, camera, pano, longitude, latitude, None, "id", None, None, None, 1, "folder",
        "jpg", None, 1, None, None, None, None,
    )  # fmt: skip


def test_many_images_are_thinned_evenly(tmp_path: Path) -> None:
    generator = random.Random(1)
    some = [
        indexed((generator.uniform(0, 0.5), generator.uniform(0, 0.5)), 0, 0, number % 2, False)
        for number in range(60_000)
    ]
    with IndexWriter(tmp_path / "x.sqlite") as writer:
        writer.add_images(some)
        writer.add_names("sequences", [["s", "s", 60_000]])
        writer.add_names("cameras", [["a", 30_000], ["b", 30_000]])
        writer.arrange()
        writer.set_facts(**writer.extent())
    with closing(ViewerIndex(tmp_path / "x.sqlite")) as index:
        for wanted in (
            Wanted(),
            Wanted(camera="b"),
            Wanted(sequence="s"),
            Wanted(box=Box(0, 0, 0.25, 0.5)),
        ):
            near, truncated = index.near(wanted, 1_000)
            assert truncated
            assert 400 < len(near) <= 1_000
            gaps = [b[0] - a[0] for a, b in pairwise(near)]
            assert max(gaps) < 20 * 60_000 / len(near)
            assert {row[0] % 2 for row in near} == ({0} if wanted.camera else {0, 1})


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_index(folder, tmp_path / "file", say)


def test_no_file_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(NoIndex):
        ViewerIndex(tmp_path / "absent")
    with pytest.raises(NoIndex):
        ViewerIndex(tmp_path)
