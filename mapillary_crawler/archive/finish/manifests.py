"""The manifests: what was listed, what was saved and where it lies, what is missing and why.

One pass over the ledger; memory does not grow with the number of images.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any, BinaryIO

from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.durable import CHUNK, WholeFile
from mapillary_crawler.collection.layout import (
    BARE,
    CHECKSUMS,
    DAMAGED,
    GONE,
    MANIFESTS,
    METADATA,
    VANISHED,
)
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.records import ImageRecord, State

#: Why an image of the listing is not saved: the closed list of reasons in gone.jsonl.
REASONS = {
    State.GONE: "deleted",
    State.UNAVAILABLE: "no-url-at-quality",
    State.ACCEPTED: "accepted-failure",
}
#: The one reason in damaged.jsonl.
DAMAGED_REASON = "damaged-at-source"
#: The `state` in checksums.jsonl.gz.
SAVED_STATES = {State.SAVED: "saved", State.DAMAGED: "damaged"}

_GZIP_LEVEL = 6


def write_manifests(work: Work) -> None:
    """Write all manifests but SHA256SUMS, and remove those of an earlier finish that went empty."""
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(WholeFile(work.folder / name, work.scratch))
            for name in MANIFESTS
        }
        _write_lines(work, files)
        for name in (GONE, DAMAGED, BARE, VANISHED):
            files[name].kept = files[name].digests.size > 0
    for name, file in files.items():
        if file.kept:
            record(work, file)
        else:
            remove_piece(work, name)


def _write_lines(work: Work, files: dict[str, WholeFile]) -> None:
    with _gzip(files[METADATA]) as metadata, _gzip(files[CHECKSUMS]) as checksums:
        opened: dict[str, BinaryIO | WholeFile] = {
            **files,
            METADATA: metadata,
            CHECKSUMS: checksums,
        }
        for image, listed in streams.lines_in_order(work.ledger):
            work.check_stop()
            for name, line in lines_of(image, listed):
                opened[name].write(line)


def lines_of(image: ImageRecord, listed: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what the manifests say of an image that was `listed` so: their names and lines."""
    yield METADATA, listed + b"\n"
    if image.state in SAVED_STATES:
        yield CHECKSUMS, _line(checksum(image))
    if image.state in REASONS:
        yield GONE, _line({"id": image.image_id, "reason": REASONS[image.state]})
    if image.state is State.DAMAGED:
        yield DAMAGED, _line({"id": image.image_id, "reason": DAMAGED_REASON})
    if image.bare is not None:
        yield BARE, _line({"id": image.image_id, "reason": image.bare})
    if image.vanished_at is not None:
        yield VANISHED, _line({"id": image.image_id})


def checksum(image: ImageRecord) -> dict[str, Any]:
    """Return what checksums.jsonl.gz says of a saved image.

    What was served is not known (null) of an image that another tool saved. JPEG XL has the
    checksum of the JPEG that it gives back.
    """
    assert image.sha256_stored is not None
    jpeg = {"sha256_jpeg": image.sha256_jpeg.hex()} if image.sha256_jpeg else {}
    return jpeg | {
        "id": image.image_id,
        "member": image.member,
        "offset": image.offset,
        "sha256_served": image.sha256_served.hex() if image.sha256_served else None,
        "sha256_stored": image.sha256_stored.hex(),
        "size": image.size,
        "state": SAVED_STATES[image.state],
        "tar": image.tar,
    }


def record(work: Work, file: WholeFile) -> None:
    """Record a file that has its name."""
    name = file.path.relative_to(work.folder).as_posix()
    work.ledger.wait_for(lambda ledger: ledger.pieces.record_file(name, **asdict(file.digests)))


def remove_piece(work: Work, name: str) -> None:
    """Remove a file that is no longer part of the collection.

    A killed finish may have named it without a record.
    """
    (work.folder / name).unlink(missing_ok=True)
    work.forget(name)


@contextmanager
def _gzip(file: WholeFile) -> Iterator[BinaryIO]:
    """Compress into `file`: the same bytes for the same content, without time and name."""
    packed = gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0)
    with packed, io.BufferedWriter(packed, CHUNK) as lines:
        yield lines


def _line(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"
