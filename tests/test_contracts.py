"""The walls between rooms (`pyproject.toml`, import-linter): each contract can fail.

That they hold is for `make lint` to say.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mapillary_crawler

PACKAGE = Path(mapillary_crawler.__file__).parent
CONFIGURATION = PACKAGE.parent / "pyproject.toml"
LINTER = Path(sys.executable).with_name("lint-imports")

#: For each contract an import that it forbids: who imports, what, and how the report names it.
FORBIDDEN = {
    "downwards": ("collection.names", "mapillary_crawler.crawl.listing_end", None),
    "circles": ("collection.balance", "mapillary_crawler.ledger.records", ".collection -> .ledger"),
    "archive": ("archive.finish.parts", "mapillary_crawler.archive.verify.tar_walk", None),
    "sql": ("graph.api", "sqlite3", None),
    "internetarchive": ("archive.internet_archive.upload", "internetarchive", None),
    "crawl-without-internetarchive": (
        "crawl.listing_end",
        "mapillary_crawler.archive.internet_archive.session",
        None,
    ),
    "piexif": ("image.xmp", "piexif", None),
    "pyarrow": ("archive.export.rows", "pyarrow", None),
    "procrastinate": ("commands.archive", "procrastinate", None),
    "graph": ("graph.api", "mapillary_crawler.ledger.ledger", None),
    "image": ("image.fields", "scrapy", None),
    "collection": ("collection.lock", "scrapy", None),
    "pure": ("graph.rows", "mapillary_crawler.image.webp", None),
    "sandbox": ("crawl.listing_end", "mapillary_crawler.sandbox.catalogue", None),
}


def contracts() -> list[dict[str, Any]]:
    """Return the contracts as they are configured."""
    configuration = tomllib.loads(CONFIGURATION.read_text("utf-8"))
    found: list[dict[str, Any]] = configuration["tool"]["importlinter"]["contracts"]
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return the package and its contracts, to be spoilt."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=ignored)
    shutil.copy(CONFIGURATION, tmp_path)
    return tmp_path


def test_each_contract_has_its_import() -> None:
    assert {contract["id"] for contract in contracts()} == FORBIDDEN.keys()


@pytest.mark.parametrize("contract", FORBIDDEN)
def test_a_contract_can_fail(contract: str, copy: Path) -> None:
    importer, imported, named = FORBIDDEN[contract]
    module = copy / PACKAGE.name / f"{importer.replace('.', '/')}.py"
    line = len(module.read_text("utf-8").splitlines()) + 1
    with module.open("a", encoding="utf-8") as file:
        file.write(f"import {imported}\n")
    ran = subprocess.run(
        [LINTER, "--no-logo", "--no-cache", "--contract", contract],
        cwd=copy,
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = " ".join(ran.stdout.split())
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert " BROKEN" in said
    assert (named or f"{PACKAGE.name}.{importer} -> {imported} (l.{line})") in said, ran.stdout


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in PACKAGE.rglob("*.py"):
        parts = (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
        yield ".".join(parts), ast.parse(path.read_text("utf-8"))


def test_what_calls_itself_pure_is_held_to_it() -> None:
    (pure,) = (contract for contract in contracts() if contract["id"] == "pure")
    held = tuple(f"{room}." for room in pure["source_modules"])
    called = {
        name for name, tree in modules() if (ast.get_docstring(tree) or "").startswith("Pure")
    }
    assert {name for name in called if not f"{name}.".startswith(held)} == set()


def test_faces_hold_a_docstring_and_nothing_else() -> None:
    for name, tree in modules():
        if name.endswith(".__init__") and name != f"{PACKAGE.name}.__init__":
            assert ast.get_docstring(tree), name
            assert len(tree.body) == 1, name
