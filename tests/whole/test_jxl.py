"""The command with jxl=1: every JPEG comes back, whatever happens on the way."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH, VIEWS
from mapillary_crawler.image.jxl_codec import Decoder, installed_encoder
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import deterministic_set
from tests.crawling import Crawling, compressed_data, images, manifest, wait_until
from tests.image.jxl_codecs import is_running

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("jxl")]

USERS = [
    {"username": "ivan", "images": 60, "days": 2.0, "panoramas": 0.2, "dead": 2, "undated": 0.05}
]
NAME = "mapillary-ivan-256-jxl"
GIVEN: dict[str, Any] = {"username": "ivan", "quality": "256", "jxl": 1, "check_ia": 0}
#: Seconds from the signal to the end: the watchdog's four, and some for a busy machine.
LONGEST = 10
HANGING = """#!/bin/sh
[ "$1" = --version ] && { echo cjxl v0.7.0; exit 0; }
trap '' INT TERM HUP
echo $$ >> "$TMPDIR/pids"
exec sleep 600
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        installed_encoder("auto")
    except ValueError as absent:
        pytest.skip(str(absent))
    with Sandbox.running(USERS, seed=24) as running:
        yield running


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    sandbox.reset()
    return Crawling(tmp_path / "store", sandbox)


@pytest.fixture(scope="module")
def undisturbed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the finished collection of a crawl that nothing disturbed; not to be changed."""
    sandbox.reset()
    crawling = Crawling(tmp_path_factory.mktemp("undisturbed"), sandbox)
    result = crawling.run(**GIVEN)
    assert result.code == 0, result.output
    return crawling.store / NAME


def hide_encoders(crawling: Crawling, folder: Path) -> None:
    """Let the command find neither pylibjxl nor cjxl."""
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "pylibjxl.py").write_text("raise ImportError('hidden')")
    crawling.environment |= {"PYTHONPATH": str(hidden), "PATH": str(hidden)}


def hanging_encoder(crawling: Crawling, folder: Path) -> Path:
    """Let cjxl be a program that hangs; return the file with the ids of its processes."""
    programs, temporary = folder / "bin", folder / "temporary"
    for place in (programs, temporary):
        place.mkdir()
    for name in ("cjxl", "djxl"):
        (programs / name).write_text(HANGING)
        (programs / name).chmod(0o755)
    crawling.environment |= {
        "PATH": f"{programs}:{crawling.environment['PATH']}",
        "TMPDIR": str(temporary),
        "JXL_ENCODER": "cjxl",
    }
    return temporary / "pids"


def alive(pids: Path) -> list[int]:
    noted = [int(line) for line in pids.read_text().split()] if pids.exists() else []
    return [pid for pid in noted if is_running(pid)]


def test_every_jpeg_comes_back(undisturbed: Path, sandbox: Sandbox) -> None:
    """As served, but for metadata; with its checksum, in tars with their days and sequences."""
    found = images(undisturbed)
    rows = manifest(undisturbed / "checksums.jsonl.gz")
    served = {image.image_id: image for image in sandbox.catalogue.user("ivan").images()}
    assert len(rows) == 58 == len(found)
    with Decoder() as jpeg_of:
        for row in rows:
            assert row["member"].endswith(".jxl")
            file = found[row["member"]]
            assert hashlib.sha256(file).hexdigest() == row["sha256_stored"]
            jpeg = jpeg_of(file)
            assert hashlib.sha256(jpeg).hexdigest() == row["sha256_jpeg"]
            body = sandbox.catalogue.body(served[row["id"]], "256")
            assert hashlib.sha256(body).hexdigest() == row["sha256_served"]
            assert compressed_data(jpeg) == compressed_data(body)
    assert (undisturbed / "__ia_thumb.jpg").read_bytes().startswith(b"\xff\xd8")
    description = (undisturbed / ".meta/description/0").read_text()
    assert "JPEG XL effort 3), which gives back the same JPEG bit by bit" in description


def test_the_same_whatever_the_order_of_arrival(
    undisturbed: Path, crawling: Crawling, sandbox: Sandbox
) -> None:
    sandbox.set_faults({"cdn": {"jitter_ms": 200, "server_error": 0.1}})
    result = crawling.run(**GIVEN)
    assert result.code == 0, result.output
    assert deterministic_set(crawling.store / NAME) == deterministic_set(undisturbed)


def stored(folder: Path) -> int:
    """Return how many images lie in a folder; 0 where a day of it was sealed meanwhile."""
    with suppress(FileNotFoundError):
        return len(list(folder.glob("*/**/*.jxl")))
    return 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_same_after_interruptions(
    undisturbed: Path, crawling: Crawling, sandbox: Sandbox, number: signal.Signals
) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 300}})
    folder = crawling.store / ".incomplete" / NAME
    for least in (1, 20):
        with crawling.started("-s", "MAPILLARY_CONCURRENCY_FIXED=4", **GIVEN) as process:
            wait_until(lambda least=least: stored(folder) >= least)
            process.send_signal(number)
            output, _ = process.communicate(timeout=LONGEST)
        assert process.returncode == (4 if number is signal.SIGTERM else -9), output
        assert "Traceback" not in output
    sandbox.reset()
    assert crawling.run(**GIVEN).code == 0
    assert deterministic_set(crawling.store / NAME) == deterministic_set(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_encoders_that_hang_end_with_the_crawl(
    crawling: Crawling, tmp_path: Path, number: signal.Signals
) -> None:
    ordinary = dict(crawling.environment)
    pids = hanging_encoder(crawling, tmp_path)
    try:
        with crawling.started(**GIVEN) as process:
            wait_until(lambda: len(alive(pids)) > 1)
            process.send_signal(number)
            output, _ = process.communicate(timeout=LONGEST)
        assert process.returncode == (4 if number is signal.SIGTERM else -9), output
        wait_until(lambda: not alive(pids), seconds=5)
    finally:
        for pid in alive(pids):
            os.kill(pid, signal.SIGKILL)
    if number is signal.SIGTERM:
        assert not list((tmp_path / "temporary").glob("mapillary-jxl-*"))
    crawling.environment = ordinary
    assert crawling.run(**GIVEN).code == 0


def test_no_encoder_is_one_line_and_leaves_nothing(crawling: Crawling, tmp_path: Path) -> None:
    hide_encoders(crawling, tmp_path)
    result = crawling.run(**GIVEN)
    assert result.code == 2
    (line,) = result.lines
    assert "neither pylibjxl nor cjxl works here; install the extra [jxl]" in line
    assert not (crawling.store / ".incomplete" / NAME).exists()


def test_verify_decodes_each(undisturbed: Path, crawling: Crawling, tmp_path: Path) -> None:
    folder = shutil.copytree(undisturbed, crawling.store / NAME)
    for depth in ("--full", "--fast"):
        result = crawling.scrapy("verify", NAME, depth)
        assert result.code == 0, result.output
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger, ledger:
        ledger.execute("UPDATE images SET sha256_jpeg = zeroblob(32) WHERE number = 3")
    result = crawling.scrapy("verify", NAME)
    assert result.code == 1
    assert "the JPEG that it gives back has another checksum" in result.output
    assert "1 problem" in result.output
    assert crawling.scrapy("verify", "--fast", NAME).code == 0

    shutil.rmtree(folder / ".crawl")  # as it is downloaded
    assert crawling.scrapy("verify", NAME).code == 0
    hide_encoders(crawling, tmp_path)
    result = crawling.scrapy("verify", NAME)
    assert result.code == 2
    assert "JPEG XL cannot be read here; install the extra [jxl]" in result.output
    assert "Traceback" not in result.output


def test_effort_and_kind_are_fixed_and_another_version_is_noted(
    crawling: Crawling, sandbox: Sandbox
) -> None:
    broken = [sandbox.catalogue.user("ivan").image(0).image_id]
    sandbox.set_faults({"cdn": {"server_error": broken}})
    crawling.environment["IMAGE_ATTEMPTS"] = "1"
    assert crawling.run(**GIVEN).code == 3
    for setting, before in (("JXL_EFFORT=4", "3"), ("JXL_ENCODER=cjxl", "pylibjxl")):
        if installed_encoder("auto").kind == "pylibjxl" or before == "3":
            result = crawling.run("-s", setting, **GIVEN)
            assert result.code == 2
            assert f"{setting} does not fit: this collection was begun with {before}" in (
                result.output
            )
    path = crawling.store / ".incomplete" / NAME / LEDGER_PATH
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute(
            "UPDATE facts SET value = json_set(value, '$.version', 'old') WHERE name = 'encoder'"
        )
    warned = [crawling.run(**GIVEN).output.count("was begun with") for _ in range(2)]
    assert warned == [1, 0]


def test_loose_files_and_the_command_for_several(crawling: Crawling) -> None:
    options = ("-a", "quality=256", "-a", "jxl=1", "-a", "tar=0", "-a", "check_ia=0")
    result = crawling.scrapy("archive", "ivan", *options)
    assert result.code == 0, result.output
    folder = crawling.store / NAME
    assert len(list(folder.glob("*/**/*.jxl"))) == 58
    assert NAME in crawling.scrapy("status").output
    shutil.rmtree(folder / ".crawl")
    assert crawling.scrapy("verify", NAME).code == 0
    loose = min(folder.glob("*/**/*.jxl"))
    body = bytearray(loose.read_bytes())
    body[len(body) // 2] ^= 1
    loose.write_bytes(body)
    assert crawling.scrapy("verify", NAME).code == 1


def test_plan_knows_it(crawling: Crawling) -> None:
    result = crawling.scrapy("plan", "ivan", "-a", "quality=256", "-a", "jxl=1")
    assert result.code == 0, result.output
    assert NAME in result.output
    assert "as JPEG XL, chosen" in result.output
    assert "jxl=1" in result.output


def test_what_is_left_of_one_is_adopted(undisturbed: Path, crawling: Crawling) -> None:
    """Without ledger and checksums it is nobody's, but every image is still there."""
    folder = shutil.copytree(undisturbed, crawling.store / NAME)
    shutil.rmtree(folder / ".crawl")
    for name in ("checksums.jsonl.gz", "SHA256SUMS", "gone.jsonl", *VIEWS):
        (folder / name).unlink()
    result = crawling.scrapy("adopt", str(folder))
    assert result.code == 0, result.output
    assert "-a jxl=1" in result.output
    assert crawling.run(**GIVEN).code == 0
    rows = {row["id"]: row for row in manifest(crawling.store / NAME / "checksums.jsonl.gz")}
    before = {row["id"]: row for row in manifest(undisturbed / "checksums.jsonl.gz")}
    assert {name: row["sha256_jpeg"] for name, row in rows.items()} == {
        name: row["sha256_jpeg"] for name, row in before.items()
    }
    assert crawling.scrapy("verify", NAME).code == 0
