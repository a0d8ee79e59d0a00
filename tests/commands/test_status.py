"""`scrapy status` through the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, wait_until

pytestmark = pytest.mark.slow


def rows(output: str) -> dict[str, list[str]]:
    """Return the cells of each collection's line."""
    return {
        line.split()[0]: line.split() for line in output.splitlines() if line.startswith("mapil")
    }


def test_empty_store(crawling: Crawling) -> None:
    result = crawling.scrapy("status")
    assert result.code == 0
    assert "There is no collection" in result.output
    assert not crawling.store.exists()


def test_archived_failed_killed_and_foreign(crawling: Crawling, sandbox: Sandbox) -> None:
    assert crawling.run(username="bob", quality="256").code == 0
    broken = [image.image_id for image in sandbox.catalogue.user("alice").images()][5:7]
    sandbox.set_faults({"cdn": {"truncated": broken}})
    crawling.environment["IMAGE_ATTEMPTS"] = "2"
    assert crawling.run(username="alice", quality="256").code == 3
    sandbox.set_faults({"cdn": {"latency_ms": 5000}})
    folder = crawling.store / ".incomplete" / "mapillary-carol-256"
    with crawling.started(username="carol", quality="256") as process:
        wait_until(lambda: "fetching" in crawling.scrapy("status").output)
        working = rows(crawling.scrapy("status").output)[folder.name]
        verified = crawling.scrapy("verify", folder.name)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (crawling.store / "mapillary-zed-256").mkdir()

    result = crawling.scrapy("status")
    assert result.code == 0
    found = rows(result.output)
    assert found["mapillary-bob-256"][1:6] == ["archived", "40", "40", "0", "0"]
    assert found["mapillary-alice-256"][1:7] == ["incomplete", "60", "56", "2", "2", "0"]
    assert working[1] == "fetching,"
    assert found["mapillary-carol-256"][1] == "killed"
    assert "no ledger" in result.output
    assert list(found)[-2:] == ["mapillary-bob-256", "mapillary-zed-256"]  # staging comes first
    assert verified.code == 9
    assert "another process works on it" in verified.output

    failed = crawling.scrapy("status", "mapillary-alice-256", "--failed").output
    for image in broken:
        assert f"mapillary-alice-256: {image}: DamagedImage" in failed
    assert "carol" not in failed


def test_unreadable_ledger_is_said(crawling: Crawling) -> None:
    path = crawling.store / "mapillary-x-256" / LEDGER_PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 100)
    old = time.time() - 3 * 86_400
    os.utime(path, (old, old))
    result = crawling.scrapy("status", "--failed")
    assert result.code == 0
    assert "cannot be read" in result.output
    assert "3 d ago" in result.output


def test_output_is_plain_in_a_pipe(crawling: Crawling, tmp_path: Path) -> None:
    (crawling.store / "mapillary-zed-256").mkdir(parents=True)
    assert "\x1b" not in crawling.scrapy("status").output


@pytest.mark.parametrize("command", ["status", "verify"])
def test_reader_that_leaves_early(crawling: Crawling, command: str) -> None:
    """As `head` does; nothing is said then, and no traceback shown."""
    assert crawling.run(username="bob", quality="256").code == 0
    process = subprocess.Popen(
        [*SCRAPY, command, "mapillary-bob-256"], cwd=PROJECT, env=crawling.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()  # type: ignore[union-attr]
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGPIPE
    assert errors == ""


def test_a_finished_collection_that_lacks_files(crawling: Crawling) -> None:
    who = {"username": "bob", "quality": "256"}
    assert crawling.run(**who).code == 0
    folder = crawling.store / "mapillary-bob-256"
    first, *_, last = sorted(folder.glob("*.tar"))
    with last.open("ab") as tar:
        tar.write(b"more")
    assert crawling.scrapy("status", "--check").code == 3
    first.unlink()

    shown = crawling.scrapy("status", "bob")
    assert shown.code == 0
    assert "lacks 2 files: repair it" in shown.output
    lost = f"{first.name} (missing), {last.name} (another size)"
    assert f"mapillary-bob-256 lacks {lost}" in shown.output
    fields = json.loads(crawling.scrapy("status", "--json", "--check").output)
    assert fields["lost"] == [first.name, last.name]
    for command in (("crawl", "user", "-a", "username=bob"), ("plan", "bob")):
        result = crawling.scrapy(*command, "-a", "quality=256")
        assert result.code == 3
        assert f"{first.name} (missing)" in result.lines[-1]
        assert result.lines[-1].endswith(" repair mapillary-bob-256")


def test_what_was_removed_after_its_upload_is_not_lacking(crawling: Crawling) -> None:
    assert crawling.run(username="bob", quality="256").code == 0
    folder = crawling.store / "mapillary-bob-256"
    tar = min(folder.glob("*.tar"))
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.pieces.set_state(tar.name, PieceState.REMOVED, folder.name)
    tar.unlink()
    shown = crawling.scrapy("status", "--check", "bob")
    assert (shown.code, "archived" in shown.output) == (0, True)
    assert crawling.run(username="bob", quality="256").code == 0


def test_what_is_here_and_what_archive_org_has(crawling: Crawling) -> None:
    crawling.environment |= {
        "IA_ACCESS_KEY_ID": "key", "IA_SECRET_ACCESS_KEY": "SECRET", "IA_RETRY_WAIT": "0.01",
    }  # fmt: skip
    for username in ("bob", "alice"):
        assert crawling.run(username=username, quality="256").code == 0
    assert "archive.org" not in crawling.scrapy("status").output
    assert crawling.scrapy("ia_upload", "bob", "--delete-after-verify").code == 0
    folder = crawling.store / "mapillary-bob-256"
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        pieces = [piece for piece in ledger.pieces.all() if not piece.name.startswith(".")]
    alice, bob = map(json.loads, crawling.scrapy("status", "--json").output.splitlines())
    assert alice["archive_org"] is None
    verified_at = bob["archive_org"].pop("verified_at")
    assert abs(datetime.fromisoformat(verified_at).timestamp() - time.time()) < 600
    assert bob["archive_org"] == {
        "items": [folder.name],
        "files": len(pieces),
        "bytes": sum(piece.size or 0 for piece in pieces),
        "waiting_files": 0,
        "waiting_bytes": 0,
        "here_bytes": sum(piece.size or 0 for piece in pieces if not piece.day),
    }
    found = rows(crawling.scrapy("status").output)
    assert found["mapillary-alice-256"][-6:-2] == ["-"] * 4
    assert "0 B  just now" in crawling.scrapy("status", "bob").output
    assert crawling.scrapy("verify", "bob").code == 0
