"""Opening a collection: one process at a time, and every reason why a run cannot start."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from mapillary_crawler import __version__
from mapillary_crawler.collection.arguments import Arguments
from mapillary_crawler.collection.configuration import Configuration, read_configuration
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import Collection, Selection
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.crawl import open_collection as staging
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.ledger import thread as ledger_thread
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FORMAT, ListedRow, State
from mapillary_crawler.ledger.schema import VERSION
from tests.archive.finish.made import ANN, Picture, add, finish
from tests.collection.test_configuration import SETTINGS

ALICE = Collection("alice", "2048")
Open = Callable[..., OpenCollection]


@pytest.fixture
def open_staging(tmp_path: Path) -> Iterator[Open]:
    """Return what opens a collection; all that are open are closed at the end."""
    opened: list[OpenCollection] = []

    def open_one(
        collection: Collection = ALICE,
        *,
        tar: bool | None = None,
        page: bool | None = None,
        plan: bool = False,
        environment: Mapping[str, str] = MappingProxyType({}),
        **folders: Any,
    ) -> OpenCollection:
        store = folders.get("store", tmp_path / "store")
        configuration = limits_of(store, folders.get("staging"), environment)
        opened.append(
            OpenCollection.open(Arguments(collection, tar=tar, page=page), configuration, plan=plan)
        )
        return opened[-1]

    yield open_one
    for one in opened:
        with suppress(RuntimeError):  # its thread has ended: the test closed it
            one.close()


def limits_of(
    store: Path, folder: Path | None = None, environment: Mapping[str, str] = MappingProxyType({})
) -> Configuration:
    changed = {"MAPILLARY_STORE": str(store), "MAPILLARY_STAGING": str(folder or "")}
    return read_configuration({**SETTINGS, **changed, **environment}, environment)


def refused(open_staging: Open, *given: Any, **options: Any) -> Refused:
    with pytest.raises(Refused) as refusal:
        open_staging(*given, **options)
    assert str(refusal.value).isprintable()
    return refusal.value


def in_ledger(path: Path, work: Callable[[Ledger], Any]) -> Any:
    ledger = Ledger(path)
    try:
        return work(ledger)
    finally:
        ledger.close()


def list_one(ledger: Ledger) -> None:
    row = ListedRow("1", 0, "1970-01-01", "", b'{"id":"1"}', "https://x/1", None)
    ledger.listing.commit(None, None, [row])


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# What opening makes


def test_a_new_collection(open_staging: Open, tmp_path: Path) -> None:
    opened = open_staging()
    assert opened.folder == tmp_path / "store/.incomplete/mapillary-alice-2048"
    assert opened.destination == tmp_path / "store/mapillary-alice-2048"
    assert (opened.folder / LEDGER_PATH).is_file()
    assert (opened.new, opened.run_number, opened.tar) == (True, 1, True)
    facts = opened.ledger.wait_for(
        lambda ledger: [ledger.facts.get(name) for name in ("username", "tar", "versions")]
    )
    assert facts == ["alice", True, [__version__]]


def test_the_ledger_knows_what_the_folder_s_name_only_hints_at(open_staging: Open) -> None:
    box = Selection((13.0, 52.25, 13.5, 52.5), date(2024, 1, 1), sequences=("a", "b"))
    opened = open_staging(Collection("Ünî cødé", "256", selection=box))
    names = ("username", "quality", "webp", "jxl", "selection")
    found = opened.ledger.wait_for(lambda ledger: {name: ledger.facts.get(name) for name in names})
    assert found == {
        "username": "Ünî cødé",
        "quality": "256",
        "webp": False,
        "jxl": False,
        "selection": {"bbox": [13.0, 52.25, 13.5, 52.5], "start": "2024-01-01", "end": None,
                      "sequences": ["a", "b"]},
    }  # fmt: skip


@pytest.mark.parametrize("older", [False, True])
def test_another_selection_of_the_same_name_is_refused(open_staging: Open, *, older: bool) -> None:
    """A ledger from before there were sequences has none, which is what it means."""
    whole = Collection("alice", "256", selection=Selection(start=date(2024, 1, 1)))
    opened = open_staging(whole)

    def change(ledger: Ledger) -> None:
        told = ledger.facts.get("selection")
        del told["sequences"]
        if not older:
            told["bbox"] = [1.0, 2.0, 3.0, 4.0]
        ledger.facts.set(selection=told)

    opened.ledger.wait_for(change)
    opened.close()
    if older:
        assert open_staging(whole).run_number == 2
        return
    with pytest.raises(Refused, match="holds another selection") as refused:
        open_staging(whole)
    assert refused.value.outcome is Outcome.REFUSED


def test_it_goes_on_where_it_was(open_staging: Open) -> None:
    first = open_staging()
    first.ledger.wait_for(list_one)
    first.close()
    second = open_staging()
    assert (second.new, second.run_number) == (False, 2)
    assert second.ledger.wait_for(lambda ledger: ledger.images.listed()) == 1


def test_closing_leaves_no_lock_and_no_thread(open_staging: Open, tmp_path: Path) -> None:
    opened = open_staging()
    opened.close()
    names = {
        name for name in contents(tmp_path) if "lock" in name or name.endswith(("-wal", "-shm"))
    }
    assert names == set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ledger")]


def test_what_a_crash_left_half_written_goes(open_staging: Open, tmp_path: Path) -> None:
    incoming = tmp_path / "store/.incomplete/mapillary-alice-2048/.crawl/incoming"
    incoming.mkdir(parents=True)
    (incoming / "57").write_bytes(b"\xff\xd8")
    open_staging()
    assert not incoming.exists()


def test_all_programs_that_worked_on_it_are_named(
    open_staging: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(staging, "__version__", "99.0")
        open_staging().close()
    opened = open_staging()
    versions = opened.ledger.wait_for(lambda ledger: ledger.facts.get("versions"))
    assert versions == sorted([__version__, "99.0"])


# tar


@pytest.mark.parametrize(("first", "tar"), [(None, True), (True, True), (False, False)])
def test_tar_is_fixed_by_the_first_run(first: bool | None, tar: bool, open_staging: Open) -> None:
    begun = open_staging(tar=first)
    begun.ledger.wait_for(list_one)
    begun.close()
    for again in (None, tar):
        opened = open_staging(tar=again)
        assert opened.tar is tar
        opened.close()
    refusal = refused(open_staging, tar=not tar)
    assert refusal.outcome is Outcome.REFUSED
    assert f"begun with tar={tar:d}" in str(refusal)
    assert open_staging().tar is tar  # and nothing was lost


@pytest.mark.parametrize(("first", "page"), [(None, True), (True, True), (False, False)])
def test_so_is_the_page(first: bool | None, page: bool, open_staging: Open) -> None:
    begun = open_staging(page=first, plan=True)
    assert begun.ledger.wait_for(lambda ledger: ledger.facts.get("page")) is None
    begun.ledger.wait_for(list_one)
    begun.close()
    for again in (first, None, page):
        opened = open_staging(page=again)
        assert opened.ledger.wait_for(lambda ledger: ledger.facts.get("page")) is page
        opened.close()
    refusal = refused(open_staging, page=not page)
    assert f"page={not page:d} does not fit: this collection was begun with page={page:d}" in str(
        refusal
    )
    assert ("page makes one" in str(refusal)) != page


@pytest.mark.parametrize("tar", [True, False])
def test_a_plan_neither_fixes_tar_nor_forgets_it(open_staging: Open, *, tar: bool) -> None:
    def plan(asked: bool | None) -> bool:
        opened = open_staging(tar=asked, plan=True)
        opened.ledger.wait_for(lambda ledger: ledger.facts.set(planned=0))
        opened.close()
        return opened.tar

    assert plan(not tar) is not tar
    open_staging(tar=tar).close()
    assert plan(None) is tar
    assert open_staging().tar is tar


# One writer


def test_a_second_process_is_refused(open_staging: Open) -> None:
    open_staging()
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.LOCKED
    assert "mapillary-alice-2048" in str(refusal)


def test_other_qualities_and_selections_run_side_by_side(open_staging: Open) -> None:
    open_staging()
    open_staging(Collection("alice", "256"))
    open_staging(Collection("alice", "2048", selection=Selection(start=date(2024, 1, 1))))
    open_staging(Collection("bob", "2048"))


def test_the_lock_holds_across_the_store_and_across_the_staging(
    open_staging: Open, tmp_path: Path
) -> None:
    open_staging(store=tmp_path / "a", staging=tmp_path / "x")
    assert refused(open_staging, store=tmp_path / "a", staging=tmp_path / "y").outcome is (
        Outcome.LOCKED
    )
    assert refused(open_staging, store=tmp_path / "b", staging=tmp_path / "x").outcome is (
        Outcome.LOCKED
    )
    open_staging(store=tmp_path / "b", staging=tmp_path / "y")  # and a refusal holds nothing


HOLD = """
import sys, time
from pathlib import Path
from mapillary_crawler.collection.lock import Lock
lock = Lock({Path(folder) for folder in sys.argv[1:]}, "mapillary-alice-2048")
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_process_holds_no_lock(number: int, open_staging: Open, tmp_path: Path) -> None:
    folders = [str(tmp_path / "store"), str(tmp_path / "store/.incomplete")]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *folders],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert refused(open_staging).outcome is Outcome.LOCKED
        process.send_signal(number)
        process.wait(30)
        assert list(tmp_path.rglob(".locks/*")) != []  # its files are still there
        open_staging().close()
        assert list(tmp_path.rglob(".locks/*")) == []
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_never_two_hold_it_however_they_come_and_go(tmp_path: Path) -> None:
    """Releasing removes files and folders under the feet of those who wait."""
    folders, inside, most = {tmp_path / "a", tmp_path / "b"}, 0, 0
    account = threading.Lock()
    failures: list[BaseException] = []

    def come_and_go() -> None:
        nonlocal inside, most
        for _ in range(150):
            try:
                lock = Lock(folders, "x")
            except Refused:
                continue
            except BaseException as error:  # noqa: BLE001  whatever it is, it fails the test
                failures.append(error)
                return
            with account:
                inside += 1
                most = max(most, inside)
            with account:
                inside -= 1
            lock.release()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert most == 1
    Lock(folders, "x").release()


