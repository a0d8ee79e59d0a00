"""The service of docs/unattended.md, as systemd reads it and as it runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mapillary_crawler.collection.configuration_file import SETTINGS
from mapillary_crawler.collection.limits import MIB
from mapillary_crawler.collection.units import read_size
from mapillary_crawler.crawl.usernames_given import read_names
from tests.crawling import PROJECT, Crawling

PAGE = PROJECT / "docs" / "unattended.md"
INSTALLED = "/opt/mapillary/bin"
SERVICE = "mapillary-archive.service"


def files() -> dict[str, str]:
    """Return the files that the page has, by name."""
    found = re.findall(r"\*\*`/\S+/(\S+)`\*\*.*?\n```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(found)


def variables() -> dict[str, str]:
    """Return the variables of the page's environment file."""
    return dict(line.split("=", 1) for line in files()["environment"].splitlines())


def command() -> list[str]:
    """Return the words of the service's command."""
    joined = files()[SERVICE].replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", joined, re.MULTILINE)
    return shlex.split(line)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Make the folder of an installed program."""
    program = tmp_path / "bin" / "mapillary-crawler"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mapillary_crawler "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_nothing_against_the_units(program: Path, tmp_path: Path) -> None:
    units = [name for name in files() if name.endswith((".service", ".timer"))]
    assert len(units) == 2
    for name in units:
        text = files()[name].replace(INSTALLED, str(program.parent))
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in units)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stop_reaches_the_crawls_once() -> None:
    """archive passes it on, and a second signal would end them at once."""
    assert "\nKillMode=mixed\n" in files()[SERVICE]


def test_what_the_environment_says_is_understood() -> None:
    given = variables()
    keys = {"MAPILLARY_TOKEN", "IA_ACCESS_KEY_ID", "IA_SECRET_ACCESS_KEY"}
    assert keys <= set(given) <= keys | SETTINGS
    part, most = (read_size(given[name]) for name in ("TAR_MAX_BYTES", "STAGING_MAX_BYTES"))
    assert 2 * part + 64 * MIB <= most
    assert read_names(files()["names.txt"].splitlines()) == ["alice", "bob"]


@pytest.mark.slow
def test_its_command_is_understood(program: Path, crawling: Crawling) -> None:
    """Without names there is nothing to do, which is said once all else is found good."""
    names = crawling.store.parent / "names.txt"
    names.write_text("# nobody\n")
    words = [word.replace("/etc/mapillary/names.txt", str(names)) for word in command()]
    crawling.command_line = [word.replace(INSTALLED, str(program.parent)) for word in words[:1]]
    result = crawling.scrapy(*words[1:])
    assert (result.code, len(result.lines)) == (2, 1)
    assert "say which users" in result.output
