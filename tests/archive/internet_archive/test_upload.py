"""`ia_upload` through the real command, against the sandbox's archive.org."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import Collection, Selection
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.sandbox.archive_answers import ODD
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import add, finish
from tests.archive.internet_archive.collections_made import (
    ANN,
    DAY,
    NOON,
    grow,
    make,
    pictures,
    pieces,
)

ITEM = ANN.identifier
#: Not a tar: three manifests, page, tracks, thumbnail, log.
OTHERS = {
    "metadata.jsonl.gz",
    "checksums.jsonl.gz",
    "index.html",
    "sequences.geojson",
    "SHA256SUMS",
    "__ia_thumb.jpg",
    "download.log.20240601T000000Z",
}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running():
    with Sandbox.running([], seed=11) as running:
        yield running


@pytest.fixture
def sandbox(running):
    running.reset()
    return running


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def upload(scrapy, sandbox, store):
    def run(*arguments, **environment):
        return scrapy(
            "ia_upload",
            *arguments,
            sandbox=sandbox,
            MAPILLARY_STORE=str(store),
            **environment,
        )

    return run


def published(folder: Path) -> dict[str, str]:
    """Return the md5 of every file that belongs on archive.org."""
    return {
        path.name: hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".")
    }


def held(sandbox, item=ITEM) -> dict[str, str]:
    return {file["name"]: file["md5"] for file in sandbox.archive()["items"][item]["files"]}


def assert_refused(result, *words, code=2):
    assert result.returncode == code, result.stderr + result.stdout
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_a_collection_is_uploaded_and_verified(upload, sandbox, store):
    folder = make(store, 12)
    before = published(folder)
    result = upload(ITEM)
    assert result.returncode == 0, result.stderr
    assert held(sandbox) == before == published(folder)
    assert set(before) == OTHERS | {f"{day}.tar" for day in _days(12)}
    assert re.search(rf"/details/{ITEM} verified: 19 files, [0-9.]+ kB, 12 images", result.stdout)
    assert "uploading 19/19 SHA256SUMS" in result.stdout
    assert "SECRET" not in result.stdout + result.stderr
    for put in sandbox.archive()["puts"]:
        headers = put["headers"]
        assert headers["content-md5"] == before[put["name"]]
        assert headers["x-archive-queue-derive"] == "0"
        assert headers["x-archive-auto-make-bucket"] == "1"
        assert headers["authorization"] == "LOW key:SECRET"
        assert "transfer-encoding" not in headers
        assert int(headers["x-archive-size-hint"]) == sum(
            (folder / name).stat().st_size for name in before
        )
        assert ("x-archive-keep-old-version" in headers) == (put["name"] in OTHERS)
    item = sandbox.archive()["items"][ITEM]["metadata"]
    expected = {
        tag: values if len(values) > 1 else values[0]
        for tag, values in read_metadata(folder).items()
    }
    assert {tag: item[tag] for tag in expected} == expected
    assert "Contains 12 images in" in item["description"]
    sandbox_before = len(sandbox.archive()["puts"])
    again = upload(ITEM)
    assert again.returncode == 0
    assert len(sandbox.archive()["puts"]) == sandbox_before, "nothing is sent twice"


def _days(count):
    return [time.strftime("%Y-%m-%d", time.gmtime((NOON + n * DAY) / 1000)) for n in range(count)]


@pytest.mark.long
def test_slow_downs_resets_and_kills_end_complete(sandbox, store, tmp_path):
    folder = make(store, 195)
    expected = published(folder)
    assert len(expected) == 202
    sandbox.set_faults(
        {
            "archive": {
                "slow_down": 0.10,
                "reset": 0.025,
                "reset_in_upload": 0.025,
                "server_error": 0.02,
                "task_seconds": 0.3,
                "latency_ms": 4,
            }
        }
    )
    generator, kills = random.Random(5), 0
    while True:
        with _started(sandbox, store, tmp_path) as process:
            if kills < 5:
                target = len(sandbox.archive()["puts"]) + generator.randrange(5, 45)
                while process.poll() is None and len(sandbox.archive()["puts"]) < target:
                    time.sleep(0.01)
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
                    kills += 1
            output, _ = process.communicate(timeout=120)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, output
    assert kills == 5
    assert "verified: 202 files" in output
    assert held(sandbox) == expected
    assert {put["name"] for put in sandbox.archive()["puts"]} == set(expected)
    assert len(_sent_again(sandbox)) <= kills, "at most one file is sent again for each kill"
    assert all(piece.state is PieceState.UPLOADED for piece in _published_pieces(folder))
    dealt = sandbox.counters()["faults"]
    assert all(dealt[f"archive.{name}"] > 0 for name in ("slow_down", "reset", "reset_in_upload"))


def _sent_again(sandbox):
    """Return the PUTs of files whose acceptance could be read before."""
    accepted, again = set(), []
    for put in sandbox.archive()["puts"]:
        if put["name"] in accepted:
            again.append(put["name"])
        if put["status"] == 200 and put["read"]:
            accepted.add(put["name"])
    return again


def _published_pieces(folder):
    return [piece for name, piece in pieces(folder).items() if not name.startswith(".")]


def _started(sandbox, store, tmp_path):
    return subprocess.Popen(
        [sys.executable, "-m", "scrapy", "ia_upload", ITEM],
        cwd=Path(__file__).parents[3],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "IA_ACCESS_KEY_ID": "key",
            "IA_SECRET_ACCESS_KEY": "SECRET",
            "IA_RETRY_WAIT": "0.02",
            "MAPILLARY_STORE": str(store),
            **sandbox.environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_dry_run_sends_nothing_and_changes_nothing(upload, sandbox, store):
    folder = make(store, 3)
    before = pieces(folder)
    result = upload(ITEM, "--dry-run", IA_ITEM_MAX_FILES="9")
    assert result.returncode == 0, result.stderr
    assert f"{ITEM}-vol02: 1 files" in result.stdout
    assert "2024-01-17.tar  10.2 kB  would be uploaded" in result.stdout
    assert "title: Mapillary images by ann (volume 2)" in result.stdout
    assert sandbox.archive()["puts"] == []
    assert pieces(folder) == before


def test_a_dry_run_needs_no_keys(scrapy, sandbox, store):
    make(store, 1)
    result = scrapy("ia_upload", store / ITEM, "--dry-run", sandbox=sandbox, keys=False)
    assert (result.returncode, "would be uploaded" in result.stdout) == (0, True), result.stderr


def test_local_tars_go_once_verified_and_only_they(upload, sandbox, store):
    folder = make(store, 4)
    before = published(folder)
    result = upload(ITEM, "--delete-after-verify")
    assert result.returncode == 0, result.stderr
    assert "4 local tars removed" in result.stdout
    assert set(published(folder)) == OTHERS
    assert (folder / LEDGER_PATH).exists()
    states = {piece.name: piece.state for piece in _published_pieces(folder)}
    assert {name for name, state in states.items() if state is PieceState.REMOVED} == {
        name for name in before if name.endswith(".tar")
    }
    assert all(piece.item == ITEM for piece in _published_pieces(folder))
    again = upload(ITEM, "--delete-after-verify")
    assert again.returncode == 0, again.stderr
    assert "verified: 11 files" in again.stdout
    grow(store, pictures(1, first=4))
    assert upload(ITEM, "--delete-after-verify").returncode == 0
    assert sum(name.endswith(".tar") for name in held(sandbox)) == 5
    assert not list(folder.glob("*.tar"))


#: After the first run's one answer, the second run's first verifies; the next is the removal's.
_VERIFYING, _REMOVING = 1, 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("odd", "after"),
    [*((odd, _REMOVING) for odd in sorted(ODD)), ("dark", _VERIFYING), ("no server", _VERIFYING)],
)
def test_no_odd_answer_removes_anything(upload, sandbox, store, odd, after):
    folder = make(store, 2)
    before = published(folder)
    assert upload(ITEM).returncode == 0
    sandbox.set_faults({"archive": {"odd_answer": odd, "odd_answer_after": after}})
    result = upload(ITEM, "--delete-after-verify")
    assert_refused(result, "archive.org", code=3)
    assert ("2024-01-15.tar stays: " in result.stderr) is (after == _REMOVING)
    assert published(folder) == before
    assert PieceState.REMOVED not in {piece.state for piece in _published_pieces(folder)}
    sandbox.set_faults({"archive": {"odd_answer": ""}})
    assert "2 local tars removed" in upload(ITEM, "--delete-after-verify").stdout
    assert set(published(folder)) == OTHERS


def test_one_part_that_is_not_there_keeps_itself_alone(upload, sandbox, store):
    folder = make(store, 3)
    assert upload(ITEM).returncode == 0
    with _ledger(folder) as ledger:  # as if nobody had taken it
        ledger.database.execute("UPDATE pieces SET md5 = NULL WHERE name = '2024-01-16.tar'")
    result = upload(ITEM, "--delete-after-verify")
    assert_refused(result, "2 local tars removed; 2024-01-16.tar stays: ", "another md5", code=3)
    assert [path.name for path in folder.glob("*.tar")] == ["2024-01-16.tar"]


def test_an_item_of_other_keys_that_has_everything_keeps_all_here(upload, sandbox, store):
    folder = make(store, 2)
    assert upload(ITEM, IA_ACCESS_KEY_ID="bob").returncode == 0
    with _ledger(folder) as ledger:
        ledger.facts.set(uploaders=None)
        for piece in list(ledger.pieces.all()):
            ledger.pieces.set_state(piece.name, PieceState.SEALED)
    result = upload(ITEM, "--delete-after-verify")
    assert_refused(result, "not known that the item is of these keys", code=3)
    assert len(list(folder.glob("*.tar"))) == 2


def test_what_an_earlier_version_has_uploaded_is_ours(upload, sandbox, store):
    folder = make(store, 2)
    assert upload(ITEM).returncode == 0
    with _ledger(folder) as ledger:
        ledger.facts.set(uploaders=None)
    assert "2 local tars removed" in upload(ITEM, "--delete-after-verify").stdout
    assert not list(folder.glob("*.tar"))


@pytest.mark.parametrize(
    ("refusal", "code", "said"),
    [
        ("item", 5, "You lack sufficient privileges to write to this item."),
        ("collection", 5, "You lack sufficient privileges to write to those collections."),
        ("account", 5, "Your account is locked; write to info@archive.org"),
        ("spam", 2, "appears to be spam. If you believe this is a mistake, write to info@"),
    ],
)
def test_a_refusal_is_told_in_archive_org_s_words_and_costs_no_tar(
    upload, sandbox, store, refusal, code, said
):
    make(store, 3)
    sandbox.set_faults({"archive": {"refusal": refusal}})
    result = upload(ITEM)
    assert_refused(result, said, code=code)
    assert "or only members" not in result.stderr, "no guess beside the reason"
    (put,) = sandbox.archive()["puts"]
    assert put["name"] == "metadata.jsonl.gz"
    assert put["headers"]["x-archive-auto-make-bucket"] == "1"
    assert put["headers"]["x-archive-meta00-title"]


@pytest.mark.parametrize("fault", ["altered", "lost"])
def test_what_arrived_otherwise_is_sent_again(upload, sandbox, store, fault):
    folder = make(store, 3)
    sandbox.set_faults({"archive": {fault: 0.5}})
    for _ in range(12):
        result = upload(ITEM, "--delete-after-verify")
        if result.returncode == 0:
            break
        assert result.returncode == 3, result.stderr
        assert "not there as sent" in result.stderr
        assert len(list(folder.glob("*.tar"))) == 3, "nothing is removed unverified"
    assert result.returncode == 0
    assert set(held(sandbox)) == OTHERS | {f"{day}.tar" for day in _days(3)}
    assert sandbox.counters()["faults"][f"archive.{fault}"] > 0


def test_a_failed_task_is_told_and_nothing_removed(upload, sandbox, store):
    folder = make(store, 2)
    sandbox.set_faults({"archive": {"task_error": [f"/{ITEM}/2024-01-15.tar"]}})
    result = upload(ITEM, "--delete-after-verify")
    assert_refused(result, "2024-01-15.tar", f"https://archive.org/history/{ITEM}", code=3)
    assert len(list(folder.glob("*.tar"))) == 2


def test_tasks_are_waited_for_and_patience_ends(upload, sandbox, store):
    make(store, 1)
    sandbox.set_faults({"archive": {"task_seconds": 1.0}})
    result = upload(ITEM, IA_PATIENCE="0.1")
    assert_refused(result, "still works on it", "again later", code=3)
    assert upload(ITEM).returncode == 0


def test_additions_go_to_the_item_and_its_description_tells_of_them(upload, sandbox, store):
    make(store, 3)
    assert upload(ITEM).returncode == 0
    old = len(sandbox.archive()["puts"])
    folder = grow(store, pictures(2, first=3))
    result = upload(ITEM)
    assert result.returncode == 0, result.stderr
    sent = [put["name"] for put in sandbox.archive()["puts"][old:]]
    assert [name for name in sent if name.endswith(".tar")] == [
        f"{day}.tar" for day in _days(5)[3:]
    ]
    assert set(sent) <= OTHERS | set(published(folder))
    item = sandbox.archive()["items"][ITEM]
    assert "Contains 5 images in" in item["metadata"]["description"]
    assert item["metadata"]["coverage"] == f"{_days(5)[0]} - {_days(5)[-1]}"
    assert held(sandbox) == published(folder)


def test_a_large_collection_becomes_volumes(upload, sandbox, store):
    folder = make(store, 20)
    result = upload(ITEM, IA_ITEM_MAX_FILES="11")
    assert result.returncode == 0, result.stderr
    items = sandbox.archive()["items"]
    assert list(items) == [ITEM, f"{ITEM}-vol02", f"{ITEM}-vol03"]
    files = {name: [file["name"] for file in item["files"]] for name, item in items.items()}
    days = _days(20)
    assert set(files[ITEM]) == OTHERS | {f"{day}.tar" for day in days[:4]}
    assert files[f"{ITEM}-vol02"] == [f"{day}.tar" for day in days[4:15]]
    assert files[f"{ITEM}-vol03"] == [f"{day}.tar" for day in days[15:]]
    described = [item["metadata"]["description"] for item in items.values()]
    counts = [int(re.search(r"Contains (\d+) images in", each)[1]) for each in described]
    assert counts == [4, 11, 5]
    assert items[f"{ITEM}-vol02"]["metadata"]["coverage"] == f"{days[4]} - {days[14]}"
    puts = len(sandbox.archive()["puts"])
    assert upload(ITEM).returncode == 0, "the volumes are fixed, whatever the configuration are now"
    assert len(sandbox.archive()["puts"]) == puts
    grow(store, pictures(1, first=20))
    assert upload(ITEM, IA_ITEM_MAX_FILES="9").returncode == 0
    assert len(sandbox.archive()["items"][f"{ITEM}-vol03"]["files"]) == 6
    hints = defaultdict(set)
    for put in sandbox.archive()["puts"][:puts]:
        hints[put["identifier"]].add(int(put["headers"]["x-archive-size-hint"]))
    assert hints[f"{ITEM}-vol02"] == {sum((folder / f"{d}.tar").stat().st_size for d in days[4:15])}


def test_what_the_item_holds_already_is_not_sent(upload, sandbox, store):
    folder = make(store, 5)
    assert upload(ITEM).returncode == 0
    with _ledger(folder) as ledger:
        for piece in list(ledger.pieces.all()):
            ledger.pieces.set_state(piece.name, PieceState.SEALED)
    puts = len(sandbox.archive()["puts"])
    result = upload(ITEM)
    assert (result.returncode, "holds 12 of these files already" in result.stdout) == (0, True)
    assert len(sandbox.archive()["puts"]) == puts


@contextmanager
def _ledger(folder):
    ledger = Ledger(folder / LEDGER_PATH)
    try:
        yield ledger
    finally:
        ledger.close()


def test_a_foreign_tar_is_never_replaced(upload, sandbox, store):
    make(store, 2)
    assert upload(ITEM).returncode == 0
    puts = len(sandbox.archive()["puts"])
    other = store.parent / "other"
    staging = other / ".incomplete" / ITEM
    add(staging, pictures(3, size=50)[1:], ANN)
    finish(staging, other, ANN)
    result = upload(other / ITEM)
    assert_refused(result, "has another 2024-01-16.tar", "nothing is replaced")
    assert len(sandbox.archive()["puts"]) == puts


def test_keys_that_are_refused(upload, sandbox, store):
    make(store, 1)
    sandbox.set_faults({"archive": {"forbidden": 1.0}})
    assert_refused(upload(ITEM), "refused these keys", "AccessDenied", code=5)


def test_missing_and_half_keys(scrapy, sandbox, store):
    make(store, 1)
    result = scrapy("ia_upload", store / ITEM, sandbox=sandbox, keys=False)
    assert_refused(result, "IA_ACCESS_KEY_ID")
    half = scrapy("ia_upload", store / ITEM, sandbox=sandbox, keys=False, IA_ACCESS_KEY_ID="only")
    assert_refused(half, "IA_SECRET_ACCESS_KEY")


def test_keys_of_a_configuration_file(scrapy, sandbox, store, tmp_path):
    make(store, 1)
    (tmp_path / "ia.ini").write_text("[s3]\naccess = filekey\nsecret = FILESECRET\n")
    result = scrapy(
        "ia_upload",
        store / ITEM,
        "-LDEBUG",
        sandbox=sandbox,
        keys=False,
        IA_CONFIG_FILE=str(tmp_path / "ia.ini"),
    )
    assert result.returncode == 0, result.stderr
    assert sandbox.archive()["puts"][0]["headers"]["authorization"] == "LOW filekey:FILESECRET"
    assert "filekey" not in result.stdout + result.stderr
    assert "FILESECRET" not in result.stdout + result.stderr


@pytest.mark.parametrize("content", [b"no section", b"[s3]\naccess = \xff", b"[s3\n"])
def test_configuration_file_that_is_none(scrapy, sandbox, store, tmp_path, content):
    make(store, 1)
    (tmp_path / "ia.ini").write_bytes(content)
    file = {"IA_CONFIG_FILE": str(tmp_path / "ia.ini")}
    result = scrapy("ia_upload", store / ITEM, sandbox=sandbox, keys=False, **file)
    assert_refused(result, "`ia configure` cannot be read")
    assert scrapy("ia_stats", sandbox=sandbox, **file).returncode == 0, "it needs no keys"


def test_keys_with_the_end_of_a_line(scrapy, sandbox, store):
    make(store, 1)
    result = scrapy("ia_upload", store / ITEM, sandbox=sandbox, IA_ACCESS_KEY_ID="key\r")
    assert_refused(result, "character that no key has")


def test_link_in_the_place_of_a_tar(upload, sandbox, store, tmp_path):
    make(store, 1)
    tar = next((store / ITEM).glob("*.tar"))
    tar.rename(tmp_path / "elsewhere.tar")
    tar.symlink_to(tmp_path / "elsewhere.tar")
    assert_refused(upload(ITEM), "is no file")


def test_archive_org_away(scrapy, store):
    make(store, 1)
    result = scrapy("ia_upload", store / ITEM, IA_PATIENCE="0.2")
    assert_refused(result, "stayed unavailable", "again to go on", code=7)


def test_stalls_are_waited_out(upload, sandbox, store):
    make(store, 4)
    sandbox.set_faults({"archive": {"stall": 0.15, "html": 0.1, "redirect": 0.1}})
    result = upload(ITEM, IA_TIMEOUT="0.5")
    assert result.returncode == 0, result.stderr
    assert "no answer in time" in result.stdout


def test_ctrl_c_ends_with_4_and_goes_on(sandbox, store, tmp_path):
    make(store, 10)
    sandbox.set_faults({"archive": {"latency_ms": 100}})
    with _started(sandbox, store, tmp_path) as process:
        while not sandbox.archive()["puts"]:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 4, output
    assert "again to go on" in output
    with _started(sandbox, store, tmp_path) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


def test_the_collection_setting_replaces_the_collection(upload, sandbox, store):
    make(store, 1)
    assert upload(ITEM, IA_COLLECTION="test_collection").returncode == 0
    assert sandbox.archive()["items"][ITEM]["metadata"]["collection"] == "test_collection"


BOERN = Collection("börn")


def test_one_refused_folder_stops_none_of_the_others(upload, sandbox, store):
    """Each is judged by itself, users are named as people know them, the worst code counts."""
    for user in ("ann", "changed", "open", "börn"):
        make(store, 2, Collection(user))
    flipped = store / "mapillary-changed-original/2024-01-16.tar"
    flipped.write_bytes(flipped.read_bytes()[:-1] + b"x")
    with _ledger(store / "mapillary-open-original") as ledger:
        ledger.facts.set(finished_at=None)
    sandbox.set_faults({"archive": {"task_error": [f"/{ITEM}/2024-01-15.tar"]}})
    users = ("nobody", "open", "ann", "changed", "börn")
    result = upload(*users, "--delete-after-verify")
    assert_refused(result, "no collection 'nobody'", "open-original is not finished", code=2)
    assert f"{flipped} does not match its checksum" in result.stderr
    assert "a task of archive.org failed" in result.stderr
    assert f"{BOERN.identifier} (börn): 2 local tars removed" in result.stdout
    assert list(sandbox.archive()["items"]) == [ITEM, BOERN.identifier]
    assert upload("ann", "börn").returncode == 3, "one is not verified, the other is"


def test_of_several_that_fail_the_worst_counts_in_any_order(upload, store):
    """A changed file (2) behind one that another process works on (9), and before."""
    for user in ("ann", "bea"):
        make(store, 1, Collection(user))
    tar = store / "mapillary-bea-original/2024-01-15.tar"
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    lock = Lock({store}, ITEM)
    try:
        assert_refused(upload("ann", "bea"), "another process", "its checksum", code=2)
        assert_refused(upload("bea", "ann"), "another process", "its checksum", code=2)
    finally:
        lock.release()


def test_archive_org_away_is_waited_for_once(scrapy, store):
    for user in ("ann", "bea"):
        make(store, 1, Collection(user))
    result = scrapy("ia_upload", "ann", "bea", IA_PATIENCE="0.2", MAPILLARY_STORE=str(store))
    assert_refused(result, "stayed unavailable", code=7)
    assert result.stderr.count("stayed unavailable") == 1


class TestRefusals:
    @pytest.fixture(autouse=True)
    def _nothing_is_sent(self, sandbox):
        yield
        assert sandbox.archive()["puts"] == []

    def test_no_folder(self, upload):
        assert_refused(upload("nothing-here"), "there is no collection 'nothing-here'")

    def test_a_name_is_that_of_the_store_and_a_path_is_a_path(self, upload, store):
        """There is a folder `docs` where the command runs."""
        make(store, 1).rename(store / "docs")
        with _ledger(store / "docs") as ledger:
            ledger.facts.set(finished_at=None)
        assert_refused(upload("docs"), f"{store / 'docs'} is not finished")
        assert_refused(upload("./docs"), "has no ledger")

    def test_a_link_keeps_its_name(self, upload, store, tmp_path):
        make(store, 1).rename(tmp_path / "elsewhere")
        (store / "a b").symlink_to(tmp_path / "elsewhere")
        assert_refused(upload("a b"), "the identifier 'a b'")

    def test_no_argument(self, upload):
        assert_refused(upload(), "say which collection")

    def test_a_folder_of_another_tool(self, upload, tmp_path):
        folder = tmp_path / "mapillary-bo-original"
        folder.mkdir()
        (folder / "metadata.jsonl.gz").touch()
        assert_refused(upload(folder), "no ledger", "scrapy adopt")

    def test_unfinished(self, upload, store):
        folder = make(store, 1)
        with _ledger(folder) as ledger:
            ledger.facts.set(finished_at=None)
        assert_refused(upload(ITEM), "is not finished")

    def test_a_selection(self, upload, store):
        selection = Collection("ann", selection=Selection(start=date(2024, 1, 1)))
        make(store, 1, selection)
        assert_refused(upload(selection.name), "is a selection")

    def test_without_tars(self, upload, store):
        make(store, 1, tar=False)
        assert_refused(upload(ITEM), "tar=0")

    @pytest.mark.parametrize(
        ("name", "rule"),
        [("_x", "3 to 100"), (".hidden", "begin"), ("a b c", "' '")],
    )
    def test_an_identifier_that_archive_org_would_refuse(self, upload, store, name, rule):
        make(store, 1).rename(store / name)
        assert_refused(upload(name), "identifier", rule)

    @pytest.mark.parametrize("name", ["2024-01-15.tar", "metadata.jsonl.gz", ".meta/title/0"])
    def test_a_flipped_bit(self, upload, store, name):
        folder = make(store, 2)
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        assert_refused(upload(ITEM), name, "does not match its checksum", "scrapy verify")

    def test_a_missing_and_a_cut_file(self, upload, store):
        folder = make(store, 2)
        (folder / "2024-01-15.tar").unlink()
        assert_refused(upload(ITEM), "2024-01-15.tar cannot be read")
        (folder / "2024-01-15.tar").write_bytes(b"")
        assert_refused(upload(ITEM), "another size")

    def test_bad_settings(self, upload, store):
        make(store, 1)
        assert_refused(upload(ITEM, "-s", "IA_ITEM_MAX_FILES=many"), "IA_ITEM_MAX_FILES 'many'")
        assert_refused(upload(ITEM, "-s", "ARCHIVE_ORG_S3_URL=ftp://x"), "ARCHIVE_ORG_S3_URL")

    def test_a_dark_item(self, scrapy, store):
        make(store, 1)
        with Sandbox.running([], items={ITEM: {"is_dark": True}}) as sandbox:
            result = scrapy("ia_upload", store / ITEM, sandbox=sandbox)
            assert sandbox.archive()["puts"] == []
        assert_refused(result, "dark")

    def test_another_process_works_on_it(self, upload, store):
        folder = make(store, 1)
        lock = Lock({folder.parent}, folder.name)
        try:
            assert_refused(upload(ITEM), "another process", code=9)
        finally:
            lock.release()
