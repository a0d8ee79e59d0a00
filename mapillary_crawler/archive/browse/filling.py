"""The way of a ledger into the viewer's index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mapillary_crawler.archive.browse.lines import indexed_lines
from mapillary_crawler.archive.saved_images import check, fields_of
from mapillary_crawler.collection.names import (
    capture_time,
    sequence_folder,
    sequence_name,
    user_and_quality,
)
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord, PieceState, State
from mapillary_crawler.ledger.thread import LedgerHere
from mapillary_crawler.ledger.viewer_index import IndexWriter
from mapillary_crawler.ledger.viewer_records import UNDATED, IndexedImage
from mapillary_crawler.terminal.quoting import printable

_SAVED = frozenset({State.SAVED, State.DAMAGED})
#: Images that are written at once, and seconds between two lines about how far it is.
_BATCH, _EVERY = 2_000, 5.0
#: Images of which the tracks take long enough to be said.
_MANY = 50_000
_DAY = 86_400_000
#: Pixels of a side that a row may name.
_SIDE = 1_000_000


class _Names:
    """Numbers for names that come again and again, in the order of their coming."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}
        self._numbers: dict[str, int] = {}

    def number(self, name: str, make: Callable[[], list[Any]]) -> int:
        """Return the number of a name, of which one more image is known."""
        if name not in self._numbers:
            self._numbers[name] = len(self._numbers)
            self.rows[name] = make()
        self.rows[name][-1] += 1
        return self._numbers[name]

    def get(self, name: str) -> int | None:
        """Return the number of a name that may have come."""
        return self._numbers.get(name)


class Filling:
    """The way of a ledger into an index."""

    def __init__(
        self,
        ledger: Ledger,
        writer: IndexWriter,
        say: Callable[[str], None],
        stop: Callable[[], bool],
        *,
        has_ledger: bool,
    ) -> None:
        self._stop = stop
        self._ledger = ledger
        self._writer = writer
        self._has_ledger = has_ledger
        self._say = say
        self._sequences, self._cameras, self._tars = _Names(), _Names(), _Names()
        self._ends: dict[str, int] = {}
        self._pieces = {piece.name: piece for piece in ledger.pieces.all() if piece.day}
        self._quality: int | None = None

    def run(self, name: str) -> None:
        """Fill the index."""
        parts = user_and_quality(name)
        if parts and parts[1].isdigit():
            self._quality = int(parts[1])
        total, done, said = self._ledger.images.balance().saved, 0, time.monotonic()
        told = printable(name)
        self._say(f"{told}: reading {total:,} images for the map, once")
        for batch in _batches(self._images()):
            self._writer.add_images(batch)
            self._check_stop()
            done += len(batch)
            if time.monotonic() - said > _EVERY:
                self._say(f"{told}: {done:,} of {total:,} images read")
                said = time.monotonic()
        self._writer.add_pages(self._ledger.pages.slices())
        self._writer.add_names("sequences", self._sequences.rows.values())
        self._writer.add_names("cameras", self._cameras.rows.values())
        self._writer.add_names("tars", self._tar_rows())
        self._writer.arrange()
        if done > _MANY:
            self._say(f"{told}: drawing the tracks")
        for line, shapes in indexed_lines(self._writer.placed(), self._sequences.get("")):
            self._check_stop()
            self._writer.add_line(line, shapes)
        self._writer.set_facts(months=self._writer.months(), **self._writer.extent())

    def _check_stop(self) -> None:
        if self._stop():
            raise RunStopped

    def _images(self) -> Iterator[IndexedImage]:
        read = streams.read_in_order(LedgerHere(self._ledger), _read)
        return (self._indexed(*each) for each in read if each is not None)

    def _indexed(self, image: ImageRecord, fields: dict[str, Any]) -> IndexedImage:
        captured_at = capture_time(image.captured_at)
        place = image_fields.camera_position(fields)
        width, height = _side(fields.get("width")), _side(fields.get("height"))
        if width and height:
            pano = image_fields.is_sphere(fields, width, height) is True
        else:
            pano = fields.get("is_pano") is True
        if self._quality and width and height and width > self._quality:
            width, height = self._quality, max(1, round(self._quality * height / width))
        made_by = image_fields.camera(fields)
        return IndexedImage(
            day=UNDATED if captured_at is None else captured_at // _DAY,
            sequence=self._sequences.number(image.sequence, lambda: _sequence(image, fields)),
            camera=self._cameras.number(made_by, lambda: [made_by, 0]),
            pano=pano,
            longitude=place and place.longitude,
            latitude=place and place.latitude,
            compass=image_fields.heading(fields),
            image_id=image.image_id,
            captured_at=captured_at,
            width=width,
            height=height,
            state=image.state,
            folder=image.day,
            extension=image.extension,
            sha256=image.sha256_stored if isinstance(image.sha256_stored, bytes) else None,
            size=image.size,
            tar=self._tar(image),
            offset=image.offset,
            page=image.page,
            row=image.row,
        )

    def _tar(self, image: ImageRecord) -> int | None:
        name = image.tar
        if name is None:
            return None
        end = (image.offset or 0) + (image.size or 0)
        self._ends[name] = max(end, self._ends.get(name, 0))
        return self._tars.number(name, lambda: [0])

    def _tar_rows(self) -> Iterator[tuple[Any, ...]]:
        for name, (count,) in self._tars.rows.items():
            piece = self._pieces.get(name)
            removed = not self._has_ledger or (
                piece is not None and (piece.state is PieceState.REMOVED or bool(piece.item))
            )
            item = piece.item if piece and isinstance(piece.item, str) else None
            yield name, item, removed, count, self._ends[name]


def _read(ledger: Ledger, image: ImageRecord) -> tuple[ImageRecord, dict[str, Any]] | None:
    if image.state not in _SAVED:
        return None
    check(image)
    return image, fields_of(ledger, image)


def _sequence(image: ImageRecord, fields: dict[str, Any]) -> list[Any]:
    """Return a sequence's path part, and its true id where that can be asked for."""
    name = image.sequence and (sequence_name(fields.get("sequence")) or image.sequence)
    return [image.sequence, sequence_folder(name) if name else "", 0]


def _side(value: object) -> int | None:
    """Return the pixels of a side as the row has them (Graph API: width, height)."""
    is_side = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _SIDE
    return value if is_side else None  # type: ignore[return-value]


def _batches(images: Iterable[IndexedImage]) -> Iterator[list[IndexedImage]]:
    batch = []
    for image in images:
        batch.append(image)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
