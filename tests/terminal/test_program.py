"""What hints tell a person to type is what the person has typed."""

from __future__ import annotations

import sys

import pytest

from mapillary_crawler.terminal.program import program, program_name


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
