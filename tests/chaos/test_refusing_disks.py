"""Disks as people have them: what they refuse is done without, or said by its name.

By a preloaded library (`refusing_disk.c`), through the real commands.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import deterministic_set
from tests.archive.internet_archive.collections_made import pieces
from tests.chaos.refusing_disk import RefusingDisk, rule
from tests.crawling import IA_KEYS, Crawling, Result

pytestmark = pytest.mark.long

NAME = "mapillary-grace-1024"
ARGUMENTS: dict[str, Any] = {"username": "grace", "quality": "1024", "check_ia": 0}
OPTIONS = ("-s", "TAR_MAX_BYTES=2000000", "-s", "MIN_FREE_BYTES=0")
IMAGES = 40
KEYS = {**IA_KEYS, "IA_RETRY_WAIT": "0.005"}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> RefusingDisk:
    return RefusingDisk.built(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    users = [{"username": "grace", "images": IMAGES, "days": 2.0}]
    with Sandbox.running(users, seed=19) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(running: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the collection of an undisturbed crawl."""
    crawling = Crawling(tmp_path_factory.mktemp("undisturbed") / "store", running)
    result = crawling.run(*OPTIONS, **ARGUMENTS)
    assert result.code == 0, result.output
    return crawling.store / NAME


@pytest.fixture(scope="module")
def whole(undisturbed: Path) -> dict[str, bytes]:
    """Return the deterministic set of an undisturbed crawl."""
    return deterministic_set(undisturbed)


@dataclass
class Machine:
    """The command, with a store and a staging folder, each of which may lie on such a disk."""

    disk: RefusingDisk
    crawling: Crawling

    @property
    def store(self) -> Path:
        return self.crawling.store

    @property
    def staging(self) -> Path:
        return Path(self.crawling.environment["MAPILLARY_STAGING"])

    def with_disk(self, below: Path, *rules: str, **options: Any) -> Machine:
        """Return the machine with a disk that refuses."""
        crawling = Crawling(self.store)
        crawling.environment = self.crawling.environment | self.disk.environment(
            below, *rules, **options
        )
        return Machine(self.disk, crawling)

    def crawl(self, *options: str, **arguments: Any) -> Result:
        result = self.crawling.run(*OPTIONS, *options, **ARGUMENTS | arguments)
        assert "Traceback" not in result.output, result.output
        return result

    def scrapy(self, *command: str) -> Result:
        result = self.crawling.scrapy(*command)
        assert "Traceback" not in result.output, result.output
        return result

    def fetch(self, **arguments: Any) -> None:
        """Bring everything to staging, where a disk refuses nothing yet."""
        result = self.crawl("-s", f"CLOSESPIDER_ITEMCOUNT={IMAGES}", **arguments)
        assert result.code == 4, result.output
        assert result.balance["saved"] == IMAGES


@pytest.fixture
def machine(disk: RefusingDisk, running: Sandbox, tmp_path: Path, whole: object) -> Machine:
    running.reset()
    crawling = Crawling(tmp_path / "store", running)
    crawling.environment |= {"MAPILLARY_STAGING": str(tmp_path / "staging"), **KEYS}
    return Machine(disk, crawling)


def same_disk(machine: Machine) -> Path:
    """Return the folder that has store and staging."""
    return machine.store.parent


# What is done without


@pytest.mark.parametrize(
    ("call", "number", "what", "tar"),
    [
        ("fsync_folder", errno.EINVAL, "flush folders", 1),
        ("fsync_folder", errno.ENOTSUP, "flush folders", 0),
        ("utime", errno.EPERM, "set the times of files", 1),
        ("utime", errno.ENOSYS, "set the times of files", 0),
    ],
)
def test_what_a_disk_refuses_is_done_without(
    machine: Machine, whole: dict[str, bytes], call: str, number: int, what: str, tar: int
) -> None:
    result = machine.with_disk(same_disk(machine), rule(call, number)).crawl(tar=tar)
    assert result.code == 0, result.output
    told = [line for line in result.lines if f"does not let us {what}" in line]
    assert len(told) == 1, result.output
    assert f"The disk of {same_disk(machine)}" in told[0]
    assert os.strerror(number) in told[0]
    if tar:
        assert deterministic_set(machine.store / NAME) == whole
    assert machine.scrapy("verify", NAME).code == 0


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.ENOTSUP])
def test_times_and_modes_of_a_copy_are_done_without(
    machine: Machine, whole: dict[str, bytes], other_disk: Path, number: int
) -> None:
    machine.crawling.store = other_disk / "store"
    machine.crawling.environment["MAPILLARY_STORE"] = str(machine.store)
    refusing = machine.with_disk(other_disk, rule("utime", number), rule("chmod", number))
    result = refusing.crawl()
    assert result.code == 0, result.output
    for what in ("times", "modes"):
        told = [line for line in result.lines if f"does not let us set the {what}" in line]
        assert len(told) == 1, result.output
        assert f"The disk of {other_disk}" in told[0]
    assert deterministic_set(machine.store / NAME) == whole