def test_a_lock_that_fails_half_way_holds_nothing(tmp_path: Path) -> None:
    held = Lock({tmp_path / "b"}, "x")
    with pytest.raises(Refused):
        Lock({tmp_path / "a", tmp_path / "b"}, "x")
    Lock({tmp_path / "a"}, "x").release()
    held.release()
    assert contents(tmp_path) == {"a", "b"}


# Refusals


def finished(open_staging: Open, tmp_path: Path) -> Path:
    opened = open_staging()
    opened.ledger.wait_for(list_one)
    opened.ledger.wait_for(lambda ledger: ledger.settle([1], State.GONE))
    opened.ledger.wait_for(lambda ledger: ledger.facts.set(finished_at=1705276800.5))
    opened.close()
    opened.folder.rename(opened.destination)
    return opened.destination


def test_a_link_to_nowhere_is_no_place_for_a_lock(tmp_path: Path) -> None:
    (tmp_path / ".locks").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        Lock({tmp_path}, "x")


def test_what_is_archived_is_said_and_left(open_staging: Open, tmp_path: Path) -> None:
    destination = finished(open_staging, tmp_path)
    before = contents(tmp_path)
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.ALREADY_ARCHIVED
    assert str(refusal) == (
        f"mapillary-alice-2048 is archived since 2024-01-15 00:00 UTC with 0 images: {destination}"
    )
    assert contents(tmp_path) - {"store/.incomplete"} == before - {"store/.incomplete"}


