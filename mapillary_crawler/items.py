"""The one item of the project: an image on its way from a URL to the disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ImageItem:
    """One image, from the ledger's row to the stored file.

    The feeder fills the first block, the thumbnails pipeline the second; the
    metadata pipelines and the encoder replace `body` and set `extension`, and storage says where
    the file is.
    """

    #: The row's number in the ledger; every outcome is reported by it.
    number: int
    #: Mapillary's id, as the API gave it; never used as a path unescaped.
    image_id: str
    #: Signed URL of the wanted quality; good until its `oe`.
    url: str = field(repr=False)
    #: The image's fields as listed (Graph API: image fields), without URLs.
    metadata: dict[str, Any] = field(repr=False)
    #: Milliseconds since 1970 in UTC, or None if unknown (`collection.capture_time`).
    captured_at: int | None
    #: UTC day of `captured_at` as YYYY-MM-DD, or `unknown-date`.
    day: str
    #: Path part of the sequence, already escaped; empty where there is none.
    sequence: str
    #: Attempts this run has made before, and whether the URL was asked for in this run.
    attempts: int = 0
    fresh: bool = False

    #: The file's bytes: as served after the thumbnails pipeline, as stored at the end.
    body: bytes = field(default=b"", repr=False)
    #: sha256 of the bytes as served.
    sha256_served: bytes = field(default=b"", repr=False)
    #: Pixels of the served file, not of the upload.
    width: int = 0
    height: int = 0
    #: Damaged at the source: stored as served, no metadata written, never encoded.
    damaged: bool = False
    #: `jpg`, `webp` or `jxl` once encoded, or that of another format that was served.
    extension: str = "jpg"
    #: Of the stored file, once it is saved: its path in the collection's folder, its sha256 as
    #: hexadecimal digits, and its bytes. `body` and `url` are empty then.
    path: str = ""
    checksum: str = ""
    size: int = 0
    #: sha256 of the JPEG that a JPEG XL gives back; None for all others.
    sha256_jpeg: bytes | None = None
    #: Why it is without our metadata, a reason of bare.jsonl; None where it is not.
    bare: str | None = None
