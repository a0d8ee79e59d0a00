"""The viewer's front end as files: nothing inline, nothing from elsewhere, nothing missing."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser

import pytest

from mapillary_crawler.archive.browse.static import FOLDER

SCRIPTS = sorted(path.name for path in FOLDER.glob("*.js"))
#: Links that leave this machine, where they are followed.
LINKS = {"https://www.openstreetmap.org/", "https://www.mapillary.com/app/"}


class Elements(HTMLParser):
    """The elements of a page with their attributes, and what scripts and styles it has inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inline = ""
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in {"script", "style"}:
            self.inline += data

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.found if name in attributes]


@pytest.fixture(scope="module")
def page() -> Elements:
    return Elements((FOLDER / "viewer.html").read_text())


def test_nothing_is_inline(page: Elements) -> None:
    assert page.inline.strip() == ""
    names = {name for _, attributes in page.found for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_everything_is_here(page: Elements) -> None:
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    for address in page.values("src") + page.values("href"):
        if address.startswith("#"):
            assert address == "#" or address[1:] in ids
        else:
            assert (FOLDER / address.removeprefix("/static/")).is_file(), address
    for reference in page.values("for") + page.values("aria-labelledby"):
        assert reference in ids


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_names_is_there(name: str, page: Elements) -> None:
    text = (FOLDER / name).read_text()
    for imported in re.findall(r'from "\./([^"]+)"', text):
        assert (FOLDER / imported).is_file(), imported
    for identifier in re.findall(r'byId\("([^"]+)"\)', text):
        assert identifier in page.values("id"), identifier
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)
    addresses = set(re.findall(r"https?://[^?`\"']+", text))
    assert addresses <= LINKS


def test_every_script_is_used() -> None:
    imported = {"viewer.js"}
    for name in SCRIPTS:
        imported |= set(re.findall(r'from "\./([^"]+)"', (FOLDER / name).read_text()))
    assert imported == set(SCRIPTS)


def test_the_panorama_library_is_the_one_its_readme_names() -> None:
    folder = FOLDER / "pannellum"
    said = dict(
        re.findall(r"\| `(\S+)` \| `([0-9a-f]{64})` \|", (folder / "README.md").read_text())
    )
    assert said == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("pannellum.js", "pannellum.css")
    }
    assert (folder / "COPYING").read_text().startswith("Copyright")