def test_what_is_in_the_store_unfinished_is_refused(open_staging: Open, tmp_path: Path) -> None:
    opened = open_staging()
    opened.close()
    opened.folder.rename(opened.destination)
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.REFUSED
    assert "not finished" in str(refusal)


def test_a_foreign_folder_stays_untouched(open_staging: Open, tmp_path: Path) -> None:
    foreign = tmp_path / "store/mapillary-alice-2048"
    foreign.mkdir(parents=True)
    (foreign / "2024-01-15.tar").write_bytes(b"x")
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.REFUSED
    assert "left untouched" in str(refusal)
    assert "scrapy adopt" in str(refusal)
    assert contents(tmp_path / "store") - {".incomplete"} == {
        "mapillary-alice-2048",
        "mapillary-alice-2048/2024-01-15.tar",
    }


@pytest.mark.parametrize(
    "body", [b"", b"no ledger at all" * 100, b"SQLite format 3\x00" + bytes(84)]
)
def test_a_broken_ledger_in_the_store_is_named(
    body: bytes, open_staging: Open, tmp_path: Path
) -> None:
    path = tmp_path / "store/mapillary-alice-2048" / LEDGER_PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(body)
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.INCOMPLETE
    assert f"{path} cannot be read" in str(refusal)
    assert str(refusal).endswith(" repair mapillary-alice-2048")
    assert path.read_bytes() == body


