"""Tars and manifests: parts go on counting, a crash leaves what can be recognised."""

from __future__ import annotations

import pytest

from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import list_rows, row, stored

DAY = "2024-01-15"
SHA256, MD5 = b"s" * 32, b"m" * 16


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """Return a ledger with three saved images of one day."""
    list_rows(ledger, [row(number) for number in (1, 2, 3)])
    ledger.save([stored(number) for number in (1, 2, 3)])
    return ledger


def seal(ledger: Ledger, part: int, *images: int) -> int:
    name = f"{DAY}.{part}.tar" if part else f"{DAY}.tar"
    number = ledger.pieces.start_tar(name, DAY, part)
    ledger.pieces.written(number, size=10_240, sha256=SHA256, md5=MD5)
    ledger.pieces.seal_tar(number, [(image, 512 * image) for image in images])
    return number


def test_a_sealed_tar_knows_its_images_and_they_know_it(three: Ledger) -> None:
    number = seal(three, 0, 1, 3)
    piece = three.pieces.find("2024-01-15.tar")
    assert piece is not None
    assert (piece.number, piece.day, piece.part, piece.images) == (number, DAY, 0, 2)
    assert (piece.size, piece.sha256, piece.md5) == (10_240, SHA256, MD5)
    assert (piece.state, piece.item) == (PieceState.SEALED, None)
    places = {
        record.number: (record.tar, record.offset) for record in streams.in_order(LedgerHere(three))
    }
    assert places == {
        1: ("2024-01-15.tar", 512), 2: (None, None), 3: ("2024-01-15.tar", 1536),
    }  # fmt: skip


def test_parts_go_on_counting(three: Ledger) -> None:
    assert three.pieces.next_part(DAY) == 0
    seal(three, 0, 1)
    seal(three, 1, 2)
    assert three.pieces.next_part(DAY) == 2
    assert three.pieces.next_part("2024-01-16") == 0
    assert [piece.name for piece in three.pieces.of_day(DAY)] == [
        "2024-01-15.tar", "2024-01-15.1.tar",
    ]  # fmt: skip


def test_parts_are_in_order_of_their_number(three: Ledger) -> None:
    for part in (10, 2, 0, 1):
        seal(three, part)
    assert [piece.part for piece in three.pieces.of_day(DAY)] == [0, 1, 2, 10]


def test_a_tar_that_was_never_sealed_is_written_again(three: Ledger) -> None:
    first = three.pieces.start_tar("2024-01-15.tar", DAY, 0)
    three.pieces.written(first, size=1, sha256=SHA256, md5=MD5)
    assert [piece.name for piece in three.pieces.unfinished()] == ["2024-01-15.tar"]
    assert three.pieces.next_part(DAY) == 0
    assert three.pieces.start_tar("2024-01-15.tar", DAY, 0) == first
    three.pieces.seal_tar(first, [(1, 512)])
    assert three.pieces.unfinished() == []
    assert three.pieces.next_part(DAY) == 1


def test_uploaded_and_removed_tars_count_on(three: Ledger) -> None:
    seal(three, 0, 1)
    three.pieces.set_state("2024-01-15.tar", PieceState.UPLOADED, "mapillary-alice-2048")
    three.pieces.set_state("2024-01-15.tar", PieceState.REMOVED)
    piece = three.pieces.find("2024-01-15.tar")
    assert piece is not None
    assert (piece.state, piece.item) == (PieceState.REMOVED, "mapillary-alice-2048")
    assert three.pieces.next_part(DAY) == 1
    assert three.pieces.unfinished() == []


def test_files_that_are_no_tars(ledger: Ledger) -> None:
    ledger.pieces.record_file("SHA256SUMS", size=7, sha256=SHA256, md5=MD5)
    ledger.pieces.set_state("SHA256SUMS", PieceState.UPLOADED, "item")
    ledger.pieces.record_file("SHA256SUMS", size=8, sha256=MD5, md5=SHA256)
    piece = ledger.pieces.find("SHA256SUMS")
    assert piece is not None
    assert (piece.size, piece.sha256, piece.md5, piece.item) == (8, MD5, SHA256, None)
    assert (piece.state, piece.day, piece.part) == (PieceState.SEALED, None, None)


def test_all_pieces_are_in_bytewise_order(ledger: Ledger) -> None:
    names = ["metadata.jsonl.gz", ".meta/title/0", "SHA256SUMS", "é", "2024-01-15.tar", "_", "a"]
    for name in names:
        ledger.pieces.record_file(name, size=1, sha256=SHA256, md5=MD5)
    assert [piece.name for piece in ledger.pieces.all()] == sorted(names, key=str.encode)


def test_what_is_forgotten_is_not_there(ledger: Ledger) -> None:
    ledger.pieces.record_file("gone.jsonl", size=1, sha256=SHA256, md5=MD5)
    ledger.pieces.forget("gone.jsonl")
    ledger.pieces.forget("never.there")
    assert ledger.pieces.find("gone.jsonl") is None
    assert list(ledger.pieces.all()) == []
