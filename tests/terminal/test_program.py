"""What hints tell a person to type is what the person has typed."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scrapy.cmdline import _get_commands_dict
from scrapy.settings import Settings

from mapillary_crawler.terminal.program import program, program_name, program_typed
from tests.crawling import PROJECT

PACKAGE = PROJECT / "mapillary_crawler"


@pytest.mark.parametrize(
    ("script", "name", "again"),
    [
        ("/x/bin/mapillary-crawler", "mapillary-crawler", ["/x/bin/mapillary-crawler"]),
        ("bin/mapillary-crawler", "mapillary-crawler", ["bin/mapillary-crawler"]),
        ("/x/mapillary-crawler-2", "mapillary-crawler-2", ["/x/mapillary-crawler-2"]),
        (
            "/x/mapillary_crawler/__main__.py",
            "python -m mapillary_crawler",
            ["-m", "mapillary_crawler"],
        ),
        ("/x/bin/scrapy", "scrapy", ["-m", "scrapy"]),
        ("/x/scrapy/__main__.py", "scrapy", ["-m", "scrapy"]),
        ("/x/scrapyd/runner.py", "scrapy", ["-m", "scrapy"]),
        ("-c", "scrapy", ["-m", "scrapy"]),
        ("", "scrapy", ["-m", "scrapy"]),
    ],
)
def test_name_and_command_are_those_of_the_person(
    script: str, name: str, again: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "crawl"])
    assert program_name() == name
    assert program() == [sys.executable, *again]


@pytest.mark.parametrize(
    ("script", "typed"),
    [
        (".venv/bin/scrapy", ".venv/bin/scrapy"),
        ("bin/mapillary-crawler", "bin/mapillary-crawler"),
        ("/x/bin/scrapy", "scrapy"),
        ("/x/mapillary_crawler/__main__.py", "python -m mapillary_crawler"),
        ("tests/some.py", "scrapy"),
    ],
)
def test_a_folder_that_the_person_has_said_is_kept(
    script: str, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [script])
    assert program_typed() == typed


def literals(path: Path) -> Iterator[str]:
    """Yield the strings of a module, but for docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def test_nothing_else_spells_the_command() -> None:
    """A text that says what to type has the name from `program_name`."""
    commands = _get_commands_dict(Settings({"COMMANDS_MODULE": "mapillary_crawler.commands"}), True)
    spelt = re.compile(rf"^scrapy$|(?<![\w-])scrapy (?:{'|'.join(commands)}|-|<|[A-Z])")
    found = {
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "terminal" / "program.py"
        for text in literals(path)
        if spelt.search(text)
    }
    assert found == set()