def test_a_broken_ledger_in_the_staging_is_named_and_kept(
    open_staging: Open, tmp_path: Path
) -> None:
    path = tmp_path / "store/.incomplete/mapillary-alice-2048" / LEDGER_PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no ledger at all" * 100)
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.INCOMPLETE
    assert "cannot be read" in str(refusal)
    assert "untouched" in str(refusal)
    assert str(refusal).endswith(" repair mapillary-alice-2048")
    assert "away" not in str(refusal)
    assert path.read_bytes() == b"no ledger at all" * 100


@pytest.mark.parametrize(
    "later",
    [
        f"PRAGMA user_version = {VERSION + 1}",
        f"INSERT INTO facts VALUES ('format', '{FORMAT + 1}')",
    ],
    ids=["schema", "format"],
)
def test_a_ledger_of_a_later_program_is_refused(open_staging: Open, later: str) -> None:
    opened = open_staging()
    opened.close()
    with closing(sqlite3.connect(opened.folder / LEDGER_PATH)) as connection, connection:
        connection.execute(later)
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.REFUSED
    assert "run the version that wrote it" in str(refusal)
    opened.folder.rename(opened.destination)
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.REFUSED
    assert "run the version that wrote it" in str(refusal)


@pytest.mark.parametrize("place", ["staging", "store"])
def test_a_name_that_the_disk_takes_for_another_is_refused(
    place: str, open_staging: Open, tmp_path: Path
) -> None:
    destination = finished(open_staging, tmp_path)
    folder = destination if place == "store" else tmp_path / "store/.incomplete" / ALICE.name
    if folder != destination:
        folder.parent.mkdir(exist_ok=True)
        destination.rename(folder)
    in_ledger(folder / LEDGER_PATH, lambda ledger: ledger.facts.set(username="Alice"))
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.REFUSED
    assert "another user, 'Alice'" in str(refusal)
    assert in_ledger(folder / LEDGER_PATH, lambda ledger: ledger.facts.get("username")) == "Alice"


