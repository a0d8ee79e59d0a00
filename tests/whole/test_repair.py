"""`scrapy repair` through the real command: whatever was lost, exactly that is fetched again."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.archive.repair.finished_again import to_staging
from mapillary_crawler.archive.update.beginning import begin_update
from mapillary_crawler.collection.layout import LEDGER_PATH, files
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import SCRAPY, Crawling, Result, assert_same, states, wait_until

USER = {
    "username": "alice", "images": 150, "days": 3.0, "panoramas": 0.2, "dead": 3, "no_url": 0.02,
    "undated": 0.05,
}  # fmt: skip
WHO = {"username": "alice", "quality": "256", "check_ia": 0}
NAME = "mapillary-alice-256"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([USER], seed=11) as running:
        yield running


@pytest.fixture(scope="module")
def wanted(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    crawling = Crawling(tmp_path_factory.mktemp("wanted") / "store", sandbox)
    assert crawling.run(**WHO).code == 0
    return crawling.store / NAME


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    return Crawling(tmp_path / "store", sandbox)


@pytest.fixture
def folder(crawling: Crawling, wanted: Path) -> Path:
    """Give a finished collection to spoil."""
    shutil.copytree(wanted, crawling.store / NAME)
    return crawling.store / NAME


def without_ledger(folder: Path) -> None:
    (folder / LEDGER_PATH).unlink()


def without_state(folder: Path) -> None:
    shutil.rmtree(folder / LEDGER_PATH.parent)


def with_garbage(folder: Path) -> None:
    (folder / LEDGER_PATH).write_bytes(random.Random(1).randbytes(50_000))
    for path in folder.glob(f"{LEDGER_PATH}-*"):  # a journal of it would bring all back
        path.unlink()


def with_an_empty_one(folder: Path) -> None:
    (folder / LEDGER_PATH).write_bytes(b"")


def with_a_damaged_page(folder: Path) -> None:
    content = bytearray((folder / LEDGER_PATH).read_bytes())
    content[8192:12288] = bytes(4096)
    (folder / LEDGER_PATH).write_bytes(content)


def with_rows_that_do_not_unpack(folder: Path) -> None:
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as ledger, ledger:
        ledger.execute("UPDATE pages SET rows = substr(rows, 1, 20)")


@pytest.mark.long
@pytest.mark.parametrize(
    "spoil",
    [
        without_ledger, without_state, with_garbage, with_an_empty_one, with_a_damaged_page,
        with_rows_that_do_not_unpack,
    ],
)  # fmt: skip
def test_a_ledger_is_made_of_the_manifests(
    crawling: Crawling, folder: Path, wanted: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)
    before = sorted(folder.rglob("*"))
    dry = crawling.scrapy("repair", NAME, "--dry-run")
    assert (dry.code, dry.lines[0][:10]) == (0, "would make")
    assert sorted(folder.rglob("*")) == before
    result = crawling.scrapy("repair", NAME)
    assert result.code == 0, result.output
    assert "of its manifests" in result.output
    assert "nothing more to mend" in result.lines[-1]
    kept = [path.name for path in folder.glob(".crawl/ledger.unreadable*")]
    assert bool(kept) == (spoil not in (without_ledger, without_state))
    assert states(folder) == states(wanted)
    verified = crawling.scrapy("verify", NAME)
    assert verified.code == 0, verified.output
    again = crawling.run(**WHO)
    assert (again.code, "archived" in again.lines[-1]) == (0, True)
    assert_same(folder, wanted)


@pytest.mark.long
def test_rows_that_do_not_unpack_are_a_line_that_says_what_mends_it(
    crawling: Crawling, folder: Path, wanted: Path
) -> None:
    with_rows_that_do_not_unpack(folder)
    updated = crawling.run(**WHO, update=1)
    assert (updated.code, "Traceback" in updated.output) == (3, False), updated.output
    assert "do not unpack" in updated.lines[-1]
    assert "mend it with the command repair" in updated.lines[-1]
    shutil.rmtree(crawling.store)
    assert crawling.run("-s", "CLOSESPIDER_ITEMCOUNT=5", **WHO).code == 4
    staged = crawling.store / ".incomplete" / NAME
    with_rows_that_do_not_unpack(staged)
    for command in (
        crawling.command(**WHO)[len(SCRAPY) :],
        ["plan", "alice", "-a", "quality=256"],
        ["page", NAME],
        ["tracks", NAME],
        ["status"],
    ):
        result = crawling.scrapy(*command)
        assert "Traceback" not in result.output, result.output
        if command[0] in ("crawl", "plan"):
            assert result.code == 3, result.output
            assert f"{staged / LEDGER_PATH} is damaged: listed rows" in result.lines[-1]
            assert "mend it with the command repair" in result.lines[-1]
    assert crawling.scrapy("repair", NAME).code == 3
    assert crawling.run(**WHO).code == 0
    assert states(crawling.store / NAME) == states(wanted)
    found = {path.name: path.read_bytes() for path in tars(crawling.store / NAME)}
    assert found == {path.name: path.read_bytes() for path in tars(wanted)}


def test_nothing_is_wrong(crawling: Crawling, folder: Path) -> None:
    result = crawling.scrapy("repair", "alice")
    assert (result.code, result.lines) == (0, [f"{NAME}: nothing to mend"])


def tars(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tar"))


def images_of(folder: Path, *names: str) -> set[str]:
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        return {
            image.image_id for image in streams.in_order(LedgerHere(ledger)) if image.tar in names
        }


def delete_one(folder: Path) -> set[str]:
    lost = tars(folder)[0]
    found = images_of(folder, lost.name)
    lost.unlink()
    return found


def delete_half(folder: Path) -> set[str]:
    lost = tars(folder)[::2]
    found = images_of(folder, *(path.name for path in lost))
    for path in lost:
        path.unlink()
    return found


def cut_one(folder: Path) -> set[str]:
    """Cut a tar in its midst: what lies before that is kept."""
    path = max(tars(folder), key=lambda tar: tar.stat().st_size)
    size = path.stat().st_size // 2
    with path.open("r+b") as tar:
        tar.truncate(size)
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        return {
            image.image_id
            for image in streams.in_order(LedgerHere(ledger))
            if image.tar == path.name and (image.offset or 0) + (image.size or 0) > size
        }


def damage_one(folder: Path) -> set[str]:
    """Change a byte of one image; the tar keeps its size."""
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        image = next(image for image in streams.in_order(LedgerHere(ledger)) if image.tar)
    assert image.tar
    assert image.offset
    content = bytearray((folder / image.tar).read_bytes())
    content[image.offset + 900] ^= 1
    (folder / image.tar).write_bytes(content)
    return {image.image_id}


@pytest.mark.long
@pytest.mark.parametrize("spoil", [delete_one, delete_half, cut_one, damage_one])
@pytest.mark.parametrize("ledger", ["with its ledger", "without"])
def test_lost_tars_are_fetched_again(
    crawling: Crawling,
    sandbox: Sandbox,
    folder: Path,
    wanted: Path,
    spoil: Callable[[Path], set[str]],
    ledger: str,
) -> None:
    lost = spoil(folder)
    if ledger == "without":
        without_state(folder)
    result = crawling.scrapy("repair", NAME, *(["--full"] * (spoil is damage_one)))
    assert result.code == 3, result.output
    assert f"{len(lost):,} are to be fetched again" in result.output
    assert "crawl user -a username=alice -a quality=256" in result.lines[-1]
    sandbox.reset()
    again = crawling.run(**WHO)
    assert again.code == 0, again.output
    assert fetched(sandbox) == lost
    assert_well(crawling, folder, wanted)


def fetched(sandbox: Sandbox) -> set[str]:
    return set(sandbox.counters(images=True)["images"]["requests"])


def assert_well(crawling: Crawling, folder: Path, wanted: Path) -> None:
    assert_same(folder, wanted)
    verified = crawling.scrapy("verify", "--full", NAME)
    assert verified.code == 0, verified.output


def loose(staged: Path) -> list[str]:
    """Return the images that lie loose; sealed ones go meanwhile."""
    try:
        return [path for path in files(staged) if path.endswith(".jpg")]
    except FileNotFoundError:
        return []


def members(staged: Path) -> list[str]:
    """Return the images that are in tars: days are sealed while others are fetched."""
    found = []
    for path in tars(staged):
        with tarfile.open(path) as tar:
            found += tar.getnames()
    return found


def interrupted(crawling: Crawling, sandbox: Sandbox) -> Path:
    """Return a collection in the making, of which a half was saved."""
    sandbox.set_faults({"cdn": {"latency_ms": 300}})
    crawling.environment["MAPILLARY_CONCURRENCY_MAX"] = "8"
    staged = crawling.store / ".incomplete" / NAME
    with crawling.started(**WHO) as process:
        wait_until(lambda: len(loose(staged)) > 40)
        process.kill()
        process.wait()
    sandbox.set_faults({})
    return staged


@pytest.mark.long
@pytest.mark.parametrize("spoil", [without_ledger, without_state, with_garbage])
def test_what_is_in_the_making_keeps_its_images(
    crawling: Crawling,
    sandbox: Sandbox,
    wanted: Path,
    spoil: Callable[[Path], None],
) -> None:
    staged = interrupted(crawling, sandbox)
    paths = [*loose(staged), *members(staged)]
    here = {Path(path).stem for path in paths}
    spoil(staged)
    result = crawling.scrapy("repair", NAME)
    assert result.code == 3, result.output
    assert f"found {len(paths):,} images that are whole" in result.output
    sandbox.reset()
    again: Result = crawling.run(**WHO)
    assert again.code == 0, again.output
    assert not fetched(sandbox) & here
    verified = crawling.scrapy("verify", "--full", NAME)
    assert verified.code == 0, verified.output
    assert states(crawling.store / NAME) == states(wanted)
    found = {path.name: path.read_bytes() for path in tars(crawling.store / NAME)}
    assert found == {path.name: path.read_bytes() for path in tars(wanted)}


@pytest.mark.long
def test_a_repair_that_was_killed_lets_no_tar_be_forgotten(
    crawling: Crawling, folder: Path, wanted: Path
) -> None:
    """It has opened the collection, and not yet said what is to be fetched."""
    delete_one(folder)
    to_staging(folder, crawling.store / ".incomplete")
    result = crawling.run(**WHO)
    assert result.code == 3, result.output
    assert f"(missing); mend it with: scrapy repair {NAME}" in result.lines[-1]
    assert not folder.exists()
    assert crawling.scrapy("repair", NAME).code == 3
    assert crawling.run(**WHO).code == 0
    assert_well(crawling, folder, wanted)


@pytest.mark.long
def test_a_lost_tar_and_an_update_under_way_are_not_in_each_other_s_way(
    crawling: Crawling, folder: Path, wanted: Path
) -> None:
    begin_update(folder, crawling.store / ".incomplete" / NAME)
    delete_one(folder)
    result = crawling.scrapy("repair", NAME)
    assert (result.code, "finish that one first" in result.lines[-1]) == (2, True), result.output
    result = crawling.run(update=1, **WHO)
    assert result.code == 3, result.output
    assert f"(missing); mend it with: scrapy repair {NAME}" in result.lines[-1]
    assert crawling.scrapy("repair", NAME).code == 3
    assert crawling.run(**WHO).code == 0
    assert_well(crawling, folder, wanted)


@pytest.mark.long
def test_loose_images_become_tars(crawling: Crawling, wanted: Path) -> None:
    assert crawling.run(**WHO, tar=0).code == 0
    assert not tars(crawling.store / NAME)
    result = crawling.scrapy("repair", NAME, "--tar")
    assert result.code == 0, result.output
    assert_well(crawling, crawling.store / NAME, wanted)


@pytest.mark.long
def test_a_manifest_that_is_missing_is_written_again(
    crawling: Crawling, folder: Path, wanted: Path
) -> None:
    (folder / "metadata.jsonl.gz").unlink()
    (folder / "SHA256SUMS").write_bytes(b"")
    result = crawling.scrapy("repair", NAME)
    assert result.code == 0, result.output
    assert_well(crawling, folder, wanted)


@pytest.mark.long
@pytest.mark.parametrize("spoil", [without_state, with_garbage])
def test_every_command_knows_what_mends_a_collection(
    crawling: Crawling, folder: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)
    for command, code in (
        (("crawl", "user", "-a", "username=alice", "-a", "quality=256"), 3),
        (("plan", "alice", "-a", "quality=256"), 3),
    ):
        result = crawling.scrapy(*command)
        assert (result.code, result.lines[-1].endswith(f" repair {NAME}")) == (code, True)
    if spoil is without_state:
        assert f"repair {folder}" in crawling.scrapy("adopt", str(folder)).output
        assert "repair it" in crawling.scrapy("status").output
        assert f"repair {folder}" in crawling.scrapy("ia_upload", NAME).output


def test_images_without_a_ledger_are_not_fetched_over_again(
    crawling: Crawling, sandbox: Sandbox
) -> None:
    without_state(interrupted(crawling, sandbox))
    result = crawling.run(**WHO)
    assert (result.code, result.lines[-1].endswith(f" repair {NAME}")) == (3, True)
