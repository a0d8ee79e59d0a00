"""What a terminal is shown, at four widths: nothing wider than it, and no word broken."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.cells import cell_len

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, wait_until
from tests.pseudo_terminal import CONTROL, on_terminal

pytestmark = pytest.mark.long

WIDTHS = (60, 80, 120, 200)
CJK, EMOJI, LONG = "日本の写真家さん", "🚲photos🗾", f"a-long-name-{'x' * 60}"
USERS = [{"username": name, "images": 20} for name in ("alice", CJK, EMOJI, LONG)]
COMMANDS = [
    "crawl", "archive", "plan", "status", "verify", "clean", "adopt", "ia_stats", "ia_upload",
    "demo", "doctor", "sandbox", "tracks", "extract", "export", "page",
]  # fmt: skip
#: Shows the help of each command, all in one process.
HELPS = f"""
from scrapy.cmdline import execute
for command in {COMMANDS!r}:
    try:
        execute(["scrapy", command, "-h"])
    except SystemExit:
        pass
"""


@pytest.fixture(scope="module")
def crawling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawling]:
    """Return a store with collections of all these names and one that is unreadable.

    The upload of one has begun.
    """
    with Sandbox.running(USERS) as sandbox:
        crawling = Crawling(tmp_path_factory.mktemp("widths") / "store", sandbox)
        names = [user["username"] for user in USERS]
        result = crawling.scrapy("archive", *names, "--jobs=2", "-aquality=256", "-acheck_ia=0")
        assert result.code == 0, result.output
        with closing(Ledger(crawling.store / "mapillary-alice-256" / LEDGER_PATH)) as ledger:
            ledger.facts.set(uploaders={})
        broken = crawling.store / "mapillary-broken-256" / LEDGER_PATH
        broken.parent.mkdir(parents=True)
        broken.write_bytes(b"no database" * 100)
        yield crawling


def shown(crawling: Crawling, command: list[str], columns: int, question: str = "") -> list[str]:
    """Return the lines that a terminal is given; those drawn anew are all among them."""
    with on_terminal(command, crawling.environment, PROJECT, columns) as terminal:
        if question:
            wait_until(lambda: question in terminal.text)
            terminal.type("n\n")
        terminal.wait()
    assert "Traceback" not in terminal.text
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", CONTROL.sub("", terminal.raw))]
    for line in lines:  # a word that is wider than the terminal alone has a line of its own
        assert cell_len(line) <= columns or len(line.split()) == 1, line
    return lines


def words(lines: list[str]) -> set[str]:
    """Return the words of lines; figures and what stands for more of a line are none."""
    found = (re.sub(r"\d+", "0", word) for line in lines for word in line.split())
    return {word for word in found if not set(word) <= set("─━╸╺\\") and not word.endswith("…")}


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["status", "--failed", f"mapillary-{'x' * 100}"],
        ["doctor"],
        ["plan", CJK, "-a", "quality=256"],
        ["verify", "alice-256", "--fast"],
        ["ia_stats", "--users"],
        ["ia_upload", "--dry-run", CJK, "-a", "quality=256"],
        ["archive", "alice", CJK, EMOJI, LONG, "--jobs=2", "-a", "quality=256"],
    ],
    ids=lambda command: command[0] if isinstance(command, list) else None,
)
def test_lines_fit_and_words_are_whole(crawling: Crawling, command: list[str]) -> None:
    by_width = {width: shown(crawling, [*SCRAPY, *command], width) for width in WIDTHS}
    whole = words(by_width[WIDTHS[-1]])
    for width, lines in by_width.items():
        assert words(lines) <= whole, width


def test_what_is_cleaned_fits(crawling: Crawling) -> None:
    plan = crawling.scrapy("plan", CJK, "-aquality=256", "-astart=2003-01-01")
    assert plan.code == 0, plan.output
    by_width = {width: shown(crawling, [*SCRAPY, "clean"], width, "[y/N]") for width in WIDTHS}
    assert any("Remove them?" in line for line in by_width[WIDTHS[0]])
    for lines in by_width.values():
        assert words(lines) <= words(by_width[WIDTHS[-1]])


@pytest.mark.parametrize("columns", WIDTHS)
def test_status_says_at_any_width_what_archive_org_has(crawling: Crawling, columns: int) -> None:
    found = words(shown(crawling, [*SCRAPY, "status"], columns))
    assert found >= {"archive.org", "waits", "verified", "state", "left"}
    assert columns < WIDTHS[-1] or "here" in found


def test_help_fits_and_words_are_whole(crawling: Crawling) -> None:
    command = [sys.executable, "-c", HELPS]
    by_width = {width: shown(crawling, command, width) for width in WIDTHS}
    whole = words(by_width[WIDTHS[-1]])
    assert len(whole) > 500
    for width, lines in by_width.items():
        assert words(lines) <= whole, width


@pytest.mark.parametrize("columns", WIDTHS)
def test_crawl_and_plan_fit(crawling: Crawling, columns: int) -> None:
    """What is drawn anew differs from run to run, so that only its width is looked at."""
    for start in (["crawl", "user", "-v", f"-ausername={LONG}"], ["plan", EMOJI]):
        selection = ["-a", f"end=2{columns:03}-01-01", "-s", "IMAGES_MIN_WIDTH=9"]
        lines = shown(crawling, [*SCRAPY, *start, "-aquality=256", *selection], columns)
        for part in ("in flight", " of "):
            assert any(part in line for line in lines), part


def test_name_that_status_shows_is_found(crawling: Crawling) -> None:
    (line,) = [each for each in shown(crawling, [*SCRAPY, "status"], 80) if "alice-256" in each]
    assert not line.startswith("mapillary-")
    result = crawling.scrapy("status", line.split()[0])
    assert result.code == 0
    assert "mapillary-alice-256  archived" in result.output


def test_command_that_goes_on_can_be_copied(crawling: Crawling, tmp_path: Path) -> None:
    """A command in several rows is one command to a shell."""
    lines = shown(crawling, [*SCRAPY, "plan", "alice", "-aquality=1024", "-astart=2001-01-01"], 60)
    start = next(number for number, line in enumerate(lines) if line.startswith("  crawl "))
    assert lines[start].endswith(" \\")
    text = "\n".join(line for line in lines[start:] if line).replace("\\\n", "")
    assert text.split()[1:] == [
        "scrapy", "crawl", "user", "-a", "username=alice", "-a", "quality=1024", "-a",
        "start=2001-01-01",
    ]  # fmt: skip