def test_a_store_that_cannot_be_made(open_staging: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for named, folder in (
        ("store", tmp_path / "file/store"),
        ("store", tmp_path / "file"),
        ("staging", tmp_path / "file/staging"),
    ):
        refusal = refused(open_staging, **{named: folder})
        assert refusal.outcome is Outcome.REFUSED
        assert "cannot be made" in str(refusal)
        assert str(refusal).endswith(f"set MAPILLARY_{named.upper()}")


def test_a_store_that_is_not_writable(
    open_staging: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refusal = refused(open_staging)
    assert refusal.outcome is Outcome.REFUSED
    assert f"{tmp_path / 'store'} is not writable" in str(refusal)
    assert str(refusal).endswith("MAPILLARY_STORE")


def test_a_staging_folder_that_is_not_writable(
    open_staging: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path == tmp_path / "store")
    refusal = refused(open_staging, staging=tmp_path / "fast")
    assert refusal.outcome is Outcome.REFUSED
    assert f"{tmp_path / 'fast'} is not writable" in str(refusal)
    assert str(refusal).endswith("MAPILLARY_STAGING")


def test_a_full_disk_says_so(open_staging: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_for_sqlite(*arguments: Any, **options: Any) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as no_space:
        no_space.setattr(ledger_thread, "Ledger", full_for_sqlite)
        assert refused(open_staging).outcome is Outcome.DISK_FULL
    with monkeypatch.context() as no_space:
        no_space.setattr(Path, "mkdir", full)
        assert refused(open_staging).outcome is Outcome.DISK_FULL
    open_staging()


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(errno.ENOSPC, Outcome.DISK_FULL), (errno.EACCES, Outcome.REFUSED)],
)
@pytest.mark.parametrize("fails", ["Lock", "end_move"])
def test_what_cannot_be_locked_or_moved_is_one_line(
    open_staging: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    outcome: Outcome,
    fails: str,
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    with monkeypatch.context() as trouble:
        trouble.setattr(staging, fails, fail)
        refusal = refused(open_staging)
    assert refusal.outcome is outcome
    assert "somewhere cannot be used" in str(refusal)
    assert contents(tmp_path) == set()
    open_staging()


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("2024-01-15.tar", Outcome.INCOMPLETE, " repair mapillary-alice-2048"),
        ("metadata.jsonl.gz", Outcome.REFUSED, "left untouched"),
    ],
)
def test_tars_without_a_ledger_stay_untouched(
    open_staging: Open, tmp_path: Path, name: str, outcome: Outcome, words: str
) -> None:
    folder = tmp_path / "store/.incomplete" / ALICE.name
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"x")
    refusal = refused(open_staging)
    assert refusal.outcome is outcome
    assert words in str(refusal)
    assert contents(folder) == {name}