# What is said by its name


@pytest.mark.parametrize(
    ("call", "part", "named"),
    [
        ("fsync_folder", "", "staging"),
        ("fsync_file", "incoming", "incoming"),
        ("fsync_file", ".tar", ".tar"),
        ("write", "incoming", "incoming"),
        ("write", ".tar", ".tar"),
        ("write", "metadata.jsonl", "metadata.jsonl"),
        ("utime", "incoming", "incoming"),
        ("write", "ledger.sqlite", "ledger.sqlite"),
        ("fsync_file", "ledger.sqlite-wal", "ledger.sqlite"),
    ],
)
def test_a_disk_that_is_broken_is_named(
    machine: Machine, whole: dict[str, bytes], call: str, part: str, named: str
) -> None:
    broken = machine.with_disk(machine.staging, rule(call, errno.EIO, part))
    result = broken.crawl()
    assert result.code in (1, 2), result.output
    words = os.strerror(errno.EIO)
    said = [line for line in result.lines if words in line or "cannot be used" in line]
    assert any(str(machine.staging) in line and named in line for line in said), result.output
    assert "move" not in result.output.lower().replace("moved", "")
    assert machine.crawl().code == 0
    assert deterministic_set(machine.store / NAME) == whole


@pytest.mark.parametrize(
    ("number", "room", "begun"),
    [
        (errno.ENOSPC, 8 << 10, True),
        (errno.ENOSPC, 16 << 10, True),
        (errno.EDQUOT, 0, True),
        (errno.EDQUOT, 8 << 10, True),
        (errno.EDQUOT, 1_100_000, True),
        (errno.EDQUOT, 0, False),
        (errno.EDQUOT, 16 << 10, False),
        (errno.EDQUOT, 1_010_000, False),
        (errno.EDQUOT, 1_040_000, False),
        (errno.EDQUOT, 1_300_000, False),
    ],
)
def test_a_disk_without_room_is_full_whoever_finds_out(
    machine: Machine, whole: dict[str, bytes], number: int, room: int, begun: bool
) -> None:
    if begun:
        machine.fetch()
    full = machine.with_disk(machine.staging, rule("grow", number), room=room)
    result = full.crawl()
    assert result.code == 6, result.output
    assert "away" not in result.output
    assert machine.crawl().code == 0
    assert deterministic_set(machine.store / NAME) == whole


@pytest.mark.parametrize("below", ["staging", "store"])
def test_a_file_too_large_for_its_disk_names_the_setting(
    machine: Machine, whole: dict[str, bytes], other_disk: Path, below: str
) -> None:
    machine.crawling.store = other_disk / "store"
    machine.crawling.environment["MAPILLARY_STORE"] = str(machine.store)
    folder = machine.staging if below == "staging" else machine.store
    result = machine.with_disk(folder, rule("write", errno.EFBIG, ".tar")).crawl()
    assert result.code == 2, result.output
    said = next(line for line in result.lines if "TAR_MAX_BYTES" in line)
    assert str(folder) in said
    assert ".tar" in said
    assert machine.crawl().code == 0
    assert deterministic_set(machine.store / NAME) == whole


@pytest.mark.parametrize(
    ("below", "number"),
    [
        ("staging", errno.ENOLCK),
        ("store", errno.ENOLCK),
        ("store", errno.ENOTSUP),
        ("staging", errno.ENOSYS),
    ],
)
def test_a_disk_without_locks_is_named(machine: Machine, below: str, number: int) -> None:
    folder = machine.staging if below == "staging" else machine.store
    refusing = machine.with_disk(folder, rule("flock", number))
    result = refusing.crawl()
    assert result.code == 2, result.output
    assert f"{folder} cannot be used: {os.strerror(number)}" in result.lines[-1]
    assert "MAPILLARY_STAGING" in result.lines[-1]
    assert not machine.store.exists()
    assert not machine.staging.exists()


def test_commands_name_a_store_without_locks(machine: Machine, undisturbed: Path) -> None:
    shutil.copytree(undisturbed, machine.store / NAME)
    refusing = machine.with_disk(machine.store, rule("flock", errno.ENOLCK))
    status = refusing.scrapy("status")
    assert status.code == 0
    assert "archived" in status.output
    assert refusing.scrapy("verify", NAME).code == 0
    upload = refusing.scrapy("ia_upload", NAME)
    assert upload.code == 2
    assert f"{machine.store} cannot be used: {os.strerror(errno.ENOLCK)}" in upload.output


