"""`adopt --item`: of the manifests alone comes what was archived, and no more than that."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.finish.pictures import reduced
from mapillary_crawler.archive.finish.seal import seal_day
from mapillary_crawler.archive.finish.views import chosen_days
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.from_archive_org import fetched
from mapillary_crawler.archive.from_archive_org.adoption import AdoptedItem, adopt_item
from mapillary_crawler.archive.internet_archive.growing_collection import GrowingCollection
from mapillary_crawler.archive.internet_archive.interim import interim_manifests
from mapillary_crawler.archive.internet_archive.removal import removal_obstacle
from mapillary_crawler.archive.internet_archive.trouble import Denied, StillUnavailable
from mapillary_crawler.archive.internet_archive.uploaded_collection import is_uploaded
from mapillary_crawler.archive.verify.verification import Verification, open_inventory
from mapillary_crawler.collection.layout import LEDGER_PATH, THUMBNAIL, fetching
from mapillary_crawler.collection.names import Collection, capture_day
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.collection.places import Places
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, State
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.terminal.work_display import WorkDisplay
from tests.archive.adopt.peer_folder import PeerFolder
from tests.archive.finish.made import ANN, NOON, Picture, add, finish, jpeg, pictures, settle
from tests.archive.finish.test_views import daily, finished, shown
from tests.archive.from_archive_org.items import Items
from tests.archive.update.updates import update

NAME = ANN.name
DAY = "2024-01-15"
OF_THE_FOLDER = (".crawl", "download.log.")


@pytest.fixture
def items() -> Items:
    return Items()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path / "other", tmp_path / "other" / ".incomplete")
    places.staging.mkdir(parents=True)
    return places


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A finished collection with images of all kinds; its tars have sizes of their own."""
    staging, store = tmp_path / "made" / NAME, tmp_path / "store"
    add(staging, pictures(), ANN)
    finish(staging, store, ANN)
    return store / NAME


def adopt(items: Items, places: Places, identifier: str = NAME, **options: Any) -> AdoptedItem:
    return adopt_item(identifier, items, places, WorkDisplay(), say=lambda _: None, **options)


def images(folder: Path) -> list[tuple[Any, ...]]:
    """Return all that the manifests say of each image, in their order."""
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        return [
            (image.image_id, image.state, image.day, image.sequence, image.extension, image.tar,
             image.offset, image.size, image.sha256_stored, image.sha256_served, image.bare,
             ledger.images.line(image))
            for image in streams.in_order(LedgerHere(ledger))
        ]  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not str(path.relative_to(folder)).startswith(OF_THE_FOLDER)
    }


def verified(folder: Path) -> tuple[list[str], int]:
    """Verify a collection; return its problems, and how many files are on archive.org."""
    problems: list[str] = []
    with closing(open_inventory(folder)) as inventory:
        verdict = Verification(
            inventory,
            full=True,
            report=lambda problem: problems.append(str(problem)),
            note=lambda _: None,
            advance=lambda _: None,
        ).run()
    assert verdict.finished
    return problems, verdict.elsewhere


