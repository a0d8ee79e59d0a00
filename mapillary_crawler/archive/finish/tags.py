"""Pure: what `.meta` says of a collection, and what the descriptions of items say.

Compatible with the items of mapillary_downloader: the same tags, and a description from
which its statistics read the number of images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mapillary_crawler import __version__
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import CHECKSUMS, SUMS
from mapillary_crawler.collection.names import UNKNOWN_DATE, Collection
from mapillary_crawler.ledger.records import FORMAT

#: Values by tag, in their order.
Metadata = dict[str, list[str]]

#: What the description of an item says as long as more images are coming to it.
GROWING = "images so far"
_MADE = f"Archived with mapillary_crawler {__version__}."

#: The sentence that `contains` makes, as far as mapillary_downloader made it, too.
_CONTAINS = re.compile(
    r"\bContains (?P<images>[0-9][0-9,]{0,25}) images? in\b"
    r"(?: (?P<resolution>\S+ resolution)[^.]*\.)?"
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What the metadata says of a collection; `days` are those with a saved image, in order.

    `encoder` has kind, version and options of the encoder of WebP or JPEG XL, None where there
    was none or nobody knows.
    """

    collection: Collection
    balance: Balance
    days: list[str]
    tar: bool
    encoder: dict[str, Any] | None = None
    #: The tool and version that made a part of it, where it was adopted.
    adopted: dict[str, Any] | None = None


def tags(contents: Contents) -> Metadata:
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
        "scanner": [f"mapillary_crawler {__version__}", *_encoder(contents)],
        "mapillary_downloader": [__version__],
        "mapillary_crawler_format": [str(FORMAT)],
        "mediatype": ["data"],
        "collection": ["mapillary-images"],
    }  # fmt: skip
    return tagged | dates(dated)


def made_here(scanners: Iterable[object]) -> bool:
    """Say whether this program has made a collection, as the values of its `scanner` say."""
    return any(str(scanner).startswith("mapillary_crawler ") for scanner in scanners)


def growing_tags(contents: Contents, images: int) -> Metadata:
    """Return the tags of an item that more images are coming to; true however many they become.

    `images` are in it at least; when they were captured is not said before it is known.
    """
    collection = contents.collection
    result = tags(contents)
    for tag in ("date", "coverage"):
        result.pop(tag, None)
    sentences = [
        f"Street-level imagery from Mapillary user '{collection.username}'.",
        f"At least {images:,} {GROWING}, of {contents.balance.listed:,} listed, in "
        f"{_resolution(collection)}; more are being uploaded, {SUMS} last of all.",
        _treatment(contents),
        _organized(contents),
    ]
    return {**result, "description": [f"{' '.join(sentences)}\n\n{_MADE}"]}


def dates(dated: Sequence[str]) -> Metadata:
    """Return the tags that say when images were captured, none without a date."""
    if not dated:
        return {}
    return {"date": [dated[0]], "coverage": [f"{dated[0]} - {dated[-1]}"]}


def contains(images: int, resolution: str, dated: Sequence[str]) -> str:
    """Return the sentence of a description that says how many images there are."""
    captured = f"captured between {dated[0]} and {dated[-1]} (UTC)" if dated else "without date"
    return f"Contains {images:,} images in {resolution} {captured}."


def image_count(description: str) -> int | None:
    """Return n of "Contains n images in", None where a description does not say it."""
    found = _CONTAINS.search(description)
    return int(found["images"].replace(",", "")) if found else None


def recounted(description: str, images: int, dated: Sequence[str]) -> str:
    """Return a description whose sentence is about other images of the same resolution."""
    found = _CONTAINS.search(description)
    if found is None or found["resolution"] is None:
        return description
    sentence = contains(images, found["resolution"], dated)
    return description[: found.start()] + sentence + description[found.end() :]


def is_growing(description: str) -> bool:
    """Say whether a description is that of an item that more images are coming to."""
    return GROWING in description


def _encoder(contents: Contents) -> list[str]:
    encoder = contents.encoder
    if encoder is None:
        return []
    if contents.collection.jxl:
        return [f"{encoder['kind']} {encoder['version']}, JPEG XL effort {encoder['effort']}"]
    return [
        f"{encoder['kind']} {encoder['version']}, WebP quality {encoder['quality']}, "
        f"method {encoder['method']}"
    ]


def _description(contents: Contents, dated: list[str]) -> str:
    collection, balance = contents.collection, contents.balance
    sentences = [
        f"Street-level imagery from Mapillary user '{collection.username}'.",
        contains(balance.saved, _resolution(collection), dated),
    ]
    if collection.selection:
        sentences.append(f"A selection, not all images of the user: {_selection(collection)}.")
    sentences.append(_treatment(contents))
    if balance.damaged:
        sentences.append(
            f"{balance.damaged:,} of them are damaged at the source and stored as served."
        )
    if balance.bare:
        sentences.append(
            f"{balance.bare:,} of them are without that metadata; bare.jsonl says which and why."
        )
    if balance.vanished:
        sentences.append(
            f"{balance.vanished:,} of them are no longer on Mapillary; vanished.jsonl names them."
        )
    sentences.append(_organized(contents))
    left = f" + {balance.left:,} left" if balance.left else ""
    sentences.append(
        f"Balance: {balance.listed:,} listed = {balance.saved:,} saved + {balance.gone:,} gone "
        f"+ {balance.unavailable:,} unavailable + {balance.failed:,} failed{left}."
    )
    return f"{' '.join(sentences)}\n\n{_MADE}"


def _resolution(collection: Collection) -> str:
    quality = collection.quality
    return "original resolution" if quality == "original" else f"{quality}px resolution"


def _organized(contents: Contents) -> str:
    folders = "tars by UTC day" if contents.tar else "folders by UTC day"
    return f"Images are organized in {folders} of capture and sequence ID."


def _selection(collection: Collection) -> str:
    selection = collection.selection
    limits = []
    if selection.start:
        limits.append(f"from {selection.start}")
    if selection.end:
        limits.append(f"until {selection.end}")
    if selection.bbox:
        limits.append("bbox " + ",".join(repr(degrees) for degrees in selection.bbox))
    if selection.sequences:
        noun = "sequence" if len(selection.sequences) == 1 else "sequences"
        limits.append(f"{noun} {','.join(selection.sequences)}")
    return ", ".join(limits)


def _treatment(contents: Contents) -> str:
    """Say what was done to the images."""
    if contents.adopted:
        maker = f"{contents.adopted['tool']} {contents.adopted['version'] or ''}".rstrip()
        return (
            f"A part of the images was taken over as {maker} had stored them, with the metadata "
            f"it wrote; {CHECKSUMS} has no sha256_served for these."
        )
    added = (
        "EXIF and XMP metadata with position, capture time, compass direction and licence was added"
    )
    encoder = f" ({_encoder(contents)[0]})" if contents.encoder else ""
    if contents.collection.jxl:
        return (
            f"JPEGs were transcoded to JPEG XL{encoder}, which gives back the same JPEG bit by bit "
            f"(djxl FILE.jxl FILE.jpg; {CHECKSUMS} has its sha256_jpeg), those for which that was "
            f"not proven are JPEGs; their compressed data is as Mapillary served it; {added}."
        )
    if not contents.collection.webp:
        return (
            f"The pictures are as Mapillary served them, their compressed data untouched; {added}."
        )
    return (
        f"Images were recompressed as WebP{encoder}, those that WebP cannot hold "
        f"are JPEGs with their compressed data untouched; {added}."
    )