# A disk on which processes share no memory


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EINVAL])
def test_a_store_that_shares_no_memory(
    machine: Machine, whole: dict[str, bytes], running: Sandbox, number: int
) -> None:
    network = machine.with_disk(machine.store, rule("mmap_shared", number))
    result = network.crawl()
    assert result.code == 0, result.output
    assert deterministic_set(machine.store / NAME) == whole
    again = network.crawl()
    assert again.code == 0
    assert "is archived since" in again.output
    assert_all_is_right(network, running)


def assert_all_is_right(network: Machine, running: Sandbox) -> None:
    """Assert that all commands work on the collection in the store."""
    status = network.scrapy("status")
    assert status.code == 0
    assert "archived" in status.output
    verified = network.scrapy("verify", NAME)
    assert verified.code == 0, verified.output
    assert "all is well" in verified.output
    for _ in range(2):
        uploaded = network.scrapy("ia_upload", NAME)
        assert uploaded.code == 0, uploaded.output
        assert "verified" in uploaded.output
    sent = [piece for piece in pieces(network.store / NAME).values() if piece.name[0] != "."]
    assert {piece.state for piece in sent} == {PieceState.UPLOADED}
    left = {path.name for path in (network.store / NAME / ".crawl").glob("ledger*")}
    assert left == {"ledger.sqlite"}


def in_wal(folder: Path, undisturbed: Path, statement: str = "") -> None:
    """Make a collection whose ledger is as a writer with a WAL leaves it when it is killed."""
    shutil.copytree(undisturbed, folder)
    kept = folder.with_name("kept")
    kept.mkdir()
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT OR REPLACE INTO facts VALUES ('in_wal', '1')")
        if statement:
            connection.execute(statement)
        connection.commit()
        for path in (folder / LEDGER_PATH.parent).glob("ledger.sqlite*"):
            shutil.copy2(path, kept)
    for path in (folder / LEDGER_PATH.parent).glob("ledger.sqlite*"):
        path.unlink()
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        shutil.move(kept / name, folder / LEDGER_PATH.parent / name)
    shutil.rmtree(kept)


def test_a_store_that_shares_no_memory_and_what_a_kill_left_there(
    machine: Machine, undisturbed: Path, running: Sandbox
) -> None:
    in_wal(machine.store / NAME, undisturbed)
    before = (machine.store / NAME / LEDGER_PATH).read_bytes()
    network = machine.with_disk(machine.store, rule("mmap_shared", errno.ENODEV))
    assert "archived" in network.scrapy("status").output
    assert network.scrapy("verify", NAME).code == 0
    assert "is archived since" in network.crawl().output
    assert (machine.store / NAME / LEDGER_PATH).read_bytes() == before
    assert_all_is_right(network, running)
    with closing(sqlite3.connect(machine.store / NAME / LEDGER_PATH)) as connection:
        assert connection.execute("SELECT value FROM facts WHERE name = 'in_wal'").fetchall()


def test_a_copy_of_the_ledger_has_what_the_wal_has(machine: Machine, undisturbed: Path) -> None:
    """As SQLite's immutable mode would not: it would say that all is well."""
    in_wal(machine.store / NAME, undisturbed, "UPDATE images SET size = size + 1 WHERE number = 1")
    network = machine.with_disk(machine.store, rule("mmap_shared", errno.ENODEV))
    verified = network.scrapy("verify", "--fast", NAME)
    assert verified.code == 1, verified.output
    assert "1 and" in verified.output or "bytes are saved" in verified.output


def test_no_copy_is_made_while_somebody_works_on_it(machine: Machine, undisturbed: Path) -> None:
    from mapillary_crawler.collection.lock import Lock  # noqa: PLC0415

    in_wal(machine.store / NAME, undisturbed)
    network = machine.with_disk(machine.store, rule("mmap_shared", errno.ENODEV))
    lock = Lock({machine.store}, NAME)
    try:
        assert os.strerror(errno.EBUSY) in network.scrapy("status").output
        assert network.scrapy("verify", NAME).code == 9
    finally:
        lock.release()
    assert "archived" in network.scrapy("status").output