def test_a_refused_beginning_leaves_nothing(
    open_staging: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise Refused(Outcome.REFUSED, "no encoder")

    monkeypatch.setattr(staging, "fix_encoding", fail)
    assert str(refused(open_staging, Collection("alice", webp=True))) == "no encoder"
    assert contents(tmp_path) == set()


def test_a_refused_beginning_never_removes_pictures(
    open_staging: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise Refused(Outcome.REFUSED, "no encoder")

    collection = Collection("alice", webp=True)
    picture = tmp_path / "store/.incomplete" / collection.name / "2024-01-15/s/1.webp"
    picture.parent.mkdir(parents=True)  # somebody deleted the ledger beside it
    picture.write_bytes(b"RIFF")
    monkeypatch.setattr(staging, "fix_encoding", fail)
    refused(open_staging, collection)
    assert picture.read_bytes() == b"RIFF"


# Beside the collection


def test_siblings(open_staging: Open, tmp_path: Path) -> None:
    opened = open_staging()
    assert opened.siblings() == []
    for name in (
        "store/mapillary-alice-original-webp",
        "store/.incomplete/mapillary-alice-256",
        "store/mapillary-bob-256",
        "store/mapillary-alice-1024+2024-01-01_",
        "store/mapillary-alice-2048",
    ):
        (tmp_path / name).mkdir()
    assert opened.siblings() == ["mapillary-alice-256", "mapillary-alice-original-webp"]
    assert opened.whole() is None


def test_a_selection_of_what_is_here_whole(open_staging: Open, tmp_path: Path) -> None:
    destination = finished(open_staging, tmp_path)
    selection = Collection("alice", "2048", selection=Selection(start=date(2024, 1, 1)))
    opened = open_staging(selection)
    assert opened.whole() == destination
    assert opened.siblings() == [destination.name]


def test_what_a_plan_left_is_no_sibling(open_staging: Open) -> None:
    planned = open_staging(Collection("alice", "256"), plan=True)
    planned.ledger.wait_for(list_one)
    planned.ledger.wait_for(lambda ledger: ledger.facts.set(planned=0))
    planned.close()
    assert open_staging().siblings() == []


def test_another_fixed_value_does_not_fit_what_is_archived(
    open_staging: Open, tmp_path: Path
) -> None:
    finished(open_staging, tmp_path)
    refusal = refused(open_staging, tar=False)
    assert refusal.outcome is Outcome.REFUSED
    assert "tar=0 does not fit: this collection was begun with tar=1" in str(refusal)
    same = refused(open_staging, tar=True)
    assert same.outcome is Outcome.ALREADY_ARCHIVED


def test_the_first_tar_fixes_the_size_of_all(open_staging: Open) -> None:
    first = open_staging(environment={"TAR_MAX_BYTES": "20000"})
    assert first.tar_max_bytes == 20_000
    first.close()
    again = open_staging(environment={"TAR_MAX_BYTES": "30 kB"})  # there is no tar yet
    assert again.tar_max_bytes == 30_000
    again.ledger.wait_for(lambda ledger: ledger.facts.set(tar_max_bytes=30_000))
    again.close()
    later = open_staging()
    assert later.tar_max_bytes == 30_000
    later.close()
    refusal = refused(open_staging, environment={"TAR_MAX_BYTES": "20000"})
    assert refusal.outcome is Outcome.REFUSED
    assert "TAR_MAX_BYTES=20000 does not fit" in str(refusal)
    assert "with 30000" in str(refusal)
    assert open_staging(environment={"TAR_MAX_BYTES": "30000"}).tar_max_bytes == 30_000


def test_a_discarded_collection_leaves_nothing(open_staging: Open, tmp_path: Path) -> None:
    opened = open_staging()
    (opened.folder / "download.log.20240115T000000Z").write_bytes(b"x")
    (opened.folder / ".crawl/incoming").mkdir()
    opened.ledger.wait_for(opened.discard)
    opened.close()
    assert contents(tmp_path) == set()


@pytest.mark.parametrize("name", ["2024-01-15/s/1.jpg", "2024-01-15.tar", "notes.txt"])
def test_discarding_removes_nothing_but_state_and_logs(open_staging: Open, name: str) -> None:
    opened = open_staging()
    other = opened.folder / name
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"\xff\xd8")
    opened.ledger.wait_for(opened.discard)
    opened.close()
    assert other.exists()
    assert not (opened.folder / ".crawl").exists()


def test_a_collection_that_is_not_writable_is_not_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path / "made" / ANN.name, [Picture("1")])
    finish(tmp_path / "made" / ANN.name, tmp_path / "store")
    folder = tmp_path / "store" / ANN.name
    configuration = limits_of(tmp_path / "store", None, {})
    for unwritable in (folder, folder / ".crawl"):
        with monkeypatch.context() as patched:
            patched.setattr(os, "access", lambda path, mode, closed=unwritable: path != closed)
            with pytest.raises(
                Refused, match="is not writable, so it cannot be updated"
            ) as refused:
                OpenCollection.open(Arguments(ANN, update=True), configuration)
        assert refused.value.outcome is Outcome.REFUSED
        assert not (tmp_path / "store" / ".incomplete").exists()
    opened = OpenCollection.open(Arguments(ANN, update=True), configuration)
    assert opened.updating
    opened.close()
