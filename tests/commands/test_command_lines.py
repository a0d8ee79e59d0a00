"""Wrong arguments and help of the commands; Scrapy's command line runs in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from scrapy.cmdline import execute

from mapillary_crawler.collection.arguments import ARGUMENTS
from mapillary_crawler.collection.outcome import Outcome
from tests.crawling import PROJECT

COMMANDS = [
    "crawl", "archive", "plan", "status", "verify", "clean", "adopt", "ia_stats", "ia_upload",
    "demo", "doctor", "tracks", "extract", "export", "browse", "page",
]  # fmt: skip


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Point the command line at the project and at a store that is empty."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "mapillary_crawler.settings")
    monkeypatch.setenv("MAPILLARY_TOKEN", "MLY|1|2")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("MAPILLARY_STORE", raising=False)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        execute(["scrapy", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "nothing"], "there is no collection 'nothing'"),
        (["status", "./nothing"], "there is no collection './nothing'"),
        (["status", "--faults"], "unknown option --faults"),
        (["verify"], "say which collection"),
        (["verify", "nothing"], "there is no collection 'nothing'"),
        (["verify", "--quick", "x"], "unknown option --quick"),
        (["page"], "say which collection"),
        (["page", "nothing"], "there is no collection 'nothing'"),
        (["export"], "say which collection"),
        (["export", "x"], "say where to"),
        (["export", "x", "--csv", "y"], "unknown option --csv"),
        (["extract", "x"], "say which collection, and where to"),
        (["extract", "x", "y", "--layout=z"], "--layout: invalid choice: 'z'"),
        (["extract", "x", "y", "--bbox=1"], "not west,south,east,north"),
        (["extract", "x", "y", "--foo"], "unknown option --foo"),
        (["browse", "x", "y"], "one collection, or none for all"),
        (["browse", "--port", "x"], "invalid int value: 'x'"),
        (["tracks"], "say which collection"),
        (["tracks", "nothing"], "there is no collection 'nothing'"),
        (["tracks", "x", "--gpx", "a", "--kml", "b"], "not allowed with argument --gpx"),
        (["tracks", "x", "--kml"], "--kml: expected one argument"),
        (["clean", "x"], "unexpected argument x"),
        (["clean", "--force"], "unexpected argument --force"),
        (["plan", "alice", "bob", "-o", "x.jsonl"], "-o is for a single user"),
        (["plan", "alice", "bob", "--pidfile=x"], "--pidfile is for a single user"),
        (["archive"], "say which users"),
        (["archive", "alice", "--jobs", "0"], "--jobs '0' cannot be"),
        (["archive", "alice", "--jobs=1x"], "--jobs '1x' cannot be"),
        (["archive", "alice", "-a", "quality=3"], "quality '3' is unknown"),
        (["archive", "alice", "a/b"], "username 'a/b' cannot be"),
        (["archive", "alice", "-a", "username=bob"], "-a username= has no place here"),
        (["archive", "alice", "-a", "cut=1"], "-a cut= is for crawl alone"),
        (["archive", "alice", "-a", "slice=1"], "-a slice= is for crawl alone"),
        (["plan", "alice", "-a", "slice=1"], "-a slice= is for crawl alone"),
        (["archive", "alice", "-a", "quality"], "written -a NAME=VALUE"),
        (["archive", "--from", "/does/not/exist"], "cannot be read"),
        (["archive", "alice", "--all"], "unknown option --all"),
        (["archive", "alice", "--jobs"], "--jobs: expected one argument"),
        (["crawl", "user", "--foo"], "'--foo' is not understood"),
        (["crawl", "user", "-a"], "-a: expected one argument"),
        (["crawl", "user", "-a", "quality"], "-a NAME=VALUE"),
        (["plan", "--foo"], "unknown option --foo"),
        (["plan", "alice", "-a"], "-a: expected one argument"),
        (["verify", "--fast", "--full", "x"], "--full: not allowed with argument --fast"),
        (["verify", "x", "-s", "MIN_FREE_BYTES"], "-s NAME=VALUE"),
        (["status", "--failed=1"], "--failed: ignored explicit argument '1'"),
        (["clean", "-L"], "expected one argument"),
        (["adopt"], "say which folder"),
        (["adopt", "a", "b"], "say which folder"),
        (["adopt", "a", "--item", "b"], "or which item"),
        (["adopt", "a", "--read-tars"], "--read-tars is for items"),
        (["adopt", "--item", "https://archive.org/details/nasa"], "nasa is none of these"),
        (["adopt", "--foo"], "unknown option --foo"),
        (["adopt", "x", "-L"], "expected one argument"),
        (["ia_stats", "x"], "unexpected argument x"),
        (["ia_stats", "--foo"], "unexpected argument --foo"),
        (["ia_stats", "--json=1"], "--json: ignored explicit argument '1'"),
        (["ia_upload"], "say which collection"),
        (["ia_upload", ""], "there is no collection ''"),
        (["ia_upload", "--foo"], "unknown option --foo"),
        (["ia_upload", "--delete", "--dry-run=x"], "--dry-run: ignored explicit argument 'x'"),
        (["doctor", "x"], "unexpected argument x"),
        (["doctor", "--foo"], "unexpected argument --foo"),
        (["doctor", "--json=1"], "--json: ignored explicit argument '1'"),
        (["demo", "alice"], "unexpected argument alice"),
        (["demo", "--foo"], "unexpected argument --foo"),
        (["demo", "--nolog=1"], "--nolog: ignored explicit argument '1'"),
        (["sandbox", "alice"], "unexpected argument alice"),
        (["sandbox", "--foo"], "unexpected argument --foo"),
        (["sandbox", "--port", "x"], "--port: invalid int value: 'x'"),
        (["sandbox", "--port", "65536"], "cannot listen on 127.0.0.1 port 65536"),
        (["sandbox", "--faults", "{\n\n"], "not JSON"),
        (["sandbox", "--users", "/does/not/exist"], "/does/not/exist"),
    ],
)
def test_wrong_argument_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert len(written.err.splitlines()) == 1
    assert written.err.startswith(f"scrapy {arguments[0]}: ")
    assert said in written.err


@pytest.mark.parametrize(
    "command", ["archive", "plan", "status", "verify", "clean", "adopt", "ia_upload"]
)
def test_wrong_setting_is_one_line(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(command, "alice" if command in ("archive", "plan") else ".",
               "-s", "MIN_FREE_BYTES=x")  # fmt: skip
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Return a store that the process may not read; root gives its rights away meanwhile."""
    folder = tmp_path / "closed"
    (folder / "store").mkdir(parents=True)
    folder.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    yield folder / "store"
    os.seteuid(user)
    folder.chmod(0o700)


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Have the commands import what they need while that may be read."""
    for command in ("status", "clean", "verify"):
        run(command, *["x"] * (command == "verify"), "-s", f"MAPILLARY_STORE={tmp_path}")
    capsys.readouterr()


@pytest.mark.parametrize("arguments", [["status"], ["status", "x"], ["clean"], ["verify", "x"]])
def test_store_that_may_not_be_read_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], imported: None, closed: Path
) -> None:
    assert run(*arguments, "-s", f"MAPILLARY_STORE={closed}") == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert len(written.err.splitlines()) == 1
    assert written.err.startswith(f"scrapy {arguments[0]}: {closed}")
    assert written.err.endswith(": Permission denied\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "-h") == 0
    text = capsys.readouterr().out
    assert f"scrapy {command}" in " ".join(text.split()).partition("xample")[2]
    assert "xit codes" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100


def test_help_of_a_crawl_has_a_line_for_each_argument_and_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("crawl", "-h") == 0
    text = capsys.readouterr().out
    for name in ARGUMENTS:
        assert f"\n  -a {name}=" in text, name
    for code in {outcome.exit_code for outcome in Outcome}:
        assert f"\n  {code}  " in text, code
