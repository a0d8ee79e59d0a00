"""The manifests of what is there so far."""

from __future__ import annotations

from mapillary_crawler.archive.internet_archive.growing_collection import GrowingCollection
from mapillary_crawler.archive.internet_archive.interim import interim_manifests
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import Picture, add
from tests.archive.internet_archive.collections_made import ANN


def test_they_name_no_saved_image_whose_tar_is_not_there(tmp_path):
    folder = tmp_path / ANN.name
    pictures = [Picture("1", state=State.DAMAGED), Picture("2", bare="other-format")]
    add(folder, pictures, ANN)
    ledger = Ledger(folder / LEDGER_PATH)
    try:
        growing = GrowingCollection(folder, LedgerHere(ledger), ANN)
        with interim_manifests(growing, lambda: False) as manifests:
            assert [piece.name for piece in manifests.pieces()] == ["metadata.jsonl.gz"]
    finally:
        ledger.close()
