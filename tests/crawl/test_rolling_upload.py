"""The upload beside a crawl, of days sealed by hand, against the sandbox's archive.org."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import threading
import time
import urllib.request
from contextlib import contextmanager

import pytest

from mapillary_crawler import settings as defaults
from mapillary_crawler.archive.finish.seal import seal_day
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.internet_archive import uploaded_collection
from mapillary_crawler.archive.internet_archive.body import Body
from mapillary_crawler.archive.internet_archive.growing_collection import GrowingCollection
from mapillary_crawler.archive.internet_archive.options import options_of
from mapillary_crawler.archive.internet_archive.trouble import Denied, NoKeys, StillUnavailable
from mapillary_crawler.collection.arguments import validate
from mapillary_crawler.collection.configuration import read_configuration
from mapillary_crawler.collection.layout import UPLOADING
from mapillary_crawler.crawl import rolling_upload
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.rolling_upload import RollingUpload
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import DAY, NOON, Picture, add
from tests.archive.internet_archive.collections_made import ANN, pictures
from tests.crawling import wait_until

pytestmark = pytest.mark.slow

ITEM = ANN.identifier
_TARS = 10_240 * 2


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Sandbox.running([], seed=3, uploads=tmp_path_factory.mktemp("uploads")) as running:
        yield running


@pytest.fixture
def sandbox(running):
    running.reset()
    return running


@pytest.fixture
def environment(sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IA_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("IA_SECRET_ACCESS_KEY", "SECRET")


class Crawl:
    """A collection in staging, whose days are sealed one by one while its upload runs."""

    def __init__(self, sandbox, store, days: int, *, remove: bool, **settings) -> None:
        self.sandbox = sandbox
        staging = store / ".incomplete" / ITEM
        if not staging.exists():
            add(staging, [*pictures(days), Picture("9", captured_at=None, sequence=None)], ANN)
        values = {
            name: getattr(defaults, name) for name in dir(defaults) if name.isupper()
        } | {
            "MAPILLARY_API_URL": sandbox.url, "ARCHIVE_ORG_URL": sandbox.url,
            "ARCHIVE_ORG_S3_URL": sandbox.url, "MAPILLARY_STORE": str(store),
            "TAR_MAX_BYTES": "10MB", "IA_RETRY_WAIT": "0.02", "IA_PATIENCE": "30", **settings,
        }  # fmt: skip
        arguments = {"username": "ann", "upload": "1", "remove": f"{remove:d}"}
        self.opened = OpenCollection.open(validate(arguments), read_configuration(values, {}))
        self.upload = RollingUpload(self.opened, options_of(values))
        self.upload.start()

    def seal(self, number: int | None) -> str:
        day = time.strftime("%Y-%m-%d", time.gmtime((NOON + (number or 0) * DAY) / 1000))
        day = "unknown-date" if number is None else day
        seal_day(Work(self.opened.ledger, self.opened.folder, lambda: False, print), day, _TARS)
        self.upload.wake()
        return f"{day}.tar"

    def make_scratch(self) -> None:
        Work(self.opened.ledger, self.opened.folder, lambda: False, print).make_scratch()

    def pieces(self):
        return self.opened.ledger.wait_for(
            lambda ledger: {piece.name: piece for piece in ledger.pieces.all()}
        )

    def fact(self, name):
        return self.opened.ledger.wait_for(lambda ledger: ledger.facts.get(name))

    def here(self):
        return {path.name for path in self.opened.folder.glob("*.tar")}

    def close(self) -> None:
        self.upload.close()
        self.opened.close()


@pytest.fixture
def crawling(sandbox, environment, tmp_path):
    @contextmanager
    def crawl(days: int = 4, *, remove: bool = True, **settings):
        crawl = Crawl(sandbox, tmp_path / "store", days, remove=remove, **settings)
        crawl.make_scratch()
        try:
            yield crawl
        finally:
            crawl.close()

    return crawl


def held(sandbox, item: str = ITEM) -> dict[str, str]:
    found = sandbox.archive()["items"].get(item, {})
    return {file["name"]: file["md5"] for file in found.get("files", [])}


def puts(sandbox) -> list[str]:
    return [put["name"] for put in sandbox.archive()["puts"]]


def description(sandbox) -> str:
    return sandbox.archive()["items"][ITEM]["metadata"]["description"]


def test_sealed_tars_are_sent_seen_and_removed_beside_the_crawl(crawling, sandbox):
    sandbox.set_faults({"archive": {"task_seconds": 0.1}})
    with crawling() as crawl:
        first = crawl.seal(0)
        wait_until(lambda: crawl.upload.state.removed == 1)
        item = sandbox.archive()["items"][ITEM]["metadata"]
        assert "At least 1 images so far, of 5 listed" in item["description"]
        assert "coverage" not in item
        assert item["mapillary_downloader"]
        assert (item["creator"], item["mediatype"]) == ("ann", "data")
        second, last = crawl.seal(1), crawl.seal(None)
        wait_until(lambda: crawl.upload.state.removed == 3)
        assert crawl.here() == set()
        assert set(held(sandbox)) == {first, second, last}
        assert {piece.state for piece in crawl.pieces().values()} == {PieceState.REMOVED}
        assert crawl.fact("verified").keys() == {ITEM}
        state = crawl.upload.state
        assert (state.waiting_bytes, state.here_bytes, state.can_free) == (0, 0, False)
        assert state.trouble is None


def test_nothing_is_removed_without_being_asked(crawling):
    with crawling(remove=False) as crawl:
        name = crawl.seal(0)
        wait_until(lambda: crawl.upload.state.verified == 1)
        assert crawl.here() == {name}
        assert crawl.upload.state.here_bytes == _size(crawl, name)
        assert not crawl.upload.state.can_free


def _size(crawl, name) -> int:
    return (crawl.opened.folder / name).stat().st_size


def test_nothing_is_removed_before_its_task_is_done(crawling, sandbox):
    sandbox.set_faults({"archive": {"tasks_paused": True}})
    with crawling() as crawl:
        name = crawl.seal(0)
        wait_until(lambda: crawl.upload.state.uploaded == 1)
        wait_until(lambda: "tasks" in crawl.upload.state.words)
        time.sleep(0.5)
        assert crawl.here() == {name}
        assert crawl.upload.state.can_free
        sandbox.set_faults({"archive": {"tasks_paused": False}})
        sandbox.change_items({ITEM: {"tasks": "done"}})
        wait_until(lambda: crawl.upload.state.removed == 1)


def test_room_may_come_as_long_as_nothing_is_counted(crawling):
    with crawling() as crawl:
        wait_until(lambda: not crawl.upload.state.can_free)
        crawl.upload.rest()
        crawl.seal(0)
        assert crawl.upload.state.can_free, "before the thread of the upload has looked"
    with crawling(remove=False) as crawl:
        crawl.upload.rest()
        crawl.seal(1)
        assert not crawl.upload.state.can_free


def test_tasks_that_take_longer_than_patience_free_nothing(crawling, sandbox):
    sandbox.set_faults({"archive": {"tasks_paused": True}})
    with crawling(IA_PATIENCE="0.3") as crawl:
        name = crawl.seal(0)
        wait_until(lambda: crawl.upload.state.trouble)
        assert "is not done with mapillary-ann-original" in crawl.upload.state.trouble
        assert not crawl.upload.state.can_free
        assert crawl.here() == {name}


_OTHERS = {
    "dark": ({"dark": True}, "made mapillary-ann-original dark"),
    "taken": ({"uploader": "bob@example.org"}, "has another uploader"),
    "file gone": ({"files": {"2024-01-15.tar": None}}, "no longer has 2024-01-15.tar"),
    "other md5": ({"files": {"2024-01-15.tar": {"md5": "0" * 32}}}, "has another 2024-01-15.tar"),
}


@pytest.mark.parametrize("other", _OTHERS)
def test_what_somebody_else_does_stops_the_removal(crawling, sandbox, other):
    change, words = _OTHERS[other]
    with crawling() as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.removed == 1)
        sandbox.set_faults({"archive": {"tasks_paused": True}})
        name = crawl.seal(1)
        wait_until(lambda: crawl.upload.state.uploaded == 2)
        sandbox.change_items({ITEM: change})
        sandbox.set_faults({"archive": {"tasks_paused": False}})
        sandbox.change_items({ITEM: {"tasks": "done"}})
        wait_until(lambda: crawl.upload.state.trouble)
        assert words in crawl.upload.state.trouble
        assert not crawl.upload.state.can_free
        assert crawl.here() == {name}
        later = crawl.seal(2)
        time.sleep(0.5)
        assert crawl.here() == {name, later}
        assert crawl.upload.state.removed == 1


def test_a_file_lost_after_its_acceptance_is_sent_again(crawling, sandbox):
    sandbox.set_faults({"archive": {"lost": 1.0}})
    with crawling() as crawl:
        name = crawl.seal(0)
        wait_until(lambda: puts(sandbox) == [name])
        sandbox.set_faults({"archive": {"lost": 0.0}})
        wait_until(lambda: crawl.upload.state.removed == 1)
        assert puts(sandbox) == [name, name]


def test_refused_keys_end_the_upload_and_nothing_else(crawling, sandbox):
    sandbox.set_faults({"archive": {"refusal": "collection"}})
    with crawling() as crawl:
        names = {crawl.seal(0)}
        wait_until(lambda: crawl.upload.state.trouble)
        names.add(crawl.seal(1))
        time.sleep(0.3)
        assert "write to those collections" in crawl.upload.state.trouble
        assert len(puts(sandbox)) == 1
        assert crawl.here() == names
        crawl.upload.rest()
        crawl.upload.end_early(hurry=False)
        assert len(puts(sandbox)) == 1


def test_archive_org_may_come_back(crawling, sandbox):
    sandbox.set_faults({"archive": {"slow_down": 1.0}})
    with crawling(IA_PATIENCE="0.2") as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.trouble)
        assert "stayed unavailable" in crawl.upload.state.trouble
        assert not crawl.upload.state.can_free
        sandbox.set_faults({"archive": {"slow_down": 0.0}})
        wait_until(lambda: crawl.upload.state.removed == 1)
        assert crawl.upload.state.trouble is None


@pytest.mark.parametrize("error", [OSError("no disk"), KeyError("odd"), NoKeys("no keys")])
def test_whatever_ends_the_upload_is_told_and_frees_nothing(crawling, monkeypatch, error):
    """A crawl that waits for room would else wait for ever."""

    def fail() -> bool:
        raise error

    with crawling() as crawl:
        wait_until(lambda: not crawl.upload.state.can_free)
        monkeypatch.setattr(crawl.upload._rolling, "send_one", fail)
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.trouble)
        assert str(error) in crawl.upload.state.trouble
        assert not crawl.upload.state.can_free
        crawl.seal(1)
        assert not crawl.upload.state.can_free


def test_what_a_kill_has_left_unknown_is_no_trouble_as_long_as_more_is_sent(crawling):
    """archive.org has the first tar, and the ledger was not told: the next one makes it ours."""
    with crawling() as crawl:
        crawl.upload.rest()
        name = crawl.seal(0)
        with Body(crawl.opened.folder / name, lambda _: None) as body:
            crawl.upload._archive.put(ITEM, name, body, metadata={}, headers={})
        crawl.upload._round()
        crawl.upload._count()
        assert "not known that the item is of these keys" in crawl.upload.state.trouble
        crawl.seal(1)
        crawl.upload._count()
        assert crawl.upload.state.trouble is None
        assert crawl.upload.state.can_free
        crawl.upload.end_early(hurry=False)
        assert crawl.here() == set()


def test_what_is_refused_stays_so_when_archive_org_was_away(crawling):
    with crawling() as crawl:
        crawl.upload.rest()
        crawl.seal(0)
        crawl.upload._refuse("not these keys")
        crawl.upload._has_gone_away(StillUnavailable("away"))
        crawl.upload._is_back()
        crawl.upload._count()
        assert crawl.upload.state.trouble == "not these keys"
        assert not crawl.upload.state.can_free


def test_a_tar_that_comes_while_archive_org_is_waited_for_is_sent(crawling, sandbox, monkeypatch):
    with crawling(remove=False) as crawl:
        look, waits = crawl.upload._rolling.look, threading.Event()

        def look_and_wait() -> bool:
            sent = look()
            if crawl.upload.state.verified and not waits.is_set():
                waits.set()
                crawl.upload._sleep(0.5)
            return sent

        monkeypatch.setattr(crawl.upload._rolling, "look", look_and_wait)
        first = crawl.seal(0)
        wait_until(lambda: crawl.upload.state.verified == 1)
        crawl.upload.wake()
        assert waits.wait(10)
        second = crawl.seal(1)
        wait_until(lambda: puts(sandbox) == [first, second])


def test_answers_that_are_refused_are_not_asked_for_again_and_again(crawling, sandbox, monkeypatch):
    sandbox.set_faults({"archive": {"tasks_paused": True}})
    asked = []

    def denied(identifier: str):
        asked.append(identifier)
        raise Denied("HTTP 403", 403)

    with crawling(IA_RETRY_WAIT="0.1") as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.uploaded == 1)
        monkeypatch.setattr(crawl.upload._archive, "metadata", denied)
        wait_until(lambda: asked)
        time.sleep(1)
        assert len(asked) <= 10


@pytest.mark.parametrize("what", ["write refused", "disk full"])
def test_telling_that_fails_beside_the_crawl_costs_nothing_else(
    crawling, sandbox, monkeypatch, what
):
    told = []

    def interim(*_):
        told.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rolling_upload, "_A_DAY", 0.1)
    if what == "disk full":
        monkeypatch.setattr(rolling_upload, "interim_manifests", interim)
    else:
        sandbox.set_faults({"archive": {"write_refused": 1.0}})
    with crawling() as crawl:
        crawl.seal(0)
        wait_until(lambda: told or "checksums.jsonl.gz" in held(sandbox))
        time.sleep(0.5)
        crawl.seal(1)
        wait_until(lambda: crawl.upload.state.removed == 2)
        assert crawl.upload.state.trouble is None
        assert max(len(told), puts(sandbox).count("checksums.jsonl.gz")) == 1, "not again soon"


def test_an_early_end_tells_what_is_there(crawling, sandbox):
    with crawling() as crawl:
        crawl.seal(0)
        crawl.seal(2)
        crawl.upload.rest()
        crawl.upload.end_early(hurry=False)
        assert crawl.here() == set()
        assert set(held(sandbox)) == {
            "2024-01-15.tar", "2024-01-17.tar", "metadata.jsonl.gz", "checksums.jsonl.gz",
        }  # fmt: skip
        item = sandbox.archive()["items"][ITEM]["metadata"]
        assert "At least 2 images so far" in item["description"]
        assert (item["date"], item["coverage"]) == ("2024-01-15", "2024-01-15 - 2024-01-17")
        assert not (crawl.opened.folder / UPLOADING).exists()
        assert "metadata.jsonl.gz" not in crawl.pieces()
        assert crawl.fact("verified").keys() == {ITEM}, "of manifests nothing is said"
        metadata = _manifest(sandbox, "metadata.jsonl.gz")
        assert len(metadata) == 5
        checksums = _manifest(sandbox, "checksums.jsonl.gz")
        assert [line["tar"] for line in checksums] == ["2024-01-15.tar", "2024-01-17.tar"]
        sent = len(puts(sandbox))
        crawl.upload.end_early(hurry=False)
        assert len(puts(sandbox)) == sent, "what is there is not sent again"


def _manifest(sandbox, name):
    with urllib.request.urlopen(f"{sandbox.url}/download/{ITEM}/{name}") as answer:
        return [json.loads(line) for line in gzip.decompress(answer.read()).splitlines()]


def test_a_day_later_manifests_follow_beside_the_crawl(crawling, sandbox, monkeypatch):
    monkeypatch.setattr(rolling_upload, "_A_DAY", 1.0)
    with crawling() as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.removed == 1)
        wait_until(lambda: "checksums.jsonl.gz" in held(sandbox))
        told = len(puts(sandbox))
        time.sleep(1.5)
        assert len(puts(sandbox)) == told, "nothing is new"
        crawl.seal(1)
        wait_until(lambda: puts(sandbox).count("checksums.jsonl.gz") == 2)
        wait_until(lambda: "At least 2 images so far" in description(sandbox))
        assert "SHA256SUMS" not in puts(sandbox)


def test_what_archive_org_is_not_done_with_does_not_hold_up_an_early_end(
    crawling, sandbox, monkeypatch
):
    monkeypatch.setattr(rolling_upload, "_PATIENCE_AT_THE_END", 0.5)
    sandbox.set_faults({"archive": {"tasks_paused": True}})
    with crawling(IA_PATIENCE="1000") as crawl:
        name = crawl.seal(0)
        crawl.upload.rest()
        crawl.upload.end_early(hurry=False)
        assert "metadata.jsonl.gz" in puts(sandbox)
        assert crawl.here() == {name}


@pytest.mark.parametrize("fault", ["write_refused", "write_error"])
def test_metadata_that_cannot_be_replaced_cost_nothing_else(crawling, sandbox, fault):
    sandbox.set_faults({"archive": {fault: 1.0}})
    with crawling() as crawl:
        crawl.seal(0)
        crawl.upload.rest()
        crawl.upload.end_early(hurry=False)
        assert crawl.here() == set()
        assert "coverage" not in sandbox.archive()["items"][ITEM]["metadata"]


def test_a_stop_is_told_in_a_hurry(crawling, sandbox):
    with crawling() as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.removed == 1)
        crawl.upload.stop()
        crawl.upload.rest()
        crawl.upload.end_early(hurry=True)
        assert "metadata.jsonl.gz" in held(sandbox)


def test_a_hurry_ends_whatever_archive_org_does(crawling, sandbox):
    with crawling() as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.removed == 1)
        sandbox.set_faults({"archive": {"latency_ms": 60_000}})
        crawl.seal(1)
        wait_until(lambda: crawl.upload.state.waiting_bytes)
        stopped = threading.Event()

        def end() -> None:
            crawl.upload.stop()
            crawl.upload.rest()
            crawl.upload.end_early(hurry=True)
            stopped.set()

        threading.Thread(target=end, daemon=True).start()
        assert stopped.wait(30)
        assert not (crawl.opened.folder / UPLOADING).exists()


def test_kills_of_the_process_that_sends_cost_one_upload_each(crawling, sandbox):
    sandbox.set_faults({"archive": {"latency_ms": 100, "task_seconds": 0.2}})
    kills = 0
    with crawling(days=8) as crawl:
        for number in range(8):
            crawl.seal(number)
        while crawl.upload.state.removed < 8:
            time.sleep(0.15)
            process = crawl.upload._archive._process
            if kills < 5 and process is not None and process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
        accepted = [put for put in sandbox.archive()["puts"] if put["status"] == 200]
        assert len(accepted) <= 8 + kills
        assert crawl.here() == set()


def test_what_an_earlier_run_has_left_is_gone_on_with(crawling, sandbox):
    sandbox.set_faults({"archive": {"tasks_paused": True}})
    with crawling() as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.uploaded == 1)
        assert len(crawl.here()) == 1
    sandbox.set_faults({"archive": {"tasks_paused": False}})
    sandbox.change_items({ITEM: {"tasks": "done"}})
    with crawling() as crawl:
        wait_until(lambda: crawl.upload.state.removed == 1)
        assert len(puts(sandbox)) == 1


def test_a_tar_of_somebody_else_is_not_replaced(crawling, sandbox):
    with crawling() as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.removed == 1)
        sandbox.change_items({ITEM: {"files": {"2024-01-16.tar": {"md5": "0" * 32}}}})
        crawl.seal(1)
        wait_until(lambda: crawl.upload.state.trouble)
        assert "another 2024-01-16.tar already" in crawl.upload.state.trouble
        assert puts(sandbox) == ["2024-01-15.tar"]


@pytest.mark.parametrize("what", ["link", "missing"])
def test_no_link_is_followed_and_nothing_else_is_sent_for_a_tar(crawling, sandbox, what, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(10_240))
    with crawling() as crawl:
        crawl.upload.rest()
        path = crawl.opened.folder / crawl.seal(0)
        path.unlink()
        if what == "link":
            path.symlink_to(tmp_path / "secret")
        crawl.upload.end_early(hurry=False)
        assert str(path) in (crawl.upload.state.trouble or "")
        assert puts(sandbox) == []


def test_volumes_are_those_of_their_order_and_leave_room_for_manifests(crawling, sandbox):
    with crawling(days=6, remove=False, IA_ITEM_MAX_FILES="12") as crawl:
        for number in range(6):
            crawl.seal(number)
            wait_until(lambda number=number: crawl.upload.state.verified == number + 1)
        assert len(held(sandbox)) == 1
        assert len(held(sandbox, f"{ITEM}-vol02")) == 5
        title = sandbox.archive()["items"][f"{ITEM}-vol02"]["metadata"]["title"]
        assert title == "Mapillary images by ann (volume 2)"


def test_a_tar_that_is_sealed_while_archive_org_is_asked_again_is_sent(crawling, sandbox):
    sandbox.set_faults({"archive": {"tasks_paused": True}})
    with crawling(IA_RETRY_WAIT="0.2") as crawl:
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.uploaded == 1)
        sandbox.set_faults({"archive": {"tasks_paused": False, "reset": 1.0}})
        sandbox.change_items({ITEM: {"tasks": "done"}})
        resets = sandbox.counters()["faults"].get("archive.reset", 0)
        wait_until(lambda: sandbox.counters()["faults"].get("archive.reset", 0) > resets)
        crawl.seal(1)
        time.sleep(1)  # it waits to ask again
        sandbox.set_faults({"archive": {"reset": 0.0}})
        wait_until(lambda: crawl.upload.state.removed == 2)


def test_a_tar_that_is_sealed_while_volumes_are_told_is_sent_too(crawling, monkeypatch):
    volumes, sealed = uploaded_collection.volumes, []

    def volumes_and_one_more(*args, **kwargs):
        found = volumes(*args, **kwargs)
        if found and not sealed:
            sealed.append(crawl.seal(1))
        return found

    with crawling() as crawl:
        monkeypatch.setattr(uploaded_collection, "volumes", volumes_and_one_more)
        crawl.seal(0)
        wait_until(lambda: crawl.upload.state.removed == 2)


def test_an_upload_that_ends_unexpectedly_lets_nobody_wait(crawling, monkeypatch):
    def fail(self):
        raise KeyError("unexpected")

    with crawling() as crawl:
        monkeypatch.setattr(GrowingCollection, "pieces", fail)
        crawl.upload.wake()
        wait_until(lambda: crawl.upload.state.trouble)
        assert not crawl.upload.state.can_free
