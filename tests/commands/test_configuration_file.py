"""`mapillary-crawler.toml` through the real command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mapillary_crawler.collection.configuration_file import NAME
from tests.crawling import PROJECT, SCRAPY, Crawling

pytestmark = pytest.mark.slow


class Folder:
    """A working folder and a user's configuration folder, and the command run there."""

    def __init__(self, crawling: Crawling, tmp_path: Path) -> None:
        self.path = tmp_path / "work"
        self.path.mkdir()
        self.file = self.path / NAME
        self.own = tmp_path / "config" / "mapillary-crawler" / NAME
        self.own.parent.mkdir(parents=True)
        self.environment = {
            **crawling.environment,
            "PYTHONPATH": str(PROJECT),
            "SCRAPY_SETTINGS_MODULE": "mapillary_crawler.settings",
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        }
        del self.environment["MAPILLARY_STORE"]

    def run(self, *command: str, **environment: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [*SCRAPY, *command], cwd=self.path, env=self.environment | environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def folder(crawling: Crawling, tmp_path: Path) -> Folder:
    return Folder(crawling, tmp_path)


def test_a_crawl_has_its_store_and_its_arguments_from_the_file(folder: Folder) -> None:
    folder.file.write_text(
        '[settings]\nMAPILLARY_STORE = "here"\n[arguments]\nquality = 256\ntar = false\n'
    )
    code, lines = folder.run("crawl", "user", "-a", "username=alice")
    assert code == 0, lines
    stored = folder.path / "here" / "mapillary-alice-256"
    assert lines[0] == f"Archiving alice to {stored}, with settings from {folder.file}"
    assert (stored / "metadata.jsonl.gz").is_file()
    assert not list(stored.glob("*.tar"))


def test_several_users_have_the_same_file_and_the_command_line_wins(folder: Folder) -> None:
    folder.own.write_text('[settings]\nMAPILLARY_STORE = "own"\n[arguments]\nquality = 1024\n')
    code, lines = folder.run("archive", "alice", "bob", "-a", "quality=256")
    assert code == 0, lines
    assert sum(f", with settings from {folder.own}" in line for line in lines) == 2
    found = sorted(path.name for path in (folder.path / "own").glob("mapillary-*"))
    assert found == ["mapillary-alice-256", "mapillary-bob-256"]


def test_the_value_in_force_is_that_of_the_nearest(folder: Folder) -> None:
    def value(*options: str, **environment: str) -> list[str]:
        code, lines = folder.run("settings", *options, "--get", "IMAGE_ATTEMPTS", **environment)
        assert code == 0
        return lines

    assert value() == ["6", "IMAGE_ATTEMPTS is from its default"]
    folder.own.write_text("[settings]\nIMAGE_ATTEMPTS = 2\n")
    assert value() == ["2", f"IMAGE_ATTEMPTS is from {folder.own}"]
    folder.file.write_text("[settings]\nIMAGE_ATTEMPTS = 3\nIA_PATIENCE = '1h'\n")
    assert value() == ["3", f"IMAGE_ATTEMPTS is from {folder.file}"]
    assert value(IMAGE_ATTEMPTS="4") == ["4", "IMAGE_ATTEMPTS is from the environment"]
    found = value("-s", "IMAGE_ATTEMPTS=5", IMAGE_ATTEMPTS="4")
    assert found == ["5", "IMAGE_ATTEMPTS is from the command line"]
    assert folder.run("settings", "--get", "BOT_NAME") == (0, ["mapillary_crawler"])


def test_the_doctor_says_where_each_setting_is_from(folder: Folder) -> None:
    folder.file.write_text("[settings]\nIMAGE_ATTEMPTS = 3\nIA_PATIENCE = '1h'\n")
    _, lines = folder.run("doctor", "-s", "API_PATIENCE=1h", IA_PATIENCE="2h")
    (said,) = (line for line in lines if line.startswith("settings "))
    assert "API_PATIENCE from the command line" in said
    assert "IA_PATIENCE from the environment" in said
    assert f"IMAGE_ATTEMPTS from {folder.file}" in said
    assert "MAPILLARY_API_URL from the environment" in said
    assert said.endswith("all others by default")


@pytest.mark.parametrize("command", [("status",), ("settings", "--get", "BOT_NAME"), ("list",)])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[settings]\nIMAGE_ATTEMPTS =\n", "Invalid value (at line 2, column 17)"),
        ("[settings]\nIMAGE_ATEMPTS = 3\n", "did you mean IMAGE_ATTEMPTS?"),
        ("[settings]\nMAPILLARY_TOKEN = 'MLY|1|ab'\n", "set it in the environment"),
        ("[settings]\nMAPILLARY_API_URL = 'https://a.example'\n", "in the environment or in"),
        ("[arguments]\naccept_failed = 1\n", "may not stand in a file of the working folder"),
    ],
)
def test_what_is_wrong_ends_every_command_with_one_line(
    folder: Folder, command: tuple[str, ...], content: str, said: str
) -> None:
    """Scrapy's own commands, too, which read the settings before anything of ours."""
    folder.file.write_text(content)
    code, lines = folder.run(*command)
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith(f"{folder.file}: ")
    assert said in lines[0]
    assert "MLY" not in lines[0]


