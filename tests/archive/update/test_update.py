"""A finished collection is brought up to date, and stays what it was but for what is new."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mapillary_crawler.archive.finish.rebuild import rebuild_ledger
from mapillary_crawler.archive.update.beginning import begin_update
from mapillary_crawler.archive.update.last_update import last_update
from mapillary_crawler.archive.verify.inventory import Problem
from mapillary_crawler.archive.verify.manifest_inventory import ManifestInventory
from mapillary_crawler.archive.verify.verification import Verification, open_inventory
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Changes, PieceState, State
from tests.archive.finish.made import (
    ANN,
    NOON,
    Picture,
    add,
    deterministic_set,
    finish,
    jpeg,
    manifest,
    members,
    pictures,
    saved,
)
from tests.archive.update.updates import later, update

NAME = ANN.name


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    return tmp_path / "staging" / NAME


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store" / NAME


def crawled(staged: Path, folder: Path, service: list[Picture], *, tar: bool = True) -> None:
    add(staged, service)
    finish(staged, folder.parent, tar=tar)


def problems(folder: Path, *, manifests: bool = False) -> list[Problem]:
    """Return what `verify --full` finds, but for whether images decode."""
    found: list[Problem] = []
    inventory = ManifestInventory(folder) if manifests else open_inventory(folder)
    with closing(inventory):
        Verification(
            inventory, full=True, report=found.append, note=lambda _: None, advance=lambda _: None
        ).run()
    return [problem for problem in found if "decoded" not in problem.detail]


def times(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the times and inodes of all files but for that of the last update."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_ino)
        for path in [folder, *folder.rglob("*")]
        if path.name not in (".crawl", "updated.json")
    }


SOME = pictures(days=2, a_day=4)
SAVED = [each for each in SOME if each.state is State.SAVED]


@pytest.mark.parametrize("tar", [True, False])
def test_new_images_come_and_old_files_stay(staged, folder, tar):
    crawled(staged, folder, SOME, tar=tar)
    before = deterministic_set(folder)
    gone, now = SAVED[1], later(SOME, SAVED[1])
    fetched: list[str] = []
    finished = update(staged, folder, now, tar=tar, fetched=fetched)

    assert finished is not None
    assert finished.changes == Changes(new=7, vanished=1, changed=True)
    known = {str(picture.image_id) for picture in SOME if picture.state is State.SAVED}
    assert not known & set(fetched)
    after = deterministic_set(folder)
    old = [name for name in before if name.endswith((".tar", ".jpg", ".png"))]
    assert {name: after[name] for name in old} == {name: before[name] for name in old}
    if tar:
        assert members(folder) == saved([*SOME, *now])
    else:
        assert saved([*SOME, *now]).items() <= after.items()
    assert manifest(folder, "vanished.jsonl") == [{"id": str(gone.image_id)}]
    assert {row["id"] for row in manifest(folder, "gone.jsonl")} == {"32", "33"}
    assert problems(folder) == []
    assert problems(folder, manifests=True) == []
    assert not staged.exists()
    left = sorted(path.name for path in (folder / ".crawl").iterdir())
    assert left == ["ledger.sqlite", "updated.json"]
    last = last_update(folder)
    assert last is not None
    assert last.changes == Changes(new=7, vanished=1)


@pytest.mark.parametrize("tar", [True, False])
def test_an_update_that_brings_nothing_leaves_all_as_it_was(staged, folder, tar):
    crawled(staged, folder, SOME, tar=tar)
    now = later(SOME, SAVED[1])
    update(staged, folder, now, tar=tar)
    before, inodes = deterministic_set(folder), times(folder)
    finished = update(staged, folder, now, tar=tar)

    assert finished is not None
    assert finished.changes == Changes()
    assert deterministic_set(folder) == before
    assert times(folder) == inodes
    assert not staged.exists()
    last = last_update(folder)
    assert last is not None
    assert last.changes == Changes()


def test_rows_and_images_agree_with_those_of_a_fresh_crawl(staged, folder, tmp_path):
    crawled(staged, folder, SOME)
    now = later(SOME, SAVED[1])
    update(staged, folder, now)
    fresh = tmp_path / "fresh" / NAME
    crawled(staged, fresh, now)

    gone = str(SAVED[1].image_id)
    listed = [row for row in manifest(folder, "metadata.jsonl.gz") if row["id"] != gone]
    assert listed == manifest(fresh, "metadata.jsonl.gz")
    sums = {}
    for place in (folder, fresh):
        rows = [row for row in manifest(place, "checksums.jsonl.gz") if row["id"] != gone]
        sums[place] = [{**row, "tar": None, "offset": None} for row in rows]
    assert sums[folder] == sums[fresh]


def test_the_same_history_gives_the_same_bytes(tmp_path):
    made = []
    for name in ("one", "two"):
        staged, folder = tmp_path / name / "staging" / NAME, tmp_path / name / "store" / NAME
        crawled(staged, folder, SOME)
        update(staged, folder, later(SOME, SAVED[1], more=3))
        update(staged, folder, list(reversed(later(SOME, SAVED[2], more=6))))
        made.append(deterministic_set(folder))
    assert made[0] == made[1]


def test_what_is_listed_again_is_no_longer_vanished(staged, folder):
    crawled(staged, folder, SOME)
    update(staged, folder, later(SOME, SAVED[1], SAVED[2]))
    finished = update(staged, folder, later(SOME, SAVED[2]))
    assert finished is not None
    assert finished.changes == Changes(changed=True)
    assert finished.balance.vanished == 1
    assert [row["id"] for row in manifest(folder, "vanished.jsonl")] == [str(SAVED[2].image_id)]
    update(staged, folder, later(SOME))
    assert not (folder / "vanished.jsonl").exists()
    assert problems(folder) == []


def test_what_could_not_be_had_is_asked_for_once_more(staged, folder):
    some = [*SOME, Picture("40", state=State.ACCEPTED), Picture("41", state=State.ACCEPTED)]
    crawled(staged, folder, some)
    now = [
        replace(each, state=State.SAVED, body=b"there now") if each.image_id in ("33", "40") else
        replace(each, state=State.UNSETTLED) if each.image_id == "41" else each
        for each in some
    ]  # fmt: skip
    fetched: list[str] = []
    finished = update(staged, folder, now, fetched=fetched)
    assert finished is not None
    assert finished.changes == Changes(available=2, changed=True)
    assert sorted(fetched) == ["31", "33", "40", "41"]
    assert finished.balance.accepted == 1
    assert finished.outcome is Outcome.ACCEPTED
    assert {row["id"] for row in manifest(folder, "gone.jsonl")} == {"32", "41"}
    assert problems(folder) == []


def damaged(*, whole: bool) -> Picture:
    body = jpeg(colour="red") if whole else jpeg(colour="red")[:500]
    return Picture("50", NOON, body=body, state=State.SAVED if whole else State.DAMAGED)


@pytest.mark.parametrize("tar", [True, False])
def test_a_damaged_image_that_comes_whole_supersedes_the_old_one(staged, folder, tmp_path, tar):
    crawled(staged, folder, [*SOME, damaged(whole=False)], tar=tar)
    before = deterministic_set(folder)
    assert update(staged, folder, [*SOME, damaged(whole=False)], tar=tar).changes == Changes()
    whole = replace(damaged(whole=True), extension="webp")
    finished = update(staged, folder, [*SOME, whole], tar=tar)
    assert finished is not None
    assert finished.changes == Changes(available=1, changed=True)
    row = next(row for row in manifest(folder, "checksums.jsonl.gz") if row["id"] == "50")
    assert row["member"] == "2024-01-15/seq/50.webp"
    assert row["state"] == "saved"
    assert problems(folder) == []
    assert problems(folder, manifests=True) == []
    after = deterministic_set(folder)
    if tar:
        assert row["tar"] not in before
        assert all(after[name] == before[name] for name in before if name.endswith(".tar"))
        (folder / LEDGER_PATH).unlink()
        rebuild_ledger(folder, folder / LEDGER_PATH, ANN, tar=True)
        assert problems(folder) == []
    else:
        assert damaged(whole=False).path in before
        assert damaged(whole=False).path not in after
        assert after[whole.path] == whole.body


def test_parts_that_are_on_archive_org_alone_are_not_missed(staged, folder):
    crawled(staged, folder, SOME)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        for piece in list(ledger.pieces.all()):
            if piece.day:
                ledger.pieces.set_state(piece.name, PieceState.REMOVED, "an-item")
                (folder / piece.name).unlink()
    finished = update(staged, folder, later(SOME, SAVED[1]))
    assert finished is not None
    assert finished.changes == Changes(new=7, vanished=1, changed=True)
    assert members(folder) == saved(later(SOME)[len(SOME) :])
    assert problems(folder) == []


def test_what_was_uploaded_while_an_update_waited_is_known_after_it(staged, folder):
    crawled(staged, folder, SOME)
    begin_update(folder, staged)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.pieces.set_state("2024-01-15.tar", PieceState.UPLOADED, "an-item")
        ledger.facts.set(uploaders={"an-item": "me"})
    update(staged, folder, later(SOME))
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        piece = ledger.pieces.find("2024-01-15.tar")
        assert piece is not None
        assert (piece.state, piece.item) == (PieceState.UPLOADED, "an-item")
        assert ledger.facts.get("uploaders") == {"an-item": "me"}


def test_a_rebuilt_ledger_knows_what_is_vanished(staged, folder):
    crawled(staged, folder, SOME)
    update(staged, folder, later(SOME, SAVED[1]))
    before = deterministic_set(folder)
    (folder / LEDGER_PATH).unlink()
    rebuild_ledger(folder, folder / LEDGER_PATH, ANN, tar=True)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        assert ledger.images.balance().vanished == 1
        ledger.facts.set(finished_at=1.0)
    finished = update(staged, folder, later(SOME, SAVED[1]))
    assert finished is not None
    assert finished.changes == Changes()
    assert deterministic_set(folder) == before


def test_an_update_of_a_collection_that_has_changed_does_not_go_on(staged, folder):
    crawled(staged, folder, SOME)
    begin_update(folder, staged)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.facts.set(finished_at=1.0)
    with pytest.raises(Refused, match="has changed since") as refused:
        begin_update(folder, staged)
    assert refused.value.outcome is Outcome.REFUSED


def test_a_crawl_of_its_own_in_staging_is_left_alone(staged, folder):
    crawled(staged, folder, SOME)
    add(staged, SOME[:3])
    before = deterministic_set(staged)
    with pytest.raises(Refused, match="a crawl of its own"):
        begin_update(folder, staged)
    assert deterministic_set(staged) == before


def test_a_stranger_in_the_place_of_a_new_tar_stays_and_nothing_is_changed(staged, folder):
    crawled(staged, folder, SOME)
    before = deterministic_set(folder)
    now = later(SOME)
    (folder / "2024-01-15.9.tar").write_text("not one of ours")
    numbers = [
        int(name.split(".")[1])
        for name in before
        if name.startswith("2024-01-15.") and name.count(".") == 2
    ]
    stranger = folder / f"2024-01-15.{max(numbers, default=0) + 1}.tar"
    stranger.write_text("mine")
    with pytest.raises(Exception, match="left untouched"):
        update(staged, folder, now)
    assert stranger.read_text() == "mine"
    assert {name: body for name, body in deterministic_set(folder).items() if name in before} == (
        before
    )
    stranger.unlink()
    update(staged, folder, now)
    assert (folder / stranger.name).exists()
