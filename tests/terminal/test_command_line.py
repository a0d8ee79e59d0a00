"""Scrapy's command line says the name that was typed, and looks for no scrapy.cfg."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scrapy import cmdline
from scrapy.utils.misc import walk_modules_iter

from mapillary_crawler.terminal import command_line
from tests.crawling import PROJECT


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what the command line replaces; the texts of commands are made at their import."""
    for _ in walk_modules_iter("mapillary_crawler.commands"):
        pass
    for name in ("ScrapyArgumentParser", "_print_commands", "_print_unknown_command"):
        monkeypatch.setattr(cmdline, name, getattr(cmdline, name))
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "mapillary_crawler.settings")


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[object, str, str]:
    """Return the exit code of a command, its output and its errors."""
    monkeypatch.setattr(sys, "argv", ["/x/mapillary-crawler", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.run()
    return (ended.value.code, *capsys.readouterr())


@pytest.mark.parametrize("arguments", [[], ["-h"]])
def test_list_of_commands(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text, errors = said(capsys, monkeypatch, *arguments)
    assert (code, errors) == (0, "")
    assert "\nUsage:\n  mapillary-crawler <command> [options] [args]\n" in text
    assert "\n  crawl         Archive the images of a Mapillary user\n" in text
    assert "\n  fetch         Fetch a URL" in text
    assert max(map(len, text.splitlines())) <= 80
    assert 'Use "mapillary-crawler <command> -h"' in text


def test_unknown_command_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "mapillary-crawler: there is no command {}{} see mapillary-crawler -h\n"
    for typed, meant in (("crwal", "; did you mean crawl?"), ("qqq", ";")):
        assert said(capsys, monkeypatch, typed) == (2, "", line.format(repr(typed), meant))


@pytest.mark.parametrize("command", ["crawl", "status", "fetch", "settings"])
def test_usage_of_a_command(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text, _ = said(capsys, monkeypatch, command, "-h")
    assert code == 0
    assert f"  mapillary-crawler {command} " in text


def test_what_scrapys_own_commands_refuse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, errors = said(capsys, monkeypatch, "settings", "--getint")
    assert code == 2
    assert errors.endswith("mapillary-crawler: error: argument --getint: expected one argument\n")


@pytest.mark.slow
def test_another_projects_scrapy_cfg_does_not_take_over(tmp_path: Path) -> None:
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = other.settings\n")
    staging = tmp_path / "mapillary_data" / ".incomplete"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "SCRAPY_SETTINGS_MODULE": "other"}
    for arguments, code, line in (
        (["settings", "--get", "BOT_NAME"], 0, "mapillary_crawler\n"),
        (["clean"], 0, f"There is nothing to remove in {staging}\n"),
        (
            ["verify"],
            2,
            "python -m mapillary_crawler verify: "
            "say which collection: python -m mapillary_crawler verify COLLECTION\n",
        ),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "mapillary_crawler", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout + done.stderr) == (code, line)


@pytest.mark.slow
def test_texts_of_commands_have_the_name() -> None:
    """Of a process of its own: the texts are made when the commands are imported."""
    for command in ("crawl", "status", "adopt", "sandbox"):
        done = subprocess.run(
            [sys.executable, "-m", "mapillary_crawler", command, "-h"],
            cwd=PROJECT, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert f"  python -m mapillary_crawler {command} " in done.stdout
        assert done.stdout.count(f"python -m mapillary_crawler {command} ") > 1  # an example, too
        assert "scrapy " not in done.stdout