def test_a_value_that_cannot_be_is_named_with_its_file(folder: Folder) -> None:
    folder.file.write_text("[settings]\nTAR_MAX_BYTES = '1G'\nIMAGE_ATTEMPTS = 3\n")
    code, (line,) = folder.run("status")
    assert code == 2
    assert f"TAR_MAX_BYTES '1G' of {folder.file} is not understood" in line
    code, (line,) = folder.run("status", "-s", "TAR_MAX_BYTES=1", IMAGE_ATTEMPTS="0")
    assert "IMAGE_ATTEMPTS '0' is out of range" in line


def test_what_is_fixed_cannot_be_changed_by_a_file(folder: Folder) -> None:
    """A value of a file is a wish as one of the environment is, not a default."""
    arguments = ("crawl", "user", "-a", "username=alice", "-a", "quality=256", "-a", "webp=1")
    assert folder.run(*arguments, "-s", "CLOSESPIDER_ITEMCOUNT=5", WEBP_QUALITY="60")[0] == 4
    folder.file.write_text("[settings]\nWEBP_QUALITY = 61\n")
    code, lines = folder.run(*arguments)
    assert code == 2
    assert "60" in lines[-1]


def test_what_is_archived_is_not_asked_for_otherwise_by_a_file(folder: Folder) -> None:
    arguments = ("crawl", "user", "-a", "username=bob", "-a", "quality=256", "-a", "webp=1")
    assert folder.run(*arguments, WEBP_QUALITY="60")[0] == 0
    folder.file.write_text("[settings]\nWEBP_QUALITY = 61\n[arguments]\ntar = 0\nwebp = 1\n")
    code, lines = folder.run(*arguments)
    assert code == 0, lines
    assert "is archived since" in lines[-1]
    several = folder.run("archive", "bob", "-a", "quality=256")
    assert (several[0], several[1][-1]) == (0, "1 user: 1 archived before")
    for typed, said in ((["-a", "tar=0"], "tar=0 does"), (["-s", "WEBP_QUALITY=61"], "=61 does")):
        code, lines = folder.run(*arguments, *typed)
        assert (code, len(lines)) == (2, 1)
        assert said in lines[0]


def test_another_process_of_the_spider_has_the_defaults_of_arguments_too(folder: Folder) -> None:
    """A script that runs the spider without the command."""
    folder.file.write_text("[arguments]\nquality = 256\n")
    script = (
        "from scrapy.crawler import AsyncCrawlerProcess\n"
        "from scrapy.utils.project import get_project_settings\n"
        "process = AsyncCrawlerProcess(get_project_settings())\n"
        "process.crawl('user', username='bob')\n"
        "process.start()\n"
    )
    subprocess.run(
        [SCRAPY[0], "-c", script], cwd=folder.path, env=folder.environment, check=True,
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert os.listdir(folder.path / "mapillary_data") == ["mapillary-bob-256"]  # noqa: PTH208
