"""Commands take the names that people know, and show them beside the escaped ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling

pytestmark = pytest.mark.long

USERS = [{"username": "b ö", "images": 5}, {"username": "-dash", "images": 4}]
FOLDER = "mapillary-b_u20__uf6_-256"
SHOWN = f"{FOLDER} (b ö)"
PROFILE = "https://www.mapillary.com/app/user/b%20%C3%B6?lat=1"


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawling]:
    """Crawl a user by the address of the profile, at two qualities."""
    with Sandbox.running(USERS, seed=5) as sandbox:
        crawling = Crawling(tmp_path_factory.mktemp("names") / "store", sandbox)
        for quality in ("256", "1024"):
            result = crawling.run(username=PROFILE, quality=quality, check_ia=0)
            assert result.code == 0, result.output
            assert result.lines[0].startswith("Archiving b ö to ")
        yield crawling


def test_the_last_line_shows_the_user(crawled: Crawling) -> None:
    result = crawled.run(username="b ö", quality="256")
    assert f"{SHOWN} is archived since" in result.lines[-1]


@pytest.mark.parametrize("named", ["b ö", PROFILE, "mapillary_store"])
def test_status_and_verify_by_the_user_s_name(crawled: Crawling, named: str) -> None:
    named = str(crawled.store / FOLDER) if named == "mapillary_store" else named
    status = crawled.scrapy("status", named, "-a", "quality=256")
    assert status.code == 0, status.output
    assert SHOWN in status.output
    assert "1024" not in status.output
    verified = crawled.scrapy("verify", named, "-a", "quality=256")
    assert verified.code == 0, verified.output
    assert verified.lines[-1].startswith(f"{SHOWN}: all is well: ")


def test_where_several_fit_the_line_lists_which(crawled: Crawling) -> None:
    both = crawled.scrapy("status", "b ö")
    assert both.code == 0
    assert both.output.count("(b ö)") >= 2
    for command in ("verify", "ia_upload"):
        result = crawled.scrapy(command, "b ö")
        assert (result.code, len(result.lines)) == (2, 1)
        assert f"collections: {FOLDER.replace('256', '1024')}, {FOLDER}" in result.output
    wrong = crawled.scrapy("verify", "b ö", "-a", "webp=1")
    assert (wrong.code, len(wrong.lines)) == (2, 1)


def test_an_upload_by_the_user_s_name(crawled: Crawling) -> None:
    result = crawled.scrapy("ia_upload", "--dry-run", "b ö", "-a", "quality=256")
    assert result.code == 0, result.output
    assert any(line.startswith(f"{SHOWN}: ") for line in result.lines)


def test_what_is_wrong_has_the_user_beside_it(crawled: Crawling) -> None:
    stranger = crawled.store / FOLDER / "notes.txt"
    stranger.write_text("mine")
    try:
        verified = crawled.scrapy("verify", FOLDER)
        refused = crawled.scrapy("verify", FOLDER, "--json")
    finally:
        stranger.unlink()
    assert verified.lines[0].startswith(f"{SHOWN}/notes.txt: extra")
    assert json.loads(refused.lines[0])["collection"] == FOLDER


def test_ia_stats_has_the_user_s_name(crawled: Crawling, tmp_path: Path) -> None:
    items = {FOLDER: {"metadata": {"identifier": FOLDER, "mapillary_downloader": "0.1"}}}
    with Sandbox.running([], items=items) as sandbox:
        stats = Crawling(tmp_path / "store", sandbox)
        stats.environment["XDG_CACHE_HOME"] = str(tmp_path)
        result = stats.scrapy("ia_stats", "--users")
    assert result.code == 0, result.output
    assert any(line.startswith("b ö ") for line in result.lines)
    assert "_u20_" not in result.output


def test_a_plan_of_a_collection(crawled: Crawling) -> None:
    result = crawled.scrapy("plan", FOLDER)
    assert result.code == 0
    assert f"{SHOWN} is archived since" in result.output
    other = crawled.scrapy("plan", str(crawled.store / FOLDER), "-a", "quality=2048")
    assert (other.code, len(other.lines)) == (2, 1)
    assert "has quality=256, not 2048" in other.output


def test_a_selection_of_what_is_here_whole_says_so(crawled: Crawling) -> None:
    result = crawled.run(username="b ö", quality="256", start="2001-01-01", check_ia=0)
    assert result.code == 0, result.output
    assert result.lines[0].count(f"is here already: {crawled.store / FOLDER} (also here: ") == 1


def test_another_fixed_value_for_what_is_archived(crawled: Crawling) -> None:
    result = crawled.run(username="b ö", quality="256", tar=0)
    assert (result.code, len(result.lines)) == (2, 1)
    assert "tar=0 does not fit: this collection was begun with tar=1" in result.output


@pytest.mark.parametrize("name", ["@b ö", " b ö "])
def test_what_nobody_is_called_is_pointed_out(crawled: Crawling, name: str) -> None:
    result = crawled.run(username=name, quality="256", check_ia=0)
    assert result.code == 8
    assert "; is the name 'b ö'?" in result.lines[-1]


def test_a_box_with_latitude_first_is_pointed_out(crawled: Crawling) -> None:
    result = crawled.run(username="b ö", quality="256", bbox="52.4,13.3,52.6,13.5", check_ia=0)
    assert result.code == 8
    assert "with latitude first it would be -a bbox=13.3,52.4,13.5,52.6" in result.lines[-1]


def test_a_name_that_begins_with_a_dash(crawled: Crawling, tmp_path: Path) -> None:
    options = ("-a", "quality=256", "-a", "check_ia=0", "--nolog")
    result = crawled.scrapy("archive", *options, "--", "-dash")
    assert result.code == 0, result.output
    assert (crawled.store / "mapillary--dash-256").is_dir()
    assert crawled.scrapy("status", "--", "-dash").code == 0
    assert crawled.scrapy("verify", "--fast", "--", "-dash").code == 0
    assert crawled.scrapy("clean", "--", "-dash").code == 2
