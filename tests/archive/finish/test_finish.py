"""A whole finish: what it makes, and that it makes the same whatever comes between."""

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.finish import manifests, seal
from mapillary_crawler.archive.finish.errors import (
    DestinationTaken,
    ForeignTar,
    ImagesChanged,
    NotSettled,
)
from mapillary_crawler.archive.finish.finishing import finish_collection
from mapillary_crawler.collection.layout import LEDGER_PATH, UPLOADING
from mapillary_crawler.collection.outcome import Outcome, RunStopped
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import State
from mapillary_crawler.ledger.thread import LedgerHere, LedgerThread
from tests.archive.finish.made import (
    ANN,
    NOON,
    Picture,
    add,
    deterministic_set,
    finish,
    manifest,
    members,
    pictures,
    saved,
    settle,
)

NAME = ANN.name


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """Return a collection that is ready to be finished."""
    add(tmp_path / "staging" / NAME, pictures())
    return tmp_path / "staging" / NAME


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_it_is_proven_with_sha256sum_and_tar_alone(staging, store, tmp_path):
    finished = finish(staging, store)
    folder = store / NAME
    assert finished.destination == folder
    assert not staging.exists()
    assert members(folder) == saved(pictures())

    listing = (folder / "SHA256SUMS").read_text().splitlines()
    checked = subprocess.check_output(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder, text=True
    )
    assert len(checked.splitlines()) == len(listing) > 5
    assert [line.split("  ")[1] for line in listing] == sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in (".meta", ".crawl", "SHA256SUMS", "__ia_thumb.jpg")
    )

    extracted = tmp_path / "extracted"
    extracted.mkdir()
    for path in folder.glob("*.tar"):
        lines = subprocess.check_output(["tar", "-tvf", path], text=True, env={"TZ": "UTC"})
        assert all(line.startswith("-rw-r--r-- 0/0 ") for line in lines.splitlines())
        subprocess.run(["tar", "-xf", path, "-C", extracted], check=True)
    for row in manifest(folder, "checksums.jsonl.gz"):
        with (folder / row["tar"]).open("rb") as tar:
            tar.seek(row["offset"])
            cut = tar.read(row["size"])
        assert cut == (extracted / row["member"]).read_bytes() == saved(pictures())[row["member"]]
        assert row["tar"].startswith(row["member"].split("/")[0])


def test_nothing_of_the_work_is_left(staging, store):
    (staging / UPLOADING).mkdir()  # by an upload that was killed
    (staging / UPLOADING / "metadata.jsonl.gz").touch()
    finish(staging, store)
    folder = store / NAME
    assert [path.name for path in (folder / ".crawl").iterdir()] == ["ledger.sqlite"]
    assert not list(staging.parent.iterdir())
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    assert isinstance(ledger.facts.get("finished_at"), float)
    assert ledger.facts.get("format") == 3
    recorded = {piece.name: piece for piece in ledger.pieces.all()}
    ledger.close()
    files = set(deterministic_set(folder)) | {"__ia_thumb.jpg"}
    assert set(recorded) == files
    assert all(piece.size == (folder / name).stat().st_size for name, piece in recorded.items())
    assert all(piece.sha256 and piece.md5 for piece in recorded.values())


@pytest.mark.parametrize("tar", [True, False])
def test_order_of_arrival_changes_nothing(tmp_path, tar):
    sets = []
    for seed in range(3):
        folder, store = tmp_path / f"staging{seed}" / NAME, tmp_path / f"store{seed}"
        some = pictures()
        random.Random(seed).shuffle(some)
        add(folder, some[: 5 * seed], seed=seed)
        add(folder, some[5 * seed :], seed=seed)
        finish(folder, store, tar=tar)
        sets.append(deterministic_set(store / NAME))
    assert sets[0] == sets[1] == sets[2]


