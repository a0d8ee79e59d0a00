"""What a command loads: Scrapy imports every command's module, whatever is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.crawling import PROJECT, Crawling

_PROGRAM = """
import sys
from scrapy.cmdline import execute
try:
    execute(["scrapy", *sys.argv[1:]])
finally:
    print(*sys.modules, file=sys.stderr, sep="\\n")
"""
_HEAVY = {
    "numpy", "simplejpeg", "PIL", "jpeg_entropy", "piexif", "aiohttp", "internetarchive",
    "procrastinate", "psycopg",
}  # fmt: skip
#: What help and options need; the rest is imported where a command works.
_LIGHT = (
    "mapillary_crawler.collection.",
    "mapillary_crawler.commands.",
    "mapillary_crawler.terminal.command",
    "mapillary_crawler.terminal.program",
    "mapillary_crawler.terminal.quantities",
    "mapillary_crawler.terminal.quoting",
    "mapillary_crawler.terminal.streams",
    "mapillary_crawler.archive.internet_archive.options",
)


def loaded(crawling: Crawling, *arguments: str) -> set[str]:
    """Return the modules of a command's process at its end."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=PROJECT, env=crawling.environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments", [["-h"], ["status"], ["verify", "-h"], ["crawl", "-h"], ["doctor", "-h"]]
)
def test_nothing_heavy_is_loaded_by_what_shows_little(
    crawling: Crawling, arguments: list[str]
) -> None:
    assert loaded(crawling, *arguments) & _HEAVY == set()


def test_a_commands_module_loads_what_its_help_needs(crawling: Crawling) -> None:
    ours = {name for name in loaded(crawling, "-h") if name.startswith("mapillary_crawler.")}
    assert "mapillary_crawler.commands.ia_upload" in ours
    rooms = {name.rpartition(".")[0] for name in ours}
    assert {name for name in ours - rooms if not name.startswith(_LIGHT)} == {
        "mapillary_crawler.settings"
    }


def test_a_crawl_without_an_upload_loads_nothing_of_one(crawling: Crawling) -> None:
    who = ("-a", "username=bob", "-a", "quality=256", "-a", "check_ia=0")
    modules = loaded(crawling, "crawl", "user", *who)
    assert "mapillary_crawler.spiders.user" in modules
    assert "mapillary_crawler.crawl.rolling_upload" not in modules
    assert modules & {"procrastinate", "psycopg", "mapillary_crawler.workers"} == set()
