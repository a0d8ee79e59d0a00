"""The names in a collection's folder, and what the document of the format says of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import mapillary_crawler
from mapillary_crawler.collection import layout
from mapillary_crawler.collection.layout import tar_name

PACKAGE = Path(mapillary_crawler.__file__).parent
DOCUMENT = PACKAGE.parent / "docs" / "data-format.md"

#: Names that nobody spells but `layout`: the value of each text or path in it.
NAMES = {
    str(value)
    for name, value in vars(layout).items()
    if name.isupper() and isinstance(value, str | Path)
} - {layout.TAR, layout.REBUILDING, "#"}  # a colour begins so, too
#: The sandbox is a house of its own, with an archive.org of its own.
HOUSES = frozenset({"sandbox"})


def spelt(path: Path) -> list[str]:
    """Return the texts of a module, but for those that are for people: sentences, docstrings."""
    return [
        node.value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and not re.search(r"\s", node.value)
    ]


def test_no_other_module_spells_a_name() -> None:
    inner = tuple(f"{folder}/" for folder in (layout.STATE, layout.META))
    found = {
        path.relative_to(PACKAGE).as_posix(): texts
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in HOUSES and path != Path(layout.__file__)
        if (texts := [text for text in spelt(path) if text in NAMES or text.startswith(inner)])
    }
    assert found == {}


PUBLISHED = (
    layout.METADATA, layout.CHECKSUMS, layout.GONE, layout.DAMAGED, layout.SUMS, layout.THUMBNAIL,
    layout.META, layout.LOGS.removesuffix("*"), layout.STATE,
)  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_document_has_what_is_published(name: str) -> None:
    assert name in DOCUMENT.read_text("utf-8")


@pytest.mark.parametrize(
    ("path", "own", "summed"),
    [
        (".crawl/ledger.sqlite", True, False),
        (".meta/title/0", True, False),
        ("download.log.20240115T000000Z", True, False),
        ("SHA256SUMS", False, False),
        ("__ia_thumb.jpg", False, False),
        ("metadata.jsonl.gz", False, True),
        ("2024-01-15.tar", False, True),
        ("2024-01-15/s/1.jpg", False, True),
        (".crawler", False, False),
        ("2024-01-15/.crawl/1.jpg", False, True),
    ],
)
def test_whose_a_file_is(path: str, own: bool, summed: bool) -> None:
    assert (layout.is_own(path), layout.is_summed(path)) == (own, summed)


@pytest.mark.parametrize(
    ("path", "worthless"),
    [
        (".crawl/ledger.sqlite", True),
        (".crawl/ledger.sqlite-wal", True),
        (".crawl/progress.json", True),
        ("download.log.20240115T000000Z", True),
        (".crawl/adoption.jsonl", False),
        ("2024-01-15/1.jpg", False),
    ],
)
def test_what_a_run_without_images_leaves(path: str, worthless: bool) -> None:
    assert layout.is_worthless(path) is worthless


def test_tar_names():
    assert [tar_name("unknown-date", part) for part in (0, 1, 12)] == [
        "unknown-date.tar", "unknown-date.1.tar", "unknown-date.12.tar",
    ]  # fmt: skip