@pytest.mark.parametrize(
    ("call", "number", "code"),
    [
        ("write", errno.EIO, 2),
        ("write", errno.EROFS, 2),
        ("grow", errno.ENOSPC, 6),
        ("grow", errno.EDQUOT, 6),
    ],
)
def test_a_ledger_that_cannot_be_written_is_refused_to_an_upload(
    machine: Machine, undisturbed: Path, running: Sandbox, call: str, number: int, code: int
) -> None:
    in_wal(machine.store / NAME, undisturbed)
    network = machine.with_disk(
        machine.store, rule("mmap_shared", errno.ENODEV), rule(call, number, ".crawl")
    )
    before = {path: path.read_bytes() for path in (machine.store / NAME).rglob("*.tar")}
    result = network.scrapy("ia_upload", NAME)
    assert result.code == code, result.output
    assert str(machine.store / NAME / LEDGER_PATH) in result.output
    assert "archived" in network.scrapy("status").output
    assert {path: path.read_bytes() for path in (machine.store / NAME).rglob("*.tar")} == before
    assert machine.scrapy("ia_upload", NAME).code == 0


@pytest.mark.parametrize(
    ("begun", "number"),
    [
        (True, errno.ENODEV),
        (False, errno.ENODEV),
        (False, errno.EINVAL),
        (False, errno.ENOSYS),
        (False, errno.EACCES),
    ],
)
def test_staging_that_shares_no_memory_is_refused(
    machine: Machine, whole: dict[str, bytes], begun: bool, number: int
) -> None:
    if begun:
        machine.fetch()
    result = machine.with_disk(machine.staging, rule("mmap_shared", number)).crawl()
    assert result.code == 2, result.output
    assert "MAPILLARY_STAGING" in result.lines[-1]
    assert str(machine.staging) in result.lines[-1]
    assert begun or not machine.staging.exists()
    assert machine.crawl().code == 0
    assert deterministic_set(machine.store / NAME) == whole


# Names that meet


def rename_a_sequence(machine: Machine) -> tuple[str, str]:
    """Give an image, fetched loose, the sequence of another but for capitals; return both."""
    folder = machine.staging / NAME
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as connection, connection:
        day, sequence, _ = connection.execute(
            "SELECT day, sequence, count(*) FROM images WHERE sequence <> lower(sequence) "
            "GROUP BY day, sequence HAVING count(*) > 1"
        ).fetchone()
        number, image = connection.execute(
            "SELECT number, id FROM images WHERE day = ? AND sequence = ?", (day, sequence)
        ).fetchone()
        other = sequence.swapcase()
        connection.execute("UPDATE images SET sequence = ? WHERE number = ?", (other, number))
    (folder / day / other).mkdir()
    for path in (folder / day / sequence).glob(f"{image}.*"):
        path.rename(folder / day / other / path.name)
    return f"{day}/{sequence}", f"{day}/{other}"


@pytest.mark.parametrize("below", ["staging", "store"])
def test_sequences_that_meet_are_refused_and_kept(
    machine: Machine, other_disk: Path, below: str
) -> None:
    machine.crawling.store = other_disk / "store"
    machine.crawling.environment["MAPILLARY_STORE"] = str(machine.store)
    machine.fetch(tar=0)
    met = rename_a_sequence(machine)
    kept = sorted(path.name for path in (machine.staging / NAME).rglob("*.jpg"))
    folder = machine.staging if below == "staging" else machine.store
    folding = machine.with_disk(folder, folds=True)
    result = folding.crawl(tar=0)
    assert result.code == 2, result.output
    said = next(line for line in result.lines if "are the same name" in line)
    assert met[0] in said
    assert met[1] in said
    assert str(folder) in said
    assert not (machine.store / NAME).exists()
    assert sorted(path.name for path in (machine.staging / NAME).rglob("*.jpg")) == kept
    assert machine.crawl(tar=0).code == 0
    assert {path.parent.name for path in (machine.store / NAME).rglob("*.jpg")} >= {
        name.rpartition("/")[2] for name in met
    }
    assert machine.scrapy("verify", NAME).code == 0


@pytest.mark.parametrize("tar", [0, 1])
def test_a_disk_that_folds_names_is_good_where_none_meet(
    machine: Machine, whole: dict[str, bytes], tar: int
) -> None:
    folding = machine.with_disk(same_disk(machine), folds=True)
    result = folding.crawl(tar=tar)
    assert result.code == 0, result.output
    assert folding.scrapy("verify", NAME).code == 0
    if tar:
        assert deterministic_set(machine.store / NAME) == whole


def test_sequences_may_meet_in_staging_where_they_come_into_tars(machine: Machine) -> None:
    folding = machine.with_disk(same_disk(machine), folds=True)
    folding.fetch()
    folder = machine.staging / NAME
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as connection, connection:
        connection.execute(
            "UPDATE images SET sequence = lower(sequence) WHERE number % 2 AND sequence <> ''"
        )
    assert folding.crawl().code == 0
    assert folding.scrapy("verify", NAME).code == 0
