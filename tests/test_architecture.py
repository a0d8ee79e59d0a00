"""The architecture page names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mapillary_crawler"
PAGES = ("docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md")


def named(page: str) -> list[str]:
    text = (ROOT / page).read_text("utf-8")
    return sorted(set(re.findall(r"`([a-z_/]+(?:\.py|/))[`:]", text)))


@pytest.mark.parametrize(("page", "name"), [(page, name) for page in PAGES for name in named(page)])
def test_what_a_page_names_is_there(page: str, name: str) -> None:
    places = [PACKAGE / name, ROOT / name, *PACKAGE.rglob(name.rstrip("/"))]
    assert any(place.exists() for place in places), f"{page} names {name}"
