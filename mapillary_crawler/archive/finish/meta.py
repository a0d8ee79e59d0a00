"""`.meta`: the Internet Archive metadata of a collection, one file a value, as `rip` reads it.

Compatible with the items of mapillary_downloader: the same tags, and a description from
which its statistics read the number of images.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mapillary_crawler import __version__
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.durable import Digests, WholeFile, sync_folder
from mapillary_crawler.collection.layout import files
from mapillary_crawler.collection.names import UNKNOWN_DATE, Collection

_META = ".meta"
_WRITING = ".meta.writing"
_BEFORE = ".meta.before"


@dataclass(frozen=True, slots=True)
class Contents:
    """What the metadata says of a collection; `days` are those with a saved image, in order.

    `encoder` has kind, version, quality and method of the WebP encoder, None where there
    was none or nobody knows.
    """

    collection: Collection
    balance: Balance
    days: list[str]
    tar: bool
    encoder: dict[str, Any] | None = None
    #: The tool and version that made a part of it, where it was adopted.
    adopted: dict[str, Any] | None = None


def tags(contents: Contents) -> dict[str, list[str]]:
    """Return the values of each tag; no tag without a value, and no run date."""
    collection = contents.collection
    dated = [day for day in contents.days if day != UNKNOWN_DATE]
    tagged = {
        "title": [f"Mapillary images by {collection.username}"],
        "description": [_description(contents, dated)],
        "subject": [
            "mapillary", "street-view", "computer-vision", "geospatial", "photography",
        ],
        "creator": [collection.username],
        "licenseurl": ["https://creativecommons.org/licenses/by-sa/4.0/"],
        "source": [f"https://www.mapillary.com/app/user/{quote(collection.username, safe='')}"],
        "scanner": [f"mapillary_crawler {__version__}", *_encoder(contents.encoder)],
        "mapillary_downloader": [__version__],
        "mediatype": ["data"],
        "collection": ["mapillary-images"],
    }  # fmt: skip
    if dated:
        tagged["date"] = [dated[0]]
        tagged["coverage"] = [f"{dated[0]} - {dated[-1]}"]
    return tagged


def _encoder(encoder: dict[str, Any] | None) -> list[str]:
    if encoder is None:
        return []
    return [
        f"{encoder['kind']} {encoder['version']}, WebP quality {encoder['quality']}, "
        f"method {encoder['method']}"
    ]


def _description(contents: Contents, dated: list[str]) -> str:
    collection, balance = contents.collection, contents.balance
    quality = collection.quality
    resolution = "original resolution" if quality == "original" else f"{quality}px resolution"
    captured = f"captured between {dated[0]} and {dated[-1]} (UTC)" if dated else "without date"
    sentences = [
        f"Street-level imagery from Mapillary user '{collection.username}'.",
        f"Contains {balance.saved:,} images in {resolution} {captured}.",
    ]
    if collection.selection:
        sentences.append(f"A selection, not all images of the user: {_selection(collection)}.")
    sentences.append(_treatment(contents))
    if balance.damaged:
        sentences.append(
            f"{balance.damaged:,} of them are damaged at the source and stored as served."
        )
    folders = "tars by UTC day" if contents.tar else "folders by UTC day"
    sentences.append(f"Images are organized in {folders} of capture and sequence ID.")
    sentences.append(
        f"Balance: {balance.listed:,} listed = {balance.saved:,} saved + {balance.gone:,} gone "
        f"+ {balance.unavailable:,} unavailable + {balance.failed:,} failed."
    )
    made = f"Archived with mapillary_crawler {__version__}."
    return f"{' '.join(sentences)}\n\n{made}"


def _selection(collection: Collection) -> str:
    selection = collection.selection
    limits = []
    if selection.start:
        limits.append(f"from {selection.start}")
    if selection.end:
        limits.append(f"until {selection.end}")
    if selection.bbox:
        limits.append("bbox " + ",".join(repr(degrees) for degrees in selection.bbox))
    return ", ".join(limits)


def _treatment(contents: Contents) -> str:
    """Say what was done to the images."""
    if contents.adopted:
        maker = f"{contents.adopted['tool']} {contents.adopted['version'] or ''}".rstrip()
        return (
            f"A part of the images was taken over as {maker} had stored them, with the metadata "
            "it wrote; checksums.jsonl.gz has no sha256_served for these."
        )
    added = (
        "EXIF and XMP metadata with position, capture time, compass direction and licence was added"
    )
    if not contents.collection.webp:
        return (
            f"The pictures are as Mapillary served them, their compressed data untouched; {added}."
        )
    encoder = f" ({_encoder(contents.encoder)[0]})" if contents.encoder else ""
    return (
        f"Images were recompressed as WebP{encoder}, those that WebP cannot hold "
        f"are JPEGs with their compressed data untouched; {added}."
    )


def write_meta(work: Work, contents: Contents) -> None:
    """Write `.meta` under another name and put it in the place of the one there is.

    Tags that others put there stay. A crash leaves the old folder, the new one, or names
    that the next finish puts right.
    """
    meta, writing, before = (work.folder / name for name in (_META, _WRITING, _BEFORE))
    _put_right(meta, writing, before)
    written = {
        f"{tag}/{number}": _write(writing / tag / str(number), value, work.scratch)
        for tag, values in tags(contents).items()
        for number, value in enumerate(values)
    }
    own = {
        piece.name.removeprefix(f"{_META}/")
        for piece in work.ledger.pieces.all()
        if piece.name.startswith(f"{_META}/")
    }
    if meta.exists():
        for path in files(meta):
            if path not in own and path not in written:
                work.say(f"{meta / path} is kept as it is: it is not written by this program")
                _copy(meta / path, writing / path)
        meta.rename(before)
    for folder in (*{path.parent for path in writing.rglob("*")}, writing):
        sync_folder(folder)
    writing.rename(meta)
    sync_folder(work.folder)
    shutil.rmtree(before, ignore_errors=True)
    for name in own - set(written):
        work.ledger.pieces.forget(f"{_META}/{name}")
    for name, digests in written.items():
        work.ledger.pieces.record_file(f"{_META}/{name}", **asdict(digests))


def _put_right(meta: Path, writing: Path, before: Path) -> None:
    """Undo what a crash left half done."""
    if before.exists() and not meta.exists():
        before.rename(meta)
    for folder in (writing, before):
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, value: str, scratch: Path) -> Digests:
    """Write a value as it is, without a newline behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with WholeFile(path, scratch) as file:
        file.write(value.encode())
    return file.digests


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
