"""`scrapy adopt`: what it reads, what it tells, and that a crawl completes what it took."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from mapillary_crawler.archive.adopt.adopted_ledger import AdoptedLedger
from mapillary_crawler.archive.adopt.findings import Finding, Findings
from mapillary_crawler.archive.adopt.foreign_folder import ForeignFolder, collection_of
from mapillary_crawler.archive.adopt.image_paths import image_path
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, State
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.sandbox.process import Sandbox
from mapillary_crawler.terminal.work_display import WorkDisplay
from tests.archive.adopt.peer_folder import FIELDS, META, PeerFolder
from tests.archive.finish.made import NOON, jpeg
from tests.crawling import Crawling, compressed_data
from tests.native.streams import Maker

DAY = "2024-01-15"


def webp() -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(packed, "WEBP")
    return packed.getvalue()


def row(image_id: str, sequence: str | None = "seq", captured_at: int | None = NOON) -> dict:
    fields = {"id": image_id, "sequence": sequence, "captured_at": captured_at}
    return {name: value for name, value in fields.items() if value is not None}


@pytest.fixture
def peer(tmp_path):
    return PeerFolder(tmp_path / "theirs" / "mapillary-ann-2048")


def build(path: Path) -> tuple[Ledger, dict[str, list[str]]]:
    """Build the ledger of a folder, beside it; return it and the findings by kind."""
    place = path.parent / "adopting"
    (place / ".crawl").mkdir(parents=True)
    found = place / ".crawl" / "adoption.jsonl"
    with Findings(found) as findings:
        AdoptedLedger(ForeignFolder(path), place, lambda _: None, WorkDisplay()).build(findings)
    entries = [json.loads(line) for line in found.read_text().splitlines()]
    return Ledger(place / LEDGER_PATH, read_only=True), {
        kind.name.lower(): [
            entry["name"] for entry in entries if Finding[entry["finding"].upper()] is kind
        ]
        for kind in Finding
    }


def test_findings_are_on_the_disk_before_the_ledger_has_its_name(peer, monkeypatch):
    """From then on an adoption that was killed reads them, and finds nothing again."""
    peer.list(row("11"), row("12"))
    peer.save(f"{DAY}/seq/11.jpg", jpeg(80, 60))
    path = peer.write()
    on_disk: list[int] = []
    rename = Path.rename

    def look(unfinished: Path, target: Path) -> Path:
        found = unfinished.parent / "adoption.jsonl"
        on_disk.append(Findings.read(found).counts[Finding.LOST])
        return rename(unfinished, target)

    monkeypatch.setattr(Path, "rename", look)
    build(path)
    assert on_disk == [1]


def test_good_images_are_saved_where_they_lie(peer):
    bodies = {"11": jpeg(80, 60, "red"), "12": jpeg(80, 60, "blue"), "13": jpeg(60, 60)}
    peer.list(row("11"), row("12", sequence=None), row("13", captured_at=None), row("11"))
    peer.save(f"{DAY}/seq/11.jpg", bodies["11"])
    peer.save(f"{DAY}/12.jpg", bodies["12"], part=1)
    peer.save("unknown-date/seq/13.jpg", bodies["13"])
    ledger, found = build(peer.write())
    assert not any(found.values())
    records = {record.image_id: record for record in streams.in_order(LedgerHere(ledger))}
    for image_id, body in bodies.items():
        record = records[image_id]
        assert record.state is State.SAVED
        assert record.sha256_stored == hashlib.sha256(body).digest()
        assert record.sha256_served is None
        with (peer.path / record.tar).open("rb") as tar:
            tar.seek(record.offset)
            assert tar.read(record.size) == body
    assert records["12"].tar == f"{DAY}.1.tar"
    for piece in ledger.pieces.all():
        content = (peer.path / piece.name).read_bytes()
        assert (piece.size, piece.sha256) == (len(content), hashlib.sha256(content).digest())
        assert (piece.state, piece.images) == (PieceState.SEALED, 1)
    balance = ledger.images.balance()
    assert (balance.saved, balance.failed) == (3, 0)
    assert balance.bytes_saved == sum(map(len, bodies.values()))
    assert not ledger.listing.position().closed
    assert ledger.facts.get("adopted")["version"] == "0.12.0"
    ledger.close()


def test_what_was_lost_is_told_by_name(peer):
    whole = jpeg(200, 150)
    peer.list(*(row(str(number)) for number in range(20, 28)))
    peer.lines.insert(3, b'{"id": "29", "captu')
    peer.save(f"{DAY}/seq/20.jpg", whole)
    peer.save(f"{DAY}/seq/21.jpg", whole[: len(whole) // 2])
    peer.save(f"{DAY}/seq/22.jpg", b"<html>no image</html>")
    peer.save(f"{DAY}/seq/23.jpg", b"")
    peer.save(f"{DAY}/seq/20.jpg", whole)
    peer.save(f"{DAY}/other/20.jpg", whole, part=1)
    peer.save(f"{DAY}/seq/77.jpg", whole, time=NOON / 1000)
    peer.save(f"{DAY}/../../etc/passwd", whole)
    peer.save(f"{DAY}/readme.txt", b"hello")
    path = peer.write(complete=False)
    ledger, found = build(path)
    assert found["lost"] == ["24", "25", "26", "27"]
    assert found["unreadable"] == [f"{DAY}/seq/{number}.jpg" for number in (21, 22, 23)]
    assert found["again"] == [f"{DAY}/seq/20.jpg", f"{DAY}/other/20.jpg"]
    assert found["unlisted"] == [f"{DAY}/seq/77.jpg"]
    assert found["foreign"] == [
        f"{DAY}/../../etc/passwd",
        f"{DAY}/readme.txt",
    ]
    assert len(found["metadata"]) == 2, "a torn line, and no end of the listing"
    states = {record.image_id: record.state for record in streams.in_order(LedgerHere(ledger))}
    assert {name for name, state in states.items() if state is State.SAVED} == {"20", "77"}
    assert sum(state is State.UNSETTLED for state in states.values()) == 7
    stray = next(
        record for record in streams.in_order(LedgerHere(ledger)) if record.image_id == "77"
    )
    assert json.loads(ledger.images.line(stray)) == {
        "captured_at": NOON // 1000 * 1000,
        "id": "77",
        "sequence": "seq",
    }
    assert len(ledger.facts.get("passed_over")) == 7
    ledger.close()


def test_a_cut_tar_is_read_as_far_as_it_goes(peer):
    peer.list(*(row(str(number)) for number in range(40, 60)))
    for number in range(40, 60):
        peer.save(f"{DAY}/seq/{number}.jpg", jpeg(64, 64))
    path = peer.write()
    tar = path / f"{DAY}.tar"
    os.truncate(tar, tar.stat().st_size // 2)
    ledger, found = build(path)
    assert len(found["damaged_tar"]) == 1
    saved = ledger.images.balance().saved
    assert 5 <= saved < 20
    assert saved + len(found["lost"]) + len(found["unreadable"]) == 20
    assert ledger.pieces.find(f"{DAY}.tar").size == tar.stat().st_size
    ledger.close()


def test_loose_files_and_webp_and_odd_sequences(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # what is beyond Pillow's guard is whole
    peer = PeerFolder(tmp_path / "mapillary-Zoë-original-webp")
    peer.list(row("61", "a_uX.jpg"), row("62"), row("63"))
    peer.save(f"{DAY}/a_uX.jpg/61.webp", webp())
    peer.save(f"{DAY}/seq/63.webp", webp()[:-30])
    path = peer.write(gz=False)
    loose = path / DAY / "seq" / "62.webp"
    loose.parent.mkdir(parents=True)
    loose.write_bytes(webp())
    collection = collection_of(path)
    assert collection == Collection("Zoë", "original", webp=True)
    assert collection.name == "mapillary-Zo_ueb_-original-webp"
    ledger, found = build(path)
    assert found["unreadable"] == [f"{DAY}/seq/63.webp"]
    records = {record.image_id: record for record in streams.in_order(LedgerHere(ledger))}
    assert records["61"].member == f"{DAY}/a_uX.jpg/61.webp"
    assert (records["62"].state, records["62"].tar) == (State.SAVED, None)
    assert ledger.days.unsealed() == [DAY], "its loose image is to be sealed"
    ledger.close()


@pytest.mark.parametrize(
    ("name", "good"),
    [
        (f"{DAY}/s/1.jpg", True),
        (f"{DAY}/1.webp", True),
        ("unknown-date/-_s/1.jpg", True),
        (f"{DAY}/../1.jpg", False),
        (f"{DAY}/s/t/1.jpg", False),
        (f"/{DAY}/s/1.jpg", False),
        (f"./{DAY}/s/1.jpg", False),
        (f"{DAY}/s/1.png", True),
        (f"{DAY}/s/1.jxl", True),
        (f"{DAY}/s/1.jpeg", False),
        (f"{DAY}/s\n/1.jpg", False),
        (f"{DAY}/s/_u41_.jpg", False),
        ("15-01-2024/s/1.jpg", False),
        ("s/1.jpg", True),
        ("1.webp", True),
        ("S/sequence/1.jpg", True),
        ("s/Sequence/1.jpg", True),
        ("t/sequence/1.jpg", False),
        ("s/sequence/t/1.jpg", False),
        ("../1.jpg", False),
        ("/1.jpg", False),
        ("s/._1.jpg", False),
    ],
)
def test_paths(name, good):
    assert (image_path(name) is not None) == good


class TestRefusals:
    def test_jpeg_xl_that_no_version_of_that_tool_makes(self, tmp_path):
        folder = tmp_path / "mapillary-ann-256"
        (folder / DAY).mkdir(parents=True)
        (folder / DAY / "1.jxl").write_bytes(b"JXL")
        (folder / "metadata.jsonl.gz").touch()
        with pytest.raises(Refused, match=r"1\.jxl"):
            ForeignFolder(folder)
        jxl = folder.rename(tmp_path / "mapillary-ann-256-jxl")
        assert list(ForeignFolder(jxl).loose()) == [f"{DAY}/1.jxl"]

    @pytest.mark.parametrize("name", ["pictures", "mapillary-ann", "mapillary--2048"])
    def test_other_folders(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with pytest.raises(Refused, match="no name that"):
            ForeignFolder(tmp_path / name)

    def test_no_metadata(self, peer):
        with pytest.raises(Refused, match=r"no metadata\.jsonl\.gz"):
            ForeignFolder(peer.path)

    def test_no_folder(self, tmp_path):
        with pytest.raises(Refused, match="is no folder"):
            ForeignFolder(tmp_path / "mapillary-ann-2048")

    def test_our_own(self, peer):
        path = peer.write()
        (path / "checksums.jsonl.gz").touch()
        with pytest.raises(Refused, match="made by this program"):
            ForeignFolder(path)

    @pytest.mark.parametrize("content", [None, b"no database" * 1000])
    def test_state_of_any_kind(self, tmp_path, peer, content):
        """Who made a `.crawl` that came with a folder cannot be known."""
        ledger = peer.write() / LEDGER_PATH
        if content is None:
            ledger.mkdir(parents=True)
        else:
            ledger.parent.mkdir()
            ledger.write_bytes(content)
        result = Crawling(tmp_path / "store").scrapy("adopt", str(peer.path))
        assert (result.code, len(result.lines)) == (2, 1)
        assert "made by this program" in result.output

    def test_through_the_command(self, tmp_path, peer):
        crawling = Crawling(tmp_path / "store")
        assert crawling.scrapy("adopt").code == 2
        path = peer.write()
        (tmp_path / "store" / path.name).mkdir(parents=True)
        result = crawling.scrapy("adopt", str(path))
        assert (result.code, "exists; move it away" in result.output) == (2, True)
        (tmp_path / "store" / path.name).rmdir()
        (tmp_path / "store" / ".incomplete" / path.name).mkdir(parents=True)
        result = crawling.scrapy("adopt", str(path))
        assert (result.code, "is being crawled already" in result.output) == (2, True)
        assert sorted(file.name for file in path.iterdir()) == [
            ".meta",
            "__ia_thumb__.jpg",
            "download.log.20240101-120000",
            "metadata.jsonl.gz",
            "progress.json",
        ], "a folder that is refused is left as it was"


USERS = [{"username": "ann", "images": 120, "days": 3, "undated": 0.03, "no_sequence": 0.05}]


def by_the_peer(sandbox, path: Path, *, lost: int, cut: int) -> PeerFolder:
    """Make a folder as that tool would, with some images lost and some cut."""
    peer = PeerFolder(path)
    for number, image in enumerate(sandbox.catalogue.user("ann").images()):
        peer.list(image.row(FIELDS))
        if number < lost:
            continue
        body = sandbox.catalogue.body(image, "256")
        captured_at, sequence = image.captured_at, image.sequence
        day = "unknown-date"
        if captured_at is not None:
            day = time.strftime("%Y-%m-%d", time.gmtime(captured_at / 1000))
        name = (
            f"{day}/{sequence}/{image.image_id}.jpg" if sequence else f"{day}/{image.image_id}.jpg"
        )
        peer.save(
            name, body[:-500] if number < lost + cut else body, time=(captured_at or 0) / 1000
        )
    peer.write()
    return peer


def assert_everything_is_there(folder: Path, sandbox) -> None:
    """Compare every image, cut out of its tar by its offset, with what the service has."""
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    records = {record.image_id: record for record in streams.in_order(LedgerHere(ledger))}
    ledger.close()
    for image in sandbox.catalogue.user("ann").images():
        record = records.pop(image.image_id)
        with (folder / record.tar).open("rb") as tar:
            tar.seek(record.offset)
            body = tar.read(record.size)
        assert hashlib.sha256(body).digest() == record.sha256_stored
        served = sandbox.catalogue.body(image, "256")
        assert compressed_data(body) == compressed_data(served), record.member
    assert not records


@pytest.mark.slow
def test_a_crawl_completes_what_was_adopted(tmp_path):
    with Sandbox.running(USERS, seed=4) as sandbox:
        path = tmp_path / "theirs" / "mapillary-ann-256"
        by_the_peer(sandbox, path, lost=5, cut=4)
        before = {tar.name: tar.read_bytes() for tar in path.glob("*.tar")}
        crawling = Crawling(tmp_path / "store", sandbox)
        adopted = crawling.scrapy("adopt", str(path))
        assert adopted.code == 0, adopted.output
        assert "5 listed, but in no tar" in adopted.output
        assert "4 unreadable" in adopted.output
        assert "scrapy crawl user -a username=ann -a quality=256" in adopted.lines[-1]
        staging = tmp_path / "store" / ".incomplete" / path.name
        assert not path.exists()
        check = subprocess.run(
            ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=staging, check=False
        )
        assert check.returncode == 0
        crawled = crawling.run(username="ann", quality="256")
        assert crawled.code == 0, crawled.output
        assert crawled.balance["saved"] == 120
        assert sandbox.counters()["images"]["total"] == 9, "only what was missing is fetched"
        folder = tmp_path / "store" / path.name
        assert_everything_is_there(folder, sandbox)
        assert {name: (folder / name).read_bytes() for name in before} == before
        assert {tar.name for tar in folder.glob("*.tar")} > before.keys()
        public = [file for file in folder.iterdir() if not file.name.startswith(".")]
        assert not any(
            file.name in ("progress.json", "__ia_thumb__.jpg", "download.log.20240101-120000")
            for file in public
        ), "what may hold secrets or paths is not published"
        assert (folder / ".crawl" / "adopted" / "progress.json").exists()
        assert (folder / ".meta" / "scanner" / "2").read_text() == META["scanner"]


@pytest.mark.slow
@pytest.mark.long
def test_an_adoption_that_was_killed_is_run_again(tmp_path):
    with Sandbox.running(USERS, seed=4) as sandbox:
        path = tmp_path / "store" / "mapillary-ann-256"  # in the store itself
        by_the_peer(sandbox, path, lost=3, cut=0)
        crawling = Crawling(tmp_path / "store", sandbox)
        seen: set[str] = set()
        place = tmp_path / "store" / ".incomplete" / f".adopting-{path.name}"
        marks = (
            place / ".crawl" / "adopting.sqlite",
            place / LEDGER_PATH,
            place / ".crawl" / "adopted" / "progress.json",
            place / "checksums.jsonl.gz",
        )
        for mark in marks:
            process = subprocess.Popen(
                [sys.executable, "-m", "scrapy", "adopt", str(path)],
                cwd=Path(__file__).parents[3],
                env=crawling.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while process.poll() is None and not mark.exists():
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if mark.exists():
                seen.add(mark.name)
        if place.exists():
            result = crawling.scrapy("adopt", str(path))
            assert result.code == 0, result.output
            assert "3 listed, but in no tar" in result.output
        assert seen
        folder = tmp_path / "store" / ".incomplete" / path.name
        assert not (folder / ".crawl" / "adopting.sqlite").exists()
        assert crawling.run(username="ann", quality="256").balance["saved"] == 120
        assert_everything_is_there(tmp_path / "store" / path.name, sandbox)


@pytest.mark.parametrize("walk", [True, False])
def test_no_picture_ends_an_adoption_whatever_its_sampling(peer, walk):
    """4:4:1 was a KeyError of the decoder, and the end of the whole adoption."""
    maker = Maker(1)
    samplings = {"11": [0x14, 0x11, 0x11], "12": [0x22, 0x21, 0x11], "13": [0x31, 0x11, 0x11]}
    peer.list(*map(row, [*samplings, "14"]))
    for image_id, sampling in samplings.items():
        peer.save(f"{DAY}/seq/{image_id}.jpg", maker.jpeg(sampling))
    peer.save(f"{DAY}/seq/14.jpg", maker.jpeg([0x14, 0x11, 0x11])[:-40] + b"\xff\xd9")
    place = peer.path.parent / "adopting"
    (place / ".crawl").mkdir(parents=True)
    with Findings(place / ".crawl" / "adoption.jsonl") as findings:
        folder = ForeignFolder(peer.write())
        AdoptedLedger(folder, place, lambda _: None, WorkDisplay(), walk=walk).build(findings)
    ledger = Ledger(place / LEDGER_PATH, read_only=True)
    states = {record.image_id: record.state for record in streams.in_order(LedgerHere(ledger))}
    ledger.close()
    assert states == {**dict.fromkeys(samplings, State.SAVED), "14": State.UNSETTLED}
