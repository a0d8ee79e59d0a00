"""A body in another format than JPEG is an image's own, or a placeholder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Bare, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import list_rows, row, stored

BODY, OTHER = b"a" * 32, b"b" * 32


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    list_rows(ledger, [row(number) for number in (1, 2, 3)])
    return ledger


def save(ledger: Ledger, number: int, body: bytes) -> None:
    file = replace(stored(number), extension="png", sha256_served=body, bare=Bare.OTHER_FORMAT)
    ledger.save([file])


def test_a_body_is_an_images_own_until_it_comes_for_another(three: Ledger) -> None:
    bodies = three.other_formats
    assert not bodies.came(1, BODY)
    assert not bodies.came(1, BODY)
    assert not bodies.came(2, OTHER)
    assert bodies.came(3, BODY)
    assert bodies.came(1, BODY)


def test_what_was_saved_with_it_is_found(three: Ledger) -> None:
    bodies = three.other_formats
    bodies.came(1, BODY)
    save(three, 1, BODY)
    assert bodies.shared(BODY) == []
    bodies.came(2, BODY)
    (image,) = bodies.shared(BODY)
    assert (image.number, image.extension, image.bare) == (1, "png", Bare.OTHER_FORMAT)
    three.images.unsettle([1], "a placeholder")
    assert bodies.shared(BODY) == []
    assert three.images.balance().bare == 0
    assert bodies.came(3, BODY), "it is never forgotten"


def test_what_is_in_a_tar_stays(three: Ledger) -> None:
    three.other_formats.came(1, BODY)
    save(three, 1, BODY)
    piece = three.pieces.start_tar("2024-01-15.tar", "2024-01-15", 0)
    three.pieces.seal_tar(piece, [(1, 512)])
    three.other_formats.came(2, BODY)
    assert three.other_formats.shared(BODY) == []


def test_the_balance_counts_them_as_saved(three: Ledger) -> None:
    save(three, 1, BODY)
    three.save([replace(stored(2), bare=Bare.NO_PLACE), stored(3)])
    balance = three.images.balance()
    assert (balance.saved, balance.bare) == (3, 2)
    assert "2 of the saved are without our metadata" in str(balance)
    assert [image.bare for image in streams.in_order(LedgerHere(three))] == [*reversed(Bare), None]
    assert [image.state for image in streams.in_order(LedgerHere(three))] == [State.SAVED] * 3
