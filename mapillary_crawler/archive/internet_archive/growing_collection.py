"""A collection in the making, whose tars go to archive.org as they are sealed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mapillary_crawler.archive.finish.finishing import contents_of
from mapillary_crawler.archive.finish.tags import Metadata, dates, growing_tags
from mapillary_crawler.archive.internet_archive.options import Options
from mapillary_crawler.archive.internet_archive.upload import Volume
from mapillary_crawler.archive.internet_archive.uploaded_collection import (
    UploadedCollection,
)
from mapillary_crawler.archive.internet_archive.volumes import volume_number
from mapillary_crawler.archive.slices.reading import own_tars
from mapillary_crawler.collection.layout import MANIFESTS, SUMS, THUMBNAIL, VIEWS
from mapillary_crawler.collection.names import UNKNOWN_DATE, Collection
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SENT, Piece, PieceState
from mapillary_crawler.ledger.thread import LedgerAccess

#: Files that are no tars, of which the first item gets all; one of them is a run's log.
_TO_COME = len((*MANIFESTS, *VIEWS, SUMS, THUMBNAIL)) + 1


class GrowingCollection(UploadedCollection):
    """The sealed tars of a collection in staging."""

    def __init__(self, folder: Path, access: LedgerAccess, collection: Collection) -> None:
        super().__init__(folder, access, collection.identifier)
        self._collection = collection

    def pieces(self) -> list[Piece]:
        """Return the sealed tars, but for those that a slice may have with it."""
        return self.access.wait_for(_sealed)

    def volumes(self, options: Options) -> list[Volume]:
        """Return the volumes so far, recorded in the ledger, by their numbers."""
        assigned = self.assign_volumes(
            max_bytes=options.item_max_bytes, max_files=options.item_max_files, to_come=_TO_COME
        )
        whole = min(options.item_max_bytes, self.access.wait_for(_expected_bytes))
        return [
            Volume(
                identifier,
                pieces,
                self.metadata_of(volume_number(identifier, self.identifier), pieces, several=True)
                | ({"collection": [options.collection]} if options.collection else {}),
                size_to_be=whole,
            )
            for identifier, pieces in assigned.items()
        ]

    def metadata_of(self, number: int, pieces: list[Piece], *, several: bool) -> Metadata:
        """Return the metadata of a volume as it is made or, of what it has, as it is."""
        contents = self.access.wait_for(
            lambda ledger: contents_of(ledger, self._collection, tar=True)
        )
        there = accepted(pieces) or pieces[:1]
        result = growing_tags(contents, sum(piece.images for piece in there))
        if number > 1:
            result["title"] = [f"{title} (volume {number})" for title in result["title"]]
        return result


def accepted(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces that archive.org has accepted."""
    return [piece for piece in pieces if piece.state in SENT]


def values_to_write(volume: Volume) -> dict[str, str]:
    """Return what the metadata of a growing item is to say of what it has now."""
    days = {piece.day for piece in accepted(volume.pieces) if piece.day and piece.images}
    dated = dates(sorted(days - {UNKNOWN_DATE}))
    (description,) = volume.metadata["description"]
    return {"description": description} | {tag: values[0] for tag, values in dated.items()}


def _sealed(ledger: Ledger) -> list[Piece]:
    return [piece for piece in own_tars(ledger) if piece.state in (PieceState.SEALED, *SENT)]


def _expected_bytes(ledger: Ledger) -> int:
    """Return how large the collection will be if what is left is as large as what is there."""
    balance = ledger.images.balance()
    mean = balance.bytes_saved / balance.saved if balance.saved else 0.0
    return int(mean * balance.listed)
