"""The manifests of a finished collection, read side by side: they are in one order."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from mapillary_crawler.archive.finish.manifests import REASONS, SAVED_STATES
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import (
    BARE,
    CHECKSUMS,
    EXTENSIONS,
    GONE,
    METADATA,
    VANISHED,
    tar_name,
)
from mapillary_crawler.collection.limits import IMAGE_BYTES, lines
from mapillary_crawler.collection.names import Collection, member_path
from mapillary_crawler.collection.outcome import ProjectError
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.records import Bare, ListedRow, State, StoredFile

_STATES = {reason: state for state, reason in REASONS.items()}
_SAVED_STATES = {name: state for state, name in SAVED_STATES.items()}


class ManifestsDisagree(ProjectError, ValueError):
    """A manifest is damaged, or does not fit the others; the message names file and line."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image as the manifests have it: its row, and what became of it."""

    row: ListedRow
    state: State
    stored: StoredFile | None = None
    tar: str | None = None
    part: int = 0
    offset: int = 0
    vanished: bool = False


def read_manifests(folder: Path, collection: Collection, *, tar: bool) -> Iterator[ListedImage]:
    """Yield the images of the manifests in `folder`, in their order; raises `ManifestsDisagree`."""
    checksums, gone = _Manifest(folder / CHECKSUMS), _Manifest(folder / GONE)
    metadata, bare = _Manifest(folder / METADATA), _Manifest(folder / BARE)
    vanished = _Manifest(folder / VANISHED)
    while not metadata.ended:
        row = listed_row(metadata.fields, collection)
        if row is None:
            raise metadata.disagree("has no usable id")
        row = replace(row, line=metadata.line, outside=False)
        saved, lost = checksums.fields.get("id"), gone.fields.get("id")
        if row.image_id == saved == lost:
            raise gone.disagree(f"is an image that {CHECKSUMS} has as saved")
        if row.image_id == saved:
            image = _with_reason(_saved(row, checksums, tar=tar), bare)
            yield replace(image, vanished=vanished.fields.get("id") == row.image_id)
            if vanished.fields.get("id") == row.image_id:
                vanished.advance()
            checksums.advance()
        elif row.image_id == lost:
            if gone.fields.get("reason") not in _STATES:
                raise gone.disagree("has an unknown reason")
            yield ListedImage(row, _STATES[gone.fields["reason"]])
            gone.advance()
        else:
            yield ListedImage(row, State.UNSETTLED)
        metadata.advance()
    read = ((checksums, METADATA), (gone, METADATA), (bare, CHECKSUMS), (vanished, CHECKSUMS))
    for manifest, listing in read:
        if not manifest.ended:
            raise manifest.disagree(f"is no image of {listing}, or in another order")


def _with_reason(image: ListedImage, bare: _Manifest) -> ListedImage:
    """Return a saved image with the reason why it is without our metadata, if it is."""
    if bare.fields.get("id") != image.row.image_id:
        return image
    reason = bare.fields.get("reason")
    if reason not in list(Bare):
        raise bare.disagree("has an unknown reason")
    bare.advance()
    assert image.stored is not None
    return replace(image, stored=replace(image.stored, bare=reason))


#: Where a member may lie: below a day, perhaps below a sequence, and nowhere else.
_PLACE = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}|unknown-date)(?:/(?P<sequence>[\w-][\w.-]*))?", re.ASCII
)


def _saved(row: ListedRow, checksums: _Manifest, *, tar: bool) -> ListedImage:
    """Return a saved image; whatever a path could be made of is compared with our own rules.

    Day and sequence are the member's: in adopted tars a sequence may not be escaped as ours.
    """
    fields = checksums.fields
    member, name, offset = (fields.get(key) for key in ("member", "tar", "offset"))
    extension = str(member).rpartition(".")[2]
    place = _PLACE.fullmatch(str(member).rpartition("/")[0])
    if place is not None:
        row = replace(row, day=place["day"], sequence=place["sequence"] or "")
    if extension not in EXTENSIONS or member != member_path(
        row.day, row.sequence, row.image_id, extension
    ):
        raise checksums.disagree(f"has another member than its row in {METADATA}")
    part = 0
    if tar:
        found = re.fullmatch(r".*?(?:\.([1-9][0-9]{0,8}))?\.tar", str(name))
        part = int(found[1] or 0) if found else 0
        if name != tar_name(row.day, part) or not isinstance(offset, int) or offset < 0:
            raise checksums.disagree("has another tar than its day's, or no offset")
    elif name is not None:
        raise checksums.disagree("is in a tar, though there are none")
    try:
        stored = StoredFile(
            number=0,
            extension=extension,
            sha256_served=_digest(served) if (served := fields["sha256_served"]) else None,
            sha256_stored=_digest(fields["sha256_stored"]),
            size=_size(fields["size"]),
            damaged=_SAVED_STATES[fields["state"]] is State.DAMAGED,
            sha256_jpeg=_digest(fields["sha256_jpeg"]) if extension == "jxl" else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise checksums.disagree(f"is incomplete: {error!r}") from None
    return ListedImage(row, _SAVED_STATES[fields["state"]], stored, name, part, offset or 0)


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != 32:
        raise ValueError(text)
    return digest


def _size(value: Any) -> int:
    size = int(value)
    if not 0 <= size <= IMAGE_BYTES:
        raise ValueError(value)
    return size


class _Manifest:
    """A manifest, read line by line; behind the last one `fields` is empty."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._number = 0
        self._lines = manifest_lines(path.parent, path.name)
        self.ended = False
        self.line = b""
        self.fields: dict[str, Any] = {}
        self.advance()

    def advance(self) -> None:
        """Go to the next line."""
        try:
            self._number += 1
            line = next(self._lines, None)
            self.ended = line is None
            self.line = (line or b"").rstrip(b"\n")
            fields = {} if self.ended else json.loads(self.line)
        except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
            raise self.disagree(f"cannot be read: {error}") from None
        if not isinstance(fields, dict):
            raise self.disagree("is no JSON object")
        self.fields = fields

    def disagree(self, what: str) -> ManifestsDisagree:
        """Return the error that says what is wrong with the line."""
        return ManifestsDisagree(f"{self._name} line {self._number} {what}")


def manifest_lines(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the lines of a manifest, unpacked; none of one that is not there, unless packed.

    Raises `TooLarge`, a `ValueError`, and what opening and unpacking raise.
    """
    is_packed = name.endswith(".gz")
    try:
        handle = descent.open_file(folder, name)
    except FileNotFoundError:
        if is_packed:
            raise
        return
    with os.fdopen(handle, "rb") as file:
        if not is_packed:
            yield from lines(file)
            return
        with gzip.open(file) as unpacked:
            size = os.fstat(handle).st_size
            yield from lines(cast("BinaryIO", unpacked), packed=size)