FINISH = """
import sys
from pathlib import Path
from tests.archive.finish.made import add, finish, pictures
folder, store = map(Path, sys.argv[1:])
add(folder, pictures(), seed=4)
finish(folder, store)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "locale"), [("America/New_York", "C"), ("Asia/Tokyo", "C.UTF-8")])
def test_zone_and_locale_change_nothing(staging, store, tmp_path, zone, locale):
    finish(staging, store)
    folder, other = tmp_path / "elsewhere" / NAME, tmp_path / "other"
    subprocess.run(
        [sys.executable, "-c", FINISH, folder, other],
        env={**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONUTF8": "0"},
        check=True,
    )
    assert deterministic_set(other / NAME) == deterministic_set(store / NAME)


@pytest.mark.parametrize("tar", [True, False])
def test_a_stop_between_any_two_files_changes_nothing(tmp_path, tar):
    whole = tmp_path / "whole" / NAME
    add(whole, pictures(days=2, a_day=4))
    shutil.copytree(whole, tmp_path / "stopped" / NAME)
    finish(whole, tmp_path / "a", tar=tar)
    stops = 0
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3 + stops  # each run gets a little further

    while True:
        asked = 0
        try:
            finish(tmp_path / "stopped" / NAME, tmp_path / "b", tar=tar, stop=stop)
            break
        except RunStopped:
            stops += 1
            assert not (tmp_path / "b" / NAME).exists()
    assert stops > 10
    assert deterministic_set(tmp_path / "b" / NAME) == deterministic_set(tmp_path / "a" / NAME)


def test_a_stop_ends_the_writing_of_manifests(staging, store):
    def stop() -> bool:
        return (staging / ".crawl/finishing/metadata.jsonl.gz").exists()

    with pytest.raises(RunStopped):
        finish(staging, store, stop=stop)
    assert not list(staging.glob("*.jsonl*"))
    assert list(staging.glob("*.tar"))


def test_with_tar_0_the_day_folders_stay(staging, store):
    (staging / pictures()[0].path).touch()  # whose time is now another
    finish(staging, store, tar=False)
    folder = store / NAME
    for path, body in saved(pictures()).items():
        assert (folder / path).read_bytes() == body
    picture = pictures()[0]
    assert (folder / picture.path).stat().st_mtime_ns == picture.captured_at * 1_000_000
    assert not list(folder.glob("*.tar"))
    listing = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert listing == sorted(listing)
    assert set(saved(pictures())) < set(listing)
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=folder, check=True)
    rows = manifest(folder, "checksums.jsonl.gz")
    assert {(row["tar"], row["offset"]) for row in rows} == {(None, None)}


@pytest.mark.parametrize("tar", [True, False])
def test_all_changed_files_are_wanted_again_in_one_go(staging, store, tar):
    good = pictures()
    missing, longer, other, folder = (good[number] for number in (0, 5, 9, 13))
    (staging / missing.path).unlink()
    (staging / longer.path).write_bytes(longer.body + b"x")
    changed = bytes([other.body[0] ^ 1]) + other.body[1:]
    (staging / other.path).write_bytes(changed)
    (staging / folder.path).unlink()
    (staging / folder.path).mkdir()
    with pytest.raises(ImagesChanged) as error:
        finish(staging, store, tar=tar)
    assert error.value.count == 4
    assert not (store / NAME).exists()

    (staging / folder.path).rmdir()
    ledger = Ledger(staging / LEDGER_PATH)
    errors = {image_id: error for image_id, error, _ in ledger.images.failures()}
    assert set(errors) == {picture.image_id for picture in (missing, longer, other, folder)}
    assert all("checksum" in error for error in errors.values())
    numbers = {record.image_id: record.number for record in streams.in_order(LedgerHere(ledger))}
    ledger.close()
    with pytest.raises(NotSettled):
        finish(staging, store, tar=tar)

    ledger = Ledger(staging / LEDGER_PATH)
    wanted = [(numbers[picture.image_id], picture) for picture in (missing, longer, other, folder)]
    settle(staging, ledger, wanted)
    ledger.close()
    finish(staging, store, tar=tar)
    undisturbed = staging.parent.parent / "undisturbed" / NAME
    add(undisturbed, good)
    finish(undisturbed, store.parent / "other", tar=tar)
    assert deterministic_set(store / NAME) == deterministic_set(store.parent / "other" / NAME)


def test_a_link_is_no_stored_file(staging, store, tmp_path):
    picture = pictures()[0]
    (tmp_path / "elsewhere").write_bytes(picture.body)
    (staging / picture.path).unlink()
    (staging / picture.path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ImagesChanged):
        finish(staging, store)


def test_an_unsettled_collection_is_never_sealed(tmp_path, store):
    folder = tmp_path / "staging" / NAME
    add(folder, [Picture("1"), Picture("2", state=State.UNSETTLED)])
    before = deterministic_set(folder)
    with pytest.raises(NotSettled, match="1 images"):
        finish(folder, store)
    assert deterministic_set(folder) == before
    ledger = Ledger(folder / LEDGER_PATH)
    ledger.listing.reopen()
    ledger.close()
    with pytest.raises(NotSettled, match="listing"):
        finish(folder, store, accept_failed=True)
    assert deterministic_set(folder) == before
    ledger = Ledger(folder / LEDGER_PATH)
    assert ledger.images.balance().accepted == 0
    ledger.close()


def test_accepted_failures_are_named(tmp_path, store):
    folder = tmp_path / "staging" / NAME
    add(folder, [Picture("1"), Picture("2", state=State.UNSETTLED)])
    finished = finish(folder, store, accept_failed=True)
    assert finished.outcome is Outcome.ACCEPTED
    assert finished.outcome.exit_code == 3
    assert manifest(store / NAME, "gone.jsonl") == [{"id": "2", "reason": "accepted-failure"}]
    assert [row["id"] for row in manifest(store / NAME, "metadata.jsonl.gz")] == ["1", "2"]


@pytest.mark.parametrize("name", ["2024-01-15.tar", "2024-01-16.1.tar"])
def test_a_foreign_tar_is_never_overwritten(staging, store, name):
    (staging / name).write_bytes(b"mine")
    for _ in range(2):
        with pytest.raises(ForeignTar, match=f"{name} exists .* [Mm]ove it"):
            finish(staging, store, tar_max_bytes=10_241)
    assert (staging / name).read_bytes() == b"mine"
    (staging / name).rename(staging.parent / "elsewhere")
    finish(staging, store, tar_max_bytes=10_241)
    assert members(store / NAME) == saved(pictures())


@pytest.mark.parametrize("tar", [True, False])
def test_foreign_files_stay_and_are_named(staging, store, tar):
    strangers = ["notes.txt", "2024-01-15/seq/notes", "2024-01-15/x.jpg", ".DS_Store", "a/b/c"]
    for path in strangers:
        (staging / path).parent.mkdir(parents=True, exist_ok=True)
        (staging / path).write_bytes(b"mine")
    (staging / ".meta" / "notes").mkdir(parents=True)
    (staging / ".meta" / "notes" / "0").write_text("mine")
    (staging / "download.log.20240101T000000Z").write_text("log")
    said: list[str] = []
    finish(staging, store, tar=tar, say=said.append)
    folder = store / NAME
    named = [line.split(" is not part")[0] for line in said if "is not part" in line]
    assert sorted(named) == sorted(str(staging / path) for path in strangers)
    assert any("notes/0 is kept" in line for line in said)
    assert all((folder / path).read_bytes() == b"mine" for path in strangers)
    assert (folder / ".meta/notes/0").read_text() == "mine"
    assert not any(path in (folder / "SHA256SUMS").read_text() for path in [*strangers, "log"])
    assert not any("notes" in name for name in members(folder))


def test_many_foreign_files_are_counted(staging, store):
    for number in range(80):
        (staging / f"stranger{number}").touch()
    said: list[str] = []
    finish(staging, store, say=said.append)
    assert sum("is not part" in line for line in said) == 50
    assert any(line.startswith("30 further files") for line in said)


def test_a_taken_destination_is_never_touched(staging, store):
    (store / NAME).mkdir(parents=True)
    with pytest.raises(DestinationTaken):
        finish(staging, store)
    assert not list((store / NAME).iterdir())
    assert not list(staging.glob("*.tar"))


def test_additions_to_a_finished_day_make_the_next_part(staging, store, tmp_path):
    finish(staging, store)
    before = deterministic_set(store / NAME)
    staging.parent.mkdir(exist_ok=True)
    (store / NAME).rename(staging)
    late = [Picture("55", body=b"late"), Picture("56", captured_at=NOON + 9 * 86_400_000)]
    add(staging, late)
    finish(staging, store)
    after = deterministic_set(store / NAME)
    tars = {path: body for path, body in before.items() if path.endswith(".tar")}
    assert tars.items() < after.items()
    new = {path for path in after if path.endswith(".tar")} - set(tars)
    parts = sum(path.startswith("2024-01-15") for path in tars)
    assert new == {f"2024-01-15.{parts}.tar", "2024-01-24.tar"}
    assert members(store / NAME) == saved([*pictures(), *late])
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=store / NAME, check=True)
    assert len(manifest(store / NAME, "metadata.jsonl.gz")) == len(pictures()) + 2


def test_manifests_that_went_empty_go(tmp_path, store):
    folder = tmp_path / "staging" / NAME
    add(
        folder,
        [Picture("1", state=State.GONE), Picture("2", body=b"\xff\xd8", state=State.DAMAGED)],
    )
    finish(folder, store)
    folder.parent.mkdir(exist_ok=True)
    assert (store / NAME / "gone.jsonl").exists()
    assert (store / NAME / "damaged.jsonl").exists()
    (store / NAME).rename(folder)
    ledger = Ledger(folder / LEDGER_PATH)
    ledger.images.unsettle([1, 2], "wanted again")
    settle(folder, ledger, [(number, Picture(str(number))) for number in (1, 2)])
    ledger.close()
    finish(folder, store)
    assert not (store / NAME / "gone.jsonl").exists()
    assert not (store / NAME / "damaged.jsonl").exists()
    assert "jsonl\n" not in (store / NAME / "SHA256SUMS").read_text()


def test_progress_is_told(staging, store):
    said: list[str] = []
    finish(staging, store, say=said.append)
    assert "sealing day 2 of 5: 2024-01-15, 9 images" in said
    assert "sealing day 5 of 5: unknown-date, 3 images" in said


def test_what_takes_long_is_off_the_ledgers_thread(tmp_path, monkeypatch):
    folder = tmp_path / "staging" / NAME
    add(folder, pictures())
    ledger = LedgerThread(folder / LEDGER_PATH)
    monkeypatch.setattr(seal, "contents", answered(seal.contents, ledger))
    monkeypatch.setattr(seal, "read_back", answered(seal.read_back, ledger))
    monkeypatch.setattr(manifests, "checksum", answered(manifests.checksum, ledger))
    try:
        finish_collection(
            ledger, ANN, folder, tmp_path / "store" / NAME,
            tar=True, tar_max_bytes=10**6, accept_failed=False,
            stop=lambda: False, say=lambda _: None,
        )  # fmt: skip
    finally:
        ledger.close()
    assert members(tmp_path / "store" / NAME) == saved(pictures())


def answered(work: Callable[..., Any], ledger: LedgerThread) -> Callable[..., Any]:
    """Return `work`, before which the ledger must answer."""

    def call(*arguments: Any) -> Any:
        assert threading.current_thread() not in ledger_threads()
        ledger.wait_for(lambda _: None)
        return work(*arguments)

    return call


def ledger_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ledger")]
