"""The token and signed URLs are in no file and no line, whatever goes wrong; no port is opened."""

from __future__ import annotations

import gzip
import os
import random
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.killing import MOMENTS, crawl
from tests.crawling import Crawling, images, wait_until

pytestmark = pytest.mark.long

FAULTS: dict[str, dict[str, Any]] = {
    "api": {
        "too_much_above": 63,
        **dict.fromkeys(("reset", "cut", "server_error", "broken_json", "query_timeout"), 0.1),
    },
    "cdn": {
        "latency_ms": 30,
        **dict.fromkeys(
            (
                "altered", "expired", "forbidden", "reset", "cut", "redirect", "html",
                "truncated", "empty", "server_error",
            ),
            0.03,
        ),
    },
}  # fmt: skip
NAME = "mapillary-judy-256"
ARGUMENTS: dict[str, Any] = {"username": "judy", "quality": "256", "check_ia": 0}
#: Parts of a signed URL that nothing else has.
SIGNED = (b"oh=00_A", b"&oe=", b"_nc_gid=", b"&_nc_sid=")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "judy", "images": 150, "days": 3.0}], seed=31) as running:
        yield running


def secrets_of(token: str) -> tuple[bytes, ...]:
    """Return what must be nowhere: the token, as it is and in a URL, and its parts."""
    _, application, secret = token.split("|")
    return (token.encode(), quote(token).encode(), application.encode(), secret.encode())


def assert_clean(folder: Path, needles: tuple[bytes, ...], *, ledgers: bool = True) -> None:
    """Assert that nothing below a folder holds any of the needles, in names or in content."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths
    for path in paths:
        if ledgers or not path.name.startswith("ledger.sqlite"):
            content = os.fsencode(path) + path.read_bytes()
            assert [needle for needle in needles if needle in content] == [], path


@pytest.mark.parametrize("log_file", [False, True])
def test_no_secret_is_kept_or_told(sandbox: Sandbox, tmp_path: Path, *, log_file: bool) -> None:
    sandbox.reset()
    sandbox.set_faults(FAULTS)
    token = secrets_of(sandbox.token)
    place = tmp_path / "all"
    crawling = Crawling(place / "store", sandbox)
    crawling.environment["MAPILLARY_STAGING"] = str(place / "staging")
    place.mkdir()
    options = ["-L", "DEBUG", "-s", f"JOBDIR={place / 'job'}", "-s", "IMAGE_ATTEMPTS=20"]
    options += ["-s", f"LOG_FILE={place / 'log'}"] if log_file else []

    fetching = next(moment for moment in MOMENTS if moment.phase == "fetching")
    killed = crawl(crawling, NAME, *options, moment=fetching, chance=random.Random(2), **ARGUMENTS)
    assert killed.process.returncode == -signal.SIGKILL
    interrupted = crawling.run(*options, "-s", "CLOSESPIDER_ITEMCOUNT=40", **ARGUMENTS)
    assert interrupted.code == 4, interrupted.output
    # An unfinished collection's ledger has the URLs that are yet to be fetched, and no token.
    assert_clean(place, token)
    assert_clean(place, SIGNED, ledgers=False)

    complete = crawling.run(*options, **ARGUMENTS)
    assert complete.code == 0, complete.output
    assert_clean(place, token + SIGNED)
    for output in ("".join(killed.lines), interrupted.output, complete.output):
        assert [needle for needle in token + SIGNED if needle in output.encode()] == []
    counted = sandbox.counters()
    assert counted["faults"]["cdn.reset"]
    assert counted["faults"]["cdn.altered"]
    assert counted["cdn_authorization"] == 0
    assert counted["query_tokens"] == 0


def test_a_token_that_rows_echo_is_kept_nowhere(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    sandbox.set_faults({"api": {"echo_token": True}})
    token = secrets_of(sandbox.token)
    crawling = Crawling(tmp_path / "store", sandbox)
    stopped = crawling.run("-L", "DEBUG", "-s", "CLOSESPIDER_ITEMCOUNT=40", **ARGUMENTS)
    assert stopped.code == 4, stopped.output
    ledger = Ledger(crawling.store / ".incomplete" / NAME / LEDGER_PATH, read_only=True)
    with closing(ledger):  # its pages are compressed
        rows = b"".join(ledger.survey.rows())
    complete = crawling.run("-L", "DEBUG", **ARGUMENTS)
    assert complete.code == 0, complete.output
    assert_clean(tmp_path, token)
    members = images(crawling.store / NAME)
    assert all("(token)" not in name and "_u28_token_u29_" in name for name in members)
    texts = [gzip.decompress(path.read_bytes()) for path in (crawling.store / NAME).glob("*.gz")]
    for text in (*texts, rows, stopped.output.encode(), complete.output.encode()):
        assert [needle for needle in token if needle in text] == []
    assert b"(token)" in b"".join(texts)


@pytest.mark.parametrize("disguise", ["missing", "stopped", "extra_character", "withdrawn"])
def test_a_refused_token_is_not_shown(sandbox: Sandbox, tmp_path: Path, disguise: str) -> None:
    sandbox.reset()
    sandbox.set_faults({"api": {"token_dies_after": 0, "token_death": disguise}})
    crawling = Crawling(tmp_path / "store", sandbox)
    result = crawling.run("-L", "DEBUG", **ARGUMENTS)
    assert result.code == 5, result.output
    assert [word for word in secrets_of(sandbox.token) if word in result.output.encode()] == []


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    found = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        link = str(handle.readlink()) if handle.is_symlink() else ""
        if link.startswith("socket:["):
            found.add(link[len("socket:[") : -1])
    return found


def listening() -> set[str]:
    """Return the inodes of all sockets of this machine that wait for connections."""
    lines: list[str] = []
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        lines += path.read_text().splitlines()[1:] if path.exists() else []
    return {fields[9] for fields in map(str.split, lines) if fields[3] == "0A"}


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="there is no /proc/net/tcp here")
def test_no_port_is_opened_and_no_argument_shows_the_token(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset()
    sandbox.set_faults({"cdn": {"latency_ms": 300}})
    crawling = Crawling(tmp_path / "store", sandbox)
    options = ("-s", "MAPILLARY_CONCURRENCY_FIXED=4")
    with crawling.started(*options, **ARGUMENTS) as process:
        wait_until(lambda: sandbox.counters()["requests"].get("cdn", 0) > 10)
        own = sockets_of(process.pid)
        assert own, "it is connected at least to the sandbox"
        assert not own & listening()
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert [word for word in secrets_of(sandbox.token) if word in command] == []
