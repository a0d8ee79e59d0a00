"""The page: valid HTML that asks for nothing, whatever the names in it are."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.archive.page.census import Census
from mapillary_crawler.archive.page.contents import PageContents
from mapillary_crawler.archive.page.months import colours
from mapillary_crawler.archive.page.reading import PAGE_BYTES, pictures
from mapillary_crawler.archive.page.text import shown
from mapillary_crawler.archive.page.tracks import Tracks
from mapillary_crawler.archive.tracks.lines import Point
from mapillary_crawler.archive.tracks.stretches import Stretch, columns_of
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import Collection, Selection, text
from mapillary_crawler.graph.rows import canonical_line
from tests.archive.page.contents_made import contents, picture, written
from tests.archive.tracks.made import line_of
from tests.page_captures import CAPTURES, FOLDER, MOST_BYTES

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=http://evil.example/x onerror=alert(1)>',
    "' onload='alert(1)",
    "\u202egnp.exe \u2066isolate \u200f",
    "a\x00b\x1b[2J\x85c\ud800d\ufdd0\U0001ffff",
    "&lt;b&gt; &amp;#60;",
    "name " * 200_000,
    "x" * 1_000_000,
    "<!--", "]]>", "${1+1}", "\u2028line\u2029",
)  # fmt: skip
#: All attributes that a page has: none that runs anything.
_ALLOWED = {
    "class", "id", "lang", "charset", "http-equiv", "content", "name", "rel", "href", "hidden",
    "tabindex", "role", "aria-describedby", "aria-label", "aria-labelledby", "aria-hidden", "type",
    "for", "value", "target", "scope", "viewbox", "preserveaspectratio", "fill", "data-year",
    "data-month", "data-tar", "data-at", "data-day", "data-image", "x", "y", "width", "height",
    "rx", "alt", "src",
}  # fmt: skip


class Read(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("script", "style"):
            self.scripts.append(data)
        else:
            self.text += data


def hostile(name: str) -> PageContents:
    made = contents(sequences=3, pictures=2, username=name)
    made.census.cameras.update({name[:200]: 5, "ok": 1})
    shown = picture("2024-01-15", Point(1.0, 2.0, None, 0), 1, image_id=text(name[:100]))
    return replace(made, pictures=(shown,))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_text(name: str) -> None:
    page = written(hostile(name))
    assert len(page) < 250_000
    plain = written(hostile("plain"))
    read, expected = Read(page), Read(plain)
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in expected.elements]
    for tag, attributes in read.elements:
        assert attributes.keys() <= _ALLOWED, (tag, attributes)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page
    )
    assert "evil.example" not in page or "&lt;img" in page


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_any_text_is_one_line_without_marks(value: str) -> None:
    line = shown(value)
    assert not set(line) & set("<>\"'\n\r\t\u202e\u2066\u2029\0")
    line.encode()
    assert len(Read(line).text) <= 80


def checked(page: str) -> str:
    """Return what HTML Tidy says of a page."""
    tidy = shutil.which("tidy")
    if tidy is None:
        pytest.skip("tidy is not installed")
    done = subprocess.run(
        [tidy, "-e", "-q", "-utf8"], input=page.encode(), capture_output=True, check=False
    )
    return done.stderr.decode()


_LONE = PageContents(Collection("nobody"), Balance(gone=2), tar=True)


@pytest.mark.parametrize(
    "made",
    [
        contents(),
        hostile("\"<&'> \u202e"),
        _LONE,
        contents(pictures=0, tar=False),
        contents(
            collection=Collection("s", "2048", jxl=True, selection=Selection((1.0, 2.0, 3.0, 4.0))),
            balance=Balance(
                saved=9, gone=1, unavailable=2, failed=3, damaged=1, bare=1, vanished=1
            ),
        ),
    ],
    ids=["usual", "hostile", "without anything", "without pictures", "with everything"],
)
def test_it_is_valid_html(made: PageContents) -> None:
    html5lib = pytest.importorskip("html5lib")
    page = written(made)
    html5lib.HTMLParser(strict=True).parse(page)
    assert checked(page) == ""


def test_nothing_is_asked_for_and_nothing_else_may_run() -> None:
    page = written(contents())
    read = Read(page)
    policy = next(
        attributes["content"]
        for tag, attributes in read.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()
        for each in (style, script)
    ]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; "
        f"script-src 'sha256-{digests[1]}'; base-uri 'none'; form-action 'none'"
    )
    assert re.findall(r"\w*://[\w.]*", page) == ["https://www.openstreetmap.org"]  # of a link
    for tag, attributes in read.elements:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("src", "data:")).startswith("data:")
        if tag == "a":
            assert not str(attributes["href"]).startswith(("//", "http"))


def test_one_is_not_called_several() -> None:
    made = contents(1, 1)
    made.census.panoramas = 1
    page = written(made)
    for said in ("sequence", "day", "panorama"):
        assert f"<b>1</b> {said}<" in page


def test_it_says_what_is_there_without_a_script() -> None:
    made = contents()
    page = re.sub("<script.*?</script>", "", written(made), flags=re.DOTALL)
    for said in (
        f"<b>{made.balance.saved:,}</b> images",
        f"<b>{made.census.panoramas:,}</b> panoramas",
        "Apple iPhone 7",
        "deleted on Mapillary before they could be fetched",
        "mapillary-crawler browse mapillary-alice-original",
        f"extract mapillary-alice-original FOLDER --day {made.pictures[0].image.day}",
        f"tail -c +1537 {made.pictures[0].image.tar} | head -c 48213",
        f"curl -r 1536-49748 -o {made.pictures[0].image.image_id}.jpg",
    ):
        assert said in page.replace("&gt;", ">"), said
    assert page.count("<img ") == 16
    assert page.count("<rect ") == len(made.census.months) + len(made.census.cameras)
    assert "The map needs JavaScript" in page


def test_commands_to_copy_hold_no_other_commands() -> None:
    made = contents()
    first, *others = made.pictures
    strange = replace(first, image=replace(first.image, tar="x; touch y #.tar"))
    page = written(replace(made, pictures=(strange, *others)))
    assert "tail -c +1537 &#x27;x; touch y #.tar&#x27; | head" in page
    assert "ADDRESS/&#x27;x; touch y #.tar&#x27;" in page


def test_without_tars_it_says_where_the_files_are() -> None:
    made = contents(tar=False)
    page = written(made)
    assert made.pictures[0].image.member in page
    assert "tar xf" not in page


def test_a_collection_without_a_place_a_date_or_a_camera() -> None:
    page = written(replace(_LONE, census=Census(days=Counter({"unknown-date": 4}))))
    assert "None of the images has a place" in page
    assert "4 images without a date." in page
    assert "Cameras" not in page
    assert 'id="land"' not in page


def test_a_camera_with_a_wrong_clock_leaves_room_for_the_others() -> None:
    days = Counter({f"{year}-01-01": year for year in range(1970, 2200)})
    page = written(replace(_LONE, census=Census(days=days)))
    assert page.count("data-year=") == 40
    assert 'data-year="2199"' in page
    assert "190 years with fewer images not shown." in page


def test_cameras_beyond_what_is_counted_are_others() -> None:
    census = Census()
    rows = [
        {"model": f"camera {number}" if number else 7, "is_pano": number == 1}
        for number in range(6000)
    ]
    told = columns_of(list(map(canonical_line, rows)))
    stretch = Stretch("s", "2024-01-15", [0] * 6000, told)
    assert list(census.counted([stretch])) == [stretch]
    assert (census.images, census.sequences) == (6000, 1)
    assert (len(census.cameras), census.others, census.panoramas) == (5000, 999, 1)


def test_a_million_images_fit() -> None:
    """The largest that pictures, tracks and names can be, side by side."""
    rng, tracks = random.Random(6), Tracks()
    for number in range(2800):
        points = [Point(rng.gauss(10, 0.02), rng.gauss(50, 0.01), None, None) for _ in range(16)]
        tracks.add(line_of(points, f"s{number}", images=357, first=number * 86_400_000))
    made = contents(tracks=tracks)
    full = tuple(
        replace(each, jpeg=each.jpeg + bytes(8192 - len(each.jpeg))) for each in made.pictures
    )
    made.census.cameras.update({f"{number} " * 40: 1 for number in range(50)})
    months = ((year, month) for year in range(1990, 2030) for month in range(1, 13))
    made.census.days.update({f"{year}-{month:02}-07": 123_456 for year, month in months})
    page = written(replace(made, pictures=full)).encode()
    assert len(tracks.packed()) > 100_000
    assert 400_000 < len(page) <= 600_000


def test_colours_are_one_a_year() -> None:
    assert colours(0) == []
    assert len(set(colours(11))) == 11
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours(40))


def test_pictures_come_back_out_of_a_page() -> None:
    made = contents()
    strange = picture("unknown-date", Point(1.0, 2.0, None, 0), 99, image_id='"<&> ü/..')
    made = replace(made, pictures=(*made.pictures[1:], strange))
    found = list(pictures(written(made).encode()))
    assert [(each.day, each.image_id, each.jpeg) for each in found] == [
        (each.image.day, each.image.image_id, each.jpeg) for each in made.pictures
    ]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda page: page.replace(b"data:image/jpeg", b"data:image/svg+xml"), 0),
        (lambda page: page.replace(b'data-day="2', b'data-day="../../2'), 0),
        (lambda page: page.replace(b"base64,", b"base64,AAAA" * 3000), 0),
        (lambda page: page.replace(b'class="sample"', b'class="sample" onload="x"'), 0),
        (lambda page: page * 4, 16),
        (lambda page: page[: len(page) // 2], None),
        (lambda _: b'<img class="sample" data-day="' * 60_000, 0),
        (lambda page: bytes(PAGE_BYTES) + page, 0),
        (lambda _: b"", 0),
    ],
    ids=range(9),
)
def test_what_is_not_as_written_is_passed_over(change: Any, left: int | None) -> None:
    page = change(written(contents()).encode())
    found = list(pictures(page))
    assert left is None or len(found) == left
    assert all(len(each.jpeg) <= 8192 for each in found)


def test_the_pictures_in_docs_are_small() -> None:
    for name, *_ in CAPTURES:
        assert 10_000 < (FOLDER / f"{name}.png").stat().st_size <= MOST_BYTES


def test_the_package_has_what_a_page_is_made_of() -> None:
    folder = Path(__file__).parents[3] / "mapillary_crawler/archive/page"
    beside = {path.name for path in folder.iterdir() if path.suffix in {".css", ".js", ".bin"}}
    assert beside == {"land.bin", "page.css", "page.js"}
    assert all(name in (Path(__file__).parents[3] / "setup.py").read_text() for name in beside)
