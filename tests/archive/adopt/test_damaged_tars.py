"""Damage in the tars of mapillary_downloader: what lies behind it is taken, the rest is named."""

from __future__ import annotations

import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from mapillary_crawler.archive.adopt.adopted_ledger import AdoptedLedger
from mapillary_crawler.archive.adopt.findings import Findings
from mapillary_crawler.archive.adopt.foreign_folder import ForeignFolder
from mapillary_crawler.archive.verify.verification import Verification, open_inventory
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.terminal.work_display import WorkDisplay
from tests.archive.adopt.peer_folder import PeerFolder
from tests.archive.finish.made import NOON, jpeg

DAY = "2024-01-15"
IDS = [str(number) for number in range(40, 52)]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """Return the tar of a folder with twelve images."""
    peer = PeerFolder(tmp_path / "mapillary-ann-2048")
    peer.list(*({"id": each, "sequence": "seq", "captured_at": NOON} for each in IDS))
    for number, each in enumerate(IDS):
        peer.save(f"{DAY}/seq/{each}.jpg", jpeg(64 + number, 64))
    return peer.write() / f"{DAY}.tar"


def adopt(folder: Path) -> tuple[set[str], list[dict[str, str]], list[str]]:
    """Return the ids that are saved, what was found, and what people are told.

    The ledger then lies in the folder itself, beside its tars.
    """
    place = folder.parent / "adopting"
    (place / ".crawl").mkdir(parents=True)
    with Findings(place / ".crawl" / "adoption.jsonl") as findings:
        AdoptedLedger(ForeignFolder(folder), place, lambda _: None, WorkDisplay()).build(findings)
        lines = findings.lines()
    (place / ".crawl").rename(folder / ".crawl")
    noted = (folder / ".crawl" / "adoption.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in noted]
    ledger = Ledger(folder / LEDGER_PATH, read_only=True)
    unsaved = {image_id for image_id, _, _ in ledger.images.failures()}
    ledger.close()
    return set(IDS) - unsaved, found, lines


def problems(folder: Path) -> list[str]:
    """Return what `scrapy verify` finds."""
    found: list[str] = []
    inventory = open_inventory(folder)
    try:
        Verification(
            inventory,
            full=True,
            report=lambda problem: found.append(str(problem)),
            note=lambda _: None,
            advance=lambda _: None,
        ).run()
    finally:
        inventory.close()
    return found


def headers(tar: Path) -> dict[str, int]:
    with tarfile.open(tar) as members:
        return {Path(member.name).stem: member.offset for member in members}


def overwrite(tar: Path, place: int, content: bytes) -> None:
    with tar.open("r+b") as file:
        file.seek(place)
        file.write(content)


def test_what_lies_behind_a_damaged_header_is_taken(tar: Path) -> None:
    place = headers(tar)["45"]
    overwrite(tar, place + 100, bytes(20))
    saved, found, lines = adopt(tar.parent)
    assert saved == set(IDS) - {"45"}
    assert [entry["name"] for entry in found] == [f"{tar.name} is damaged at byte {place}", "45"]
    assert len(lines) == 2
    assert problems(tar.parent) == [], "the tar is as it was adopted"
    overwrite(tar, tar.stat().st_size - 1, b"x")
    assert len(problems(tar.parent)) == 1, "further damage is one"


@pytest.mark.parametrize("size", [-512, -4096, -99_999, 2**63 - 1, 2**80])
def test_sizes_beyond_reason_end_nothing(tar: Path, size: int) -> None:
    entry = tarfile.TarInfo(f"{DAY}/seq/45.jpg")
    entry.size = size
    overwrite(tar, headers(tar)["45"], entry.tobuf(tarfile.GNU_FORMAT))
    saved, found, _ = adopt(tar.parent)
    assert saved >= set(IDS[:5])
    assert set(IDS) - saved <= {Path(entry["name"]).stem for entry in found}
    assert problems(tar.parent) == []


@pytest.mark.parametrize("blocks", [1, 2, 8])
@pytest.mark.parametrize("member", ["40", "46"])
def test_zeros_in_the_place_of_a_header_are_no_end(tar: Path, member: str, blocks: int) -> None:
    overwrite(tar, headers(tar)[member], bytes(512 * blocks))
    saved, found, _ = adopt(tar.parent)
    assert IDS[-1] in saved
    assert found[0]["finding"] == "damaged_tar"
    assert set(IDS) - saved <= {entry["name"] for entry in found}
    assert problems(tar.parent) == []


def test_members_that_are_no_good_images_are_no_problem_later(tar: Path) -> None:
    places = headers(tar)
    overwrite(tar, places["43"] + 512, b"<html>")
    with tarfile.open(tar, "a") as members:
        for name in (f"{DAY}/seq/43.jpg", f"{DAY}/readme.txt", f"{DAY}/seq/44.jpg"):
            body = jpeg(30, 30) if name.endswith("jpg") else b"hello"
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            members.addfile(entry, io.BytesIO(body))
    saved, found, _ = adopt(tar.parent)
    assert saved == set(IDS)
    assert [entry["finding"] for entry in found] == ["unreadable", "foreign", "again"]
    assert problems(tar.parent) == []


def test_name_that_is_no_utf_8_is_told_as_it_can_be(tar: Path) -> None:
    with tarfile.open(tar, "a", encoding="latin-1") as members:
        members.addfile(tarfile.TarInfo(f"{DAY}/Zoë.txt"))
    _, found, lines = adopt(tar.parent)
    assert [entry["finding"] for entry in found] == ["foreign"]
    "\n".join(lines).encode()
    assert problems(tar.parent) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_ends_the_adoption(tar: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(tar.read_bytes())
    for _ in range(chance.choice([1, 5, 40])):
        # Sizes and checksums of headers most of all.
        place = chance.choice([*headers(tar).values()]) + chance.randrange(100, 160)
        place = chance.choice([place, chance.randrange(len(content))])
        content[place] = chance.choice([0, 0x80, 0xFF, 0x37, chance.randrange(256)])
    tar.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
    saved, found, _ = adopt(tar.parent)
    named = {Path(entry["name"]).stem for entry in found}
    assert set(IDS) - saved <= named, "whatever is not saved is named"
    assert problems(tar.parent) == []