def tars(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.tar"))


# Ours, finished


def test_a_finished_collection_comes_without_its_tars(items, places, original):
    answer = items.put(NAME, original)
    adopted = adopt(items, places)
    folder = places.store / NAME
    assert (adopted.finished, adopted.folder, adopted.lines) == (True, folder, [])
    assert images(folder) == images(original)
    wanted = {name: body for name, body in files(original).items() if not name.endswith(".tar")}
    assert files(folder) == wanted, "manifests, thumbnail and .meta, byte for byte"
    assert verified(folder) == ([], len(tars(original)))
    assert not any(name.endswith(".tar") for _, name, _ in items.reads)
    assert not any(places.staging.iterdir())
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        balance = ledger.images.balance()
        with closing(Ledger(original / LEDGER_PATH, read_only=True)) as first:
            assert balance == first.images.balance()
            for piece in first.pieces.all():
                there = ledger.pieces.find(piece.name)
                assert there.size == piece.size
                assert (there.sha256, there.md5) == (piece.sha256, piece.md5)
                if piece.day:
                    assert (there.state, there.item) == (PieceState.REMOVED, NAME)
                    assert there.images == piece.images
        assert ledger.facts.get("finished_at") == 1717200000
        assert is_uploaded(ledger, folder, remove=True), "upload=1 has nothing to do"
        uploader = ledger.facts.get("uploaders").get(NAME)
        tar = next(piece for piece in ledger.pieces.all() if piece.day)
        obstacle = removal_obstacle(answer, {}, tar, item=NAME, uploader=uploader)
        assert "none of its files was sent here" in obstacle
    assert adopted.there.items == (NAME,)


@pytest.mark.parametrize("page", [True, False])
def test_the_pictures_come_back_out_of_the_page(items, places, tmp_path, page):
    """So an update, which has no tar to look into, makes a page that has them, too."""
    original = finished(tmp_path / "made", daily(20), page=page)
    items.put(NAME, original)
    folder = adopt(items, places).folder
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        assert len(ledger.samples.days()) == 16 * page
        assert ledger.facts.get("page") is page
    assert update(places.staging / NAME, folder, daily(22))
    assert (folder / "index.html").exists() == page
    if page:
        assert shown(folder) == shown(original)


def test_what_an_older_version_made_stays_said(items, places, original):
    answer = items.put(NAME, original)
    description = answer["metadata"]["description"].replace("crawler 0", "crawler 0.0")
    old = {"scanner": "mapillary_crawler 0.0.1", "mapillary_crawler_format": "1"}
    answer["metadata"] |= {**old, "description": description}
    folder = adopt(items, places).folder
    meta = {tag: (folder / ".meta" / tag / "0").read_text() for tag in (*old, "description")}
    assert meta == {**old, "description": description}
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        assert ledger.facts.get("format") == 1


def test_a_collection_in_volumes(items, places, original):
    late = tars(original)[1:]
    items.put(NAME, original, lambda name: name not in late)
    for number, name in enumerate(late, 2):
        items.put(f"{NAME}-vol{number:02d}", original, {name}.__contains__)
    adopted = adopt(items, places)
    assert adopted.finished
    assert len(adopted.there.items) == len(late) + 1
    assert verified(adopted.folder) == ([], len(late) + 1)
    with closing(Ledger(adopted.folder / LEDGER_PATH, read_only=True)) as ledger:
        assert ledger.pieces.find(late[0]).item == f"{NAME}-vol02"


def test_somebody_elses_volume_is_none(items, places, original):
    (late,) = tars(original)[-1:]
    items.put(NAME, original, lambda name: name != late)
    items.put(f"{NAME}-vol02", original, {late}.__contains__)["metadata"]["uploader"] = "eve"
    adopted = adopt(items, places)
    assert not adopted.finished
    assert adopted.balance.failed > 0


def test_adopted_again_and_where_it_is(items, places, original):
    items.put(NAME, original)
    adopt(items, places)
    with pytest.raises(Refused, match="is here already"):
        adopt(items, places)


# Ours, not finished


def unsettled(folder: Path) -> set[str]:
    return {image[0] for image in images(folder) if image[1] is State.UNSETTLED}


def test_a_lost_tar_is_all_that_is_wanted(items, places, original):
    """The manifests say that all was listed; so nothing is listed again."""
    items.put(NAME, original)
    items.drop(NAME, f"{DAY}.tar")
    adopted = adopt(items, places)
    folder = places.staging / NAME
    assert (adopted.finished, adopted.folder) == (False, folder)
    in_it = {image[0] for image in images(original) if image[5] == f"{DAY}.tar"}
    assert unsettled(folder) == in_it
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        assert ledger.listing.position().closed
        assert ledger.days.unsealed() == [DAY]
        assert ledger.pieces.find(f"{DAY}.tar").state is PieceState.LOST
        assert ledger.facts.get("finished_at") is None
        names = {piece.name for piece in ledger.pieces.all()}
    assert names == set(tars(original))
    assert sorted(path.name for path in folder.iterdir()) == [".crawl"]


def interim(
    items: Items,
    staging: Path,
    some: Sequence[Picture],
    there: set[str],
    late: Sequence[str] = (),
    *,
    tar_max_bytes: int = 1 << 20,
) -> dict[str, tuple[Any, ...]]:
    """Put what a rolling upload has sent when its machine was lost: tars, then manifests.

    `late` are days whose tars came after the manifests. Returns what was sealed, by id.
    """
    add(staging, some, ANN)
    with closing(Ledger(staging / LEDGER_PATH)) as ledger:
        work = Work(LedgerHere(ledger), staging, lambda: False, lambda _: None)
        growing = GrowingCollection(staging, work.ledger, ANN)
        work.make_scratch()
        for day in sorted(there):
            assert seal_day(work, day, tar_max_bytes) == []
        for piece in growing.pieces():
            ledger.pieces.set_state(piece.name, PieceState.UPLOADED, NAME)
        metadata = growing.metadata_of(1, growing.pieces(), several=True)
        items.make(NAME, metadata)
        with interim_manifests(growing, lambda: False) as manifests:
            for piece in manifests.pieces():
                items.add(NAME, piece.name, (manifests.folder / piece.name).read_bytes())
        for day in late:
            assert seal_day(work, day, tar_max_bytes) == []
    for path in staging.glob("*.tar"):
        items.add(NAME, path.name, path.read_bytes())
    return {image[0]: image for image in images(staging)}


def lines(items: Items, name: str) -> list[bytes]:
    return gzip.decompress(items.bodies[NAME, name]).splitlines()


def put(items: Items, name: str, text: list[str]) -> None:
    items.add(NAME, name, gzip.compress("".join(f"{line}\n" for line in text).encode()))


def test_an_upload_that_did_not_come_to_its_end(items, places, tmp_path):
    days = {DAY, "unknown-date"}
    before = interim(items, tmp_path / "made" / NAME, pictures(), days)
    adopted = adopt(items, places)
    folder = places.staging / NAME
    assert (adopted.finished, adopted.folder) == (False, folder)
    (line,) = adopted.lines
    assert "SHA256SUMS will not name 2 tars" in line
    now = images(folder)
    assert {image[0] for image in now} == set(before)
    for image in now:
        was = before[image[0]]
        if was[5] is not None or was[1] in (State.GONE, State.UNAVAILABLE):
            assert image == was
        else:
            assert image[1] is State.UNSETTLED
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        assert not ledger.listing.position().closed, "nobody knows whether that was all"
        pieces = {piece.name: piece for piece in ledger.pieces.all()}
        assert {piece.day for piece in pieces.values()} == days
        for piece in pieces.values():
            assert (piece.state, piece.item) == (PieceState.REMOVED, NAME)
            assert piece.md5.hex() == items.entry(NAME, piece.name)["md5"]
        assert ledger.facts.get("uploaders") == {}
        assert ledger.facts.get("tar") is True


def test_once_all_of_it_is_there_what_was_adopted_before_gives_way(items, places, original):
    items.put(NAME, original)
    items.drop(NAME, f"{DAY}.tar")
    adopt(items, places)
    items.put(NAME, original)
    assert adopt(items, places).folder == places.store / NAME
    assert not any(places.staging.iterdir())


def test_the_rest_is_added_and_finished(items, places, tmp_path):
    """What was fetched again lies in tars of its own names; the manifests are the undisturbed."""
    some = pictures()
    interim(items, tmp_path / "made" / NAME, some, {DAY, "unknown-date"}, tar_max_bytes=10_240 * 2)
    folder = adopt(items, places, read_tars=True).folder
    lost = unsettled(folder)
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.listing.commit(None, None, [listed_row(picture.row, ANN) for picture in some])
        number = {image.image_id: image.number for image in streams.in_order(LedgerHere(ledger))}
        numbered = [(number[str(each.image_id)], each) for each in some]
        settle(folder, ledger, [each for each in numbered if str(each[1].image_id) in lost])
        ledger.listing.close()
    finish(folder, places.store, ANN)
    add(tmp_path / "whole" / NAME, some, ANN)
    finish(tmp_path / "whole" / NAME, tmp_path / "store", ANN)
    wanted = files(tmp_path / "store" / NAME)
    found = files(places.store / NAME)
    there = {name for _, name in items.bodies if name.endswith(".tar")}
    for each in (wanted, found):  # its picture is of what is here
        each.pop(THUMBNAIL, None)
    assert found == {name: body for name, body in wanted.items() if name not in there}


def samples(folder: Path) -> dict[str, bytes]:
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        days = ledger.samples.days()
        return {image.day: jpeg for image, jpeg in ledger.samples.of(days)}


def test_pictures_of_days_whose_tars_are_there_alone(items, places, tmp_path):
    """An upload that did not come to its end has no page: as many as one shows are read there."""
    some = daily(40)
    bodies = {capture_day(each.captured_at): each.body for each in some}
    interim(items, tmp_path / "made" / NAME, some, set(bodies))
    folder = adopt(items, places).folder
    wanted = chosen_days(sorted(bodies), [])
    assert samples(folder) == {day: reduced(bodies[day]) for day in wanted}
    read = [(name, size) for _, name, size in items.reads if name.endswith(".tar")]
    assert read == [(f"{day}.tar", len(bodies[day])) for day in wanted], "and no byte besides"


@pytest.mark.parametrize("there", ["other bytes", "nothing", "nobody"])
def test_pictures_that_cannot_be_had_hold_nothing_back(items, places, tmp_path, monkeypatch, there):
    some = daily(2)
    days = [capture_day(each.captured_at) for each in some]
    interim(items, tmp_path / "made" / NAME, some, set(days))
    read = items.read

    def reads(item: str, name: str, start: int, size: int) -> bytes:
        if name != f"{days[0]}.tar":
            return read(item, name, start, size)
        if there == "other bytes":
            return bytes(size)
        raise Denied("no such file", 404) if there == "nothing" else StillUnavailable("away")

    monkeypatch.setattr(items, "read", reads)
    adopted = adopt(items, places)
    assert list(samples(adopted.folder)) == ([] if there == "nobody" else days[1:])
    assert (adopted.lines[-1] == "its page will lack pictures of 2 days: away") == (
        there == "nobody"
    )
    assert adopted.balance.saved == 2


def test_what_came_after_the_manifests_is_read_if_asked_for(items, places, tmp_path):
    """Not before an upload has told of it does a manifest know a tar."""
    some = [
        Picture(str(number), NOON + number % 2 * 86_400_000, body=jpeg(40, 30))
        for number in range(10, 16)
    ]
    late = [DAY, "2024-01-16"]
    before = interim(items, tmp_path / "made" / NAME, some[:5], set(), late)
    adopted = adopt(items, places)
    assert (adopted.balance.saved, adopted.balance.left) == (0, 5)
    assert "2 tars of it" in adopted.lines[0]
    assert "--read-tars reads them" in adopted.lines[0]

    adopted = adopt(items, places, read_tars=True)
    assert adopted.balance.saved == 5
    assert not list(places.staging.rglob("*.tar"))
    with closing(Ledger(places.staging / NAME / LEDGER_PATH)) as ledger:
        for day in late:
            piece = ledger.pieces.find(f"{day}.tar")
            assert (piece.state, piece.item) == (PieceState.REMOVED, NAME)
    for image in images(places.staging / NAME):
        assert image[:9] == before[image[0]][:9]


def test_tars_of_which_no_manifest_has_come_are_read_before_they_are_listed(
    items, places, tmp_path
):
    some = [Picture(str(number), body=jpeg(40, 30)) for number in range(10, 15)]
    interim(items, tmp_path / "made" / NAME, some, set(), [DAY])
    items.drop(NAME, "metadata.jsonl.gz")
    assert adopt(items, places, read_tars=True).balance.listed == 0
    with closing(Ledger(places.staging / NAME / LEDGER_PATH)) as ledger:
        ledger.listing.commit(None, None, [listed_row(picture.row, ANN) for picture in some])
        assert ledger.images.balance().saved == len(some), "listed, it is saved already"


def test_a_collection_that_is_crawled_is_not_replaced(items, places, original):
    items.put(NAME, original, lambda name: name != "SHA256SUMS")
    adopt(items, places)
    with closing(Ledger(places.staging / NAME / LEDGER_PATH)) as ledger:
        ledger.start_run()
    with pytest.raises(Refused, match="go on with its crawl"):
        adopt(items, places)


# Of mapillary_downloader


def peer_item(items: Items, tmp_path: Path) -> tuple[str, dict[str, bytes]]:
    peer = PeerFolder(tmp_path / "mapillary-ann-2048")
    bodies = {"11": jpeg(80, 60, "red"), "12": jpeg(80, 60, "blue"), "13": jpeg(60, 60)}
    for image_id in (*bodies, "14", "15"):
        peer.list({"id": image_id, "sequence": "seq", "captured_at": NOON})
    peer.save(f"{DAY}/seq/11.jpg", bodies["11"])
    peer.save(f"{DAY}/seq/12.jpg", bodies["12"], part=1)
    peer.save(f"{DAY}/seq/13.jpg", bodies["13"], part=1)
    peer.save(f"{DAY}/seq/14.jpg", jpeg(80, 60)[:-300], part=1)
    path = peer.write()
    items.put(path.name, path)
    return path.name, bodies


def test_tars_that_are_not_read_are_known_by_name_alone(items, places, tmp_path):
    name, _ = peer_item(items, tmp_path)
    adopted = adopt(items, places, name)
    assert (adopted.finished, adopted.folder) == (False, places.staging / name)
    assert (adopted.balance.saved, adopted.balance.listed) == (0, 5)
    assert "keeps no checksums" in adopted.lines[-1]
    assert "--read-tars" in adopted.lines[-1]
    assert not any(read[1].endswith(".tar") for read in items.reads)
    with closing(Ledger(adopted.folder / LEDGER_PATH, read_only=True)) as ledger:
        assert ledger.pieces.next_part(DAY) == 2, "the names of these tars are taken"
        assert not ledger.listing.position().closed


def test_tars_are_read_and_nothing_is_kept(items, places, tmp_path, monkeypatch):
    monkeypatch.setattr(fetched, "BLOCK", 4096)
    name, bodies = peer_item(items, tmp_path)
    adopt(items, places, name)
    adopted = adopt(items, places, name, read_tars=True)
    assert (adopted.balance.saved, adopted.balance.listed) == (3, 5)
    assert any("unreadable" in line for line in adopted.lines)
    assert any("in no tar" in line for line in adopted.lines)
    read = sum(size for _, file, size in items.reads if file.endswith(".tar"))
    size = sum(len(body) for (_, file), body in items.bodies.items() if file.endswith(".tar"))
    assert size <= read <= size + 4 * fetched.BLOCK, "once, and the end of each again"
    assert not [*places.staging.rglob("*.tar"), *places.staging.rglob("*.jpg")]
    found = {image[0]: image for image in images(adopted.folder)}
    for image_id, body in bodies.items():
        (_, state, _, _, _, tar, offset, length, *_) = found[image_id]
        assert state is State.SAVED
        assert items.bodies[name, tar][offset : offset + length] == body
    with closing(Ledger(adopted.folder / LEDGER_PATH, read_only=True)) as ledger:
        for piece in ledger.pieces.all():
            assert (piece.state, piece.item) == (PieceState.REMOVED, name)
            assert piece.md5.hex() == items.entry(name, piece.name)["md5"]
            assert piece.sha256 is not None
        assert ledger.facts.get("adopted")["version"] == "0.12.0"


def test_theirs_is_completed_and_finished(items, places, tmp_path):
    name, bodies = peer_item(items, tmp_path)
    folder = adopt(items, places, name, read_tars=True).folder
    ann = Collection("ann", "2048")
    some = [Picture(each, NOON, body=jpeg(30, 30)) for each in (*bodies, "14", "15")]
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.listing.commit(None, None, [listed_row(picture.row, ann) for picture in some])
        number = {image.image_id: image.number for image in streams.in_order(LedgerHere(ledger))}
        settle(folder, ledger, [(number[each.image_id], each) for each in some[3:]])
        ledger.listing.close()
    finish(folder, places.store, ann)
    assert tars(places.store / name) == [f"{DAY}.2.tar"], "the day's next"
    where = {image[0]: image[5] for image in images(places.store / name)}
    assert where == {
        "11": f"{DAY}.tar", "12": f"{DAY}.1.tar", "13": f"{DAY}.1.tar", "14": f"{DAY}.2.tar",
        "15": f"{DAY}.2.tar",
    }  # fmt: skip
    sums = (places.store / name / "SHA256SUMS").read_text()
    assert all(f"  {tar}\n" in sums for tar in where.values())
    assert verified(places.store / name) == ([], 2)


def test_a_tar_that_reads_otherwise_is_refused(items, places, tmp_path):
    name, _ = peer_item(items, tmp_path)
    items.entry(name, f"{DAY}.tar")["md5"] = "0" * 32
    with pytest.raises(Refused, match="not what its checksum there says"):
        adopt(items, places, name, read_tars=True)
    assert not any(places.staging.iterdir())


# Hostile


@pytest.mark.parametrize(
    ("identifier", "why"),
    [
        ("../../etc", "is no identifier"),
        ("", "is no identifier"),
        ("nasa", "none of these collections"),
        (f"{NAME}-vol02", f"is a volume of {NAME}"),
        (NAME, "has no item"),
    ],
)
def test_what_is_no_item(items, places, identifier, why):
    with pytest.raises(Refused, match=why):
        adopt(items, places, identifier)
    assert not any(places.staging.iterdir())


def spoil_answer(answer: dict[str, Any], what: str) -> None:
    """Let an answer be other than that of the item."""
    match what:
        case "dark":
            answer["is_dark"] = True
        case "another item":
            answer["metadata"]["identifier"] = "mapillary-eve-original"
        case "another user":
            answer["metadata"]["creator"] = "eve"
        case "newer":
            answer["metadata"]["mapillary_crawler_format"] = "99"
        case "two files":
            answer["files"].append({"name": f"{DAY}.tar", "size": "1", "md5": "1" * 32})


def spoil_manifest(items: Items, what: str) -> None:
    """Let a manifest be none."""
    match what:
        case "not the bytes":
            items.entry(NAME, "metadata.jsonl.gz")["md5"] = "0" * 32
        case "no gzip":
            items.add(NAME, "checksums.jsonl.gz", b"<html>")
        case "another path":
            rows = [json.loads(line) for line in lines(items, "checksums.jsonl.gz")]
            rows[0]["member"] = "../../etc/passwd"
            put(items, "checksums.jsonl.gz", [json.dumps(row) for row in rows])
        case "a long line":
            put(items, "metadata.jsonl.gz", ["x" * (2 << 20)])
        case "deep":
            put(items, "metadata.jsonl.gz", ["[" * 100_000])


@pytest.mark.parametrize(
    "what",
    [
        "dark", "another item", "another user", "newer", "not the bytes", "no gzip", "two files",
        "another path", "a long line", "deep",
    ],
)  # fmt: skip
def test_nothing_is_left_of_what_is_refused(items, places, original, what):
    items.put(NAME, original)
    spoil_answer(items.answers[NAME], what)
    spoil_manifest(items, what)
    with pytest.raises(Refused):
        adopt(items, places)
    assert not any(places.staging.iterdir())
    assert [path.name for path in places.store.iterdir()] == [".incomplete"]


def test_odd_answers_are_no_tar(items, places, original):
    """A part counts as there only with an md5 and a size that its images fit into."""
    items.put(NAME, original)
    items.entry(NAME, f"{DAY}.tar")["size"] = "1024"
    del items.entry(NAME, "unknown-date.tar")["md5"]
    adopted = adopt(items, places)
    assert not adopted.finished
    gone = {
        image[0] for image in images(original) if image[5] in (f"{DAY}.tar", "unknown-date.tar")
    }
    assert unsettled(adopted.folder) == gone
    with closing(Ledger(adopted.folder / LEDGER_PATH, read_only=True)) as ledger:
        piece = ledger.pieces.find(f"{DAY}.tar")
        assert (piece.state, piece.images, piece.size) == (PieceState.REMOVED, 0, 1024), "its name"


def test_an_adoption_that_was_killed_is_begun_anew(items, places, original):
    items.put(NAME, original)
    rubbish = fetching(places.staging / NAME)
    shutil.copytree(original, rubbish)
    assert adopt(items, places).finished
    assert not rubbish.exists()
    assert tars(places.store / NAME) == []


def test_archive_org_goes_away(items, places, original):
    items.put(NAME, original)
    del items.bodies[NAME, "checksums.jsonl.gz"]
    with pytest.raises(Denied):
        adopt(items, places)
    assert not any(places.staging.iterdir())
