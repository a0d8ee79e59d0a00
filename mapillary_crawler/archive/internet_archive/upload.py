"""Uploads one finished collection, so that it can be killed at any instant and run again.

The ledger's pieces say what was accepted; nothing is sent twice once its acceptance was read.
Verified is what archive.org itself says of every file once it has no tasks left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

from mapillary_crawler.archive.finish.tags import Metadata
from mapillary_crawler.archive.internet_archive.body import Body, UnreadableFile
from mapillary_crawler.archive.internet_archive.finished_collection import FinishedCollection
from mapillary_crawler.archive.internet_archive.options import Options
from mapillary_crawler.archive.internet_archive.presence import RemoteItem
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import BadDigest, SlowDown
from mapillary_crawler.archive.internet_archive.uploaded_collection import UploadedCollection
from mapillary_crawler.archive.internet_archive.volumes import volume_number
from mapillary_crawler.collection.layout import SUMS
from mapillary_crawler.collection.names import titled
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.records import SENT, Piece, PieceState
from mapillary_crawler.terminal.quantities import size
from mapillary_crawler.terminal.work_display import WorkDisplay


class Archive(Protocol):
    """The part of `ArchiveOrg` that an upload needs."""

    def metadata(self, identifier: str) -> dict[str, Any]:
        """Return what the metadata API says of an item now."""

    def is_overloaded(self) -> bool:
        """Say whether S3 takes no uploads now."""

    def put(
        self,
        identifier: str,
        name: str,
        body: BinaryIO,
        *,
        metadata: Mapping[str, Sequence[str]],
        headers: Mapping[str, str],
    ) -> None:
        """Put a file into an item."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One item to be: its files in the order they are sent, and its metadata."""

    identifier: str
    pieces: list[Piece]
    metadata: Metadata
    #: Bytes that it is expected to have in the end, where more are to come.
    size_to_be: int = 0
    #: What is replaced stays in the item's history.
    keeps_old: bool = True

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(piece.size or 0 for piece in self.pieces)

    @property
    def waiting(self) -> list[Piece]:
        """The files that archive.org has not accepted yet."""
        return [piece for piece in self.pieces if piece.state is PieceState.SEALED]

    @property
    def images(self) -> int:
        """Images in its tars."""
        return sum(piece.images for piece in self.pieces)


def volumes_of(collection: FinishedCollection, options: Options) -> list[Volume]:
    """Return the volumes of a collection, recorded in its ledger."""
    collection.record_logs()
    assigned = collection.assign_volumes(
        max_bytes=options.item_max_bytes, max_files=options.item_max_files
    )
    result = []
    for identifier, pieces in assigned.items():
        number = volume_number(identifier, collection.identifier)
        metadata = collection.metadata_of(number, pieces, several=len(assigned) > 1)
        if options.collection:
            metadata = {**metadata, "collection": [options.collection]}
        result.append(Volume(identifier, pieces, metadata))
    return result


class Upload:
    """The sending of volumes."""

    def __init__(
        self, collection: UploadedCollection, archive: Archive, retry: Retry, progress: WorkDisplay
    ) -> None:
        self._collection = collection
        self._archive = archive
        self._retry = retry
        self._progress = progress

    def run(self, volumes: Sequence[Volume]) -> None:
        """Send what is not there yet; raises `Refused` before anything is sent, or `Trouble`."""
        self._collection.begin_uploaders()
        wanted = [(volume, piece) for volume in volumes for piece in self._wanted(volume)]
        wanted.sort(key=lambda pair: pair[1].name == SUMS)  # last of all volumes' files, too
        self._progress.begin("uploading", len(wanted), sum(piece.size or 0 for _, piece in wanted))
        for volume, piece in wanted:
            self.send(volume, piece)

    def _wanted(self, volume: Volume) -> list[Piece]:
        """Return the files that archive.org has not; those it has are noted as uploaded."""
        if not volume.waiting:
            return []
        item = self._retry(
            volume.identifier, lambda: RemoteItem(self._archive.metadata(volume.identifier))
        )
        refuse_item(item, volume)
        held = [piece for piece in volume.waiting if item.holds(piece)]
        for piece in held:
            self._collection.note_held(piece, volume.identifier)
        if held:
            self._progress.say(f"{volume.identifier} holds {len(held)} of these files already")
        return [piece for piece in volume.waiting if piece not in held]

    def send(self, volume: Volume, piece: Piece) -> None:
        """Send a file, as often as it takes, and note in the ledger that it was accepted."""
        overloaded = False

        def attempt() -> None:
            nonlocal overloaded
            if overloaded and self._archive.is_overloaded():
                raise SlowDown("S3 is still over its limit")
            overloaded = False
            try:
                self._put(volume, piece)
            except SlowDown:
                overloaded = True
                raise
            except BadDigest:
                if not self._collection.is_unchanged(piece):
                    path = self._collection.folder / piece.name
                    raise Refused(
                        Outcome.REFUSED, f"{path} changed while it was sent; it is not uploaded"
                    ) from None
                raise

        self._retry(piece.name, attempt)
        self._collection.note_accepted(piece, volume.identifier)
        self._progress.end_file()

    def _put(self, volume: Volume, piece: Piece) -> None:
        path = self._collection.folder / piece.name
        self._progress.begin_file(piece.name, piece.size or 0)
        try:
            body = Body(path, self._progress.advance)
        except OSError as error:
            raise UnreadableFile(f"{path} cannot be read: {error.strerror}") from None
        with body:
            self._archive.put(
                volume.identifier,
                piece.name,
                cast("BinaryIO", body),
                metadata=volume.metadata,
                headers=headers(volume, piece),
            )


def headers(volume: Volume, piece: Piece) -> dict[str, str]:
    """Return the headers of a file beside the library's own.

    IAS3: the size hint is that of the whole item; Content-MD5 makes a damaged file a refused
    one; a manifest that replaces an older one leaves that in the item's history.
    """
    assert piece.md5 is not None
    hint = max(volume.size, volume.size_to_be)
    result = {"Content-MD5": piece.md5.hex(), "x-archive-size-hint": str(hint)}
    if piece.day is None and volume.keeps_old:
        result["x-archive-keep-old-version"] = "1"
    return result


def refuse_item(item: RemoteItem, volume: Volume) -> None:
    """Raise `Refused` for an item that must not get these files."""
    if item.is_dark:
        raise Refused(
            Outcome.REFUSED,
            f"archive.org has made {volume.identifier} dark, nothing can be added to it; "
            "ask info@archive.org",
        )
    for piece in volume.waiting:
        if piece.day and piece.name in item.files and not item.holds(piece):
            raise Refused(
                Outcome.REFUSED,
                f"{volume.identifier} has another {piece.name} already, which this collection "
                "did not upload; nothing is replaced",
            )


def plan(volume: Volume, item: RemoteItem | None) -> list[str]:
    """Return the lines of a dry run; without an item archive.org could not be asked."""
    lines = [
        f"{titled(volume.identifier)}: {len(volume.pieces)} files, {size(volume.size)}, "
        f"{volume.images:,} images"
    ]
    for tag, values in volume.metadata.items():
        lines += [f"  {tag}: {' '.join(value.split())}" for value in values]
    for piece in volume.pieces:
        if piece.state in SENT or (item and item.holds(piece)):
            state = "is there"
        else:
            state = "would be uploaded"
        lines.append(f"  {piece.name}  {size(piece.size or 0)}  {state}")
    return lines
