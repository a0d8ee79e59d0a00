"""Whose collection a folder without a ledger is, by its name and its `.meta`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.adopt.image_paths import is_day
from mapillary_crawler.archive.collection_arguments import collection_arguments
from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.archive.finish.tags import Metadata, made_here
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import CHECKSUMS, METADATA, PAGE, SUMS, TAR
from mapillary_crawler.collection.limits import lines
from mapillary_crawler.collection.names import (
    QUALITIES,
    Collection,
    Selection,
    unescape,
    user_and_quality,
)
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused

#: `tags`: what `.meta` says of a selection, and of an encoder.
_BBOX = re.compile(r"\bbbox (-?[0-9.e-]+(?:,-?[0-9.e-]+){3})")
_SEQUENCES = re.compile(r"\bsequences? ([A-Za-z0-9_,-]+)")
_DATES = re.compile(r"\+(?P<start>[0-9-]{10})?_(?P<end>[0-9-]{10})?(?:\+|$)")
_WEBP = re.compile(
    r"(?P<kind>\S+) (?P<version>.*), WebP quality (?P<quality>\d+), method (?P<method>\d+)"
)
_JXL = re.compile(r"(?P<kind>\S+) (?P<version>.*), JPEG XL effort (?P<effort>\d+)")
_TAKEN = re.compile(r"\btaken over as (?P<tool>\S+)(?: (?P<version>.+?))? had stored them\b")


def is_ours(folder: Path) -> bool:
    """Say whether a folder was made by this program, whether or not it has its state still."""
    if not descent.is_file(folder, CHECKSUMS) or not descent.is_file(folder, METADATA):
        return False
    return says_ours(read_metadata(folder))


def says_ours(meta: Metadata) -> bool:
    """Say whether metadata is that of a collection of this program."""
    return made_here(meta.get("scanner", []))


def has_images(folder: Path) -> bool:
    """Say whether images lie in a folder of this program's that has no ledger, loose or in tars."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.is_symlink()]
    except OSError:
        return False
    return any(is_day(name.partition(".")[0] if name.endswith(TAR) else name) for name in names)


def collection_of(folder: Path) -> Collection:
    """Return the collection that a folder of this program is; raises `Refused`.

    A selection's box and sequences are in the description; the folder's name proves them.
    """
    if collection := collection_named(folder.name, read_metadata(folder)):
        return collection
    raise Refused(
        Outcome.REFUSED,
        f"{folder} does not have the name of the collection that its .meta is of; give it its "
        "name back: mapillary-USERNAME-QUALITY, with what stood behind that",
    )


def collection_named(name: str, meta: Metadata) -> Collection | None:
    """Return the collection of a name, with what its metadata says; None where they disagree."""
    parts = user_and_quality(name)
    username = next(iter(meta.get("creator", [])), None)
    if parts and username is None:
        username = unescape(parts[0])
    if not parts or username is None or parts[1] not in QUALITIES:
        return None
    base, _, suffix = name.partition("+")
    collection = Collection(
        username,
        parts[1],
        webp=base.endswith("-webp"),
        jxl=base.endswith("-jxl"),
        selection=_selection(f"+{suffix}" if suffix else "", meta),
    )
    return collection if collection.name == name else None


def _selection(suffix: str, meta: Metadata) -> Selection:
    description = " ".join(meta.get("description", []))
    start, end = _dates(suffix)
    box = _BBOX.search(description) if "+bbox-" in suffix else None
    named = _SEQUENCES.search(description) if "+seq-" in suffix else None
    try:
        bbox: Any = tuple(map(float, box[1].split(","))) if box else None
    except ValueError:
        bbox = None
    return Selection(bbox, start, end, tuple(sorted(set(named[1].split(",")))) if named else ())


def _dates(suffix: str) -> tuple[date | None, date | None]:
    found = _DATES.match(suffix)
    try:
        days = [date.fromisoformat(day) if day else None for day in found.groups()] if found else []
    except ValueError:
        days = []
    return (days[0], days[1]) if days else (None, None)


def facts_of(folder: Path, collection: Collection) -> dict[str, Any]:
    """Return the facts that the ledger of a finished collection has, as far as files say them."""
    finished_at = (folder / SUMS).stat().st_mtime
    said = facts_said(read_metadata(folder), collection)
    said |= page_said(said["format"], there=is_summed_there(folder, PAGE))
    return said | {"tar": has_tars(folder), "finished_at": finished_at}


def page_said(form: int, *, there: bool) -> dict[str, Any]:
    """Return whether a finished collection is to have a page; before format 3 nothing says so."""
    return {"page": there} if there or form >= 3 else {}


def facts_said(meta: Metadata, collection: Collection) -> dict[str, Any]:
    """Return the facts of a collection that its name and its metadata say."""
    form = next(iter(meta.get("mapillary_crawler_format", [])), "1")
    facts: dict[str, Any] = {
        "username": collection.username,
        "quality": collection.quality,
        "webp": collection.webp,
        "jxl": collection.jxl,
        "selection": collection.selection.told,
        "format": int(form) if form.isascii() and form.isdigit() and len(form) < 4 else 1,
    }
    if encoder := _encoder(meta):
        facts["encoder"] = encoder
    if taken := _TAKEN.search(" ".join(meta.get("description", []))):
        facts["adopted"] = {"tool": taken["tool"], "version": taken["version"]}
    return facts


def _encoder(meta: Metadata) -> dict[str, Any] | None:
    for value in meta.get("scanner", []):
        for pattern in (_WEBP, _JXL):
            if found := pattern.fullmatch(value):
                fields = found.groupdict()
                return {
                    name: text if name in ("kind", "version") else int(text)
                    for name, text in fields.items()
                }
    return None


def has_tars(folder: Path) -> bool:
    """Say whether the images of a finished collection are in tars, as SHA256SUMS has it."""
    return any(name.endswith(TAR.encode()) and b"/" not in name for name in _summed(folder))


def is_summed_there(folder: Path, name: str) -> bool:
    """Say whether SHA256SUMS has a file of that name."""
    return name.encode() in _summed(folder)


def _summed(folder: Path) -> Iterator[bytes]:
    with os.fdopen(descent.open_file(folder, SUMS), "rb") as sums:
        for line in lines(sums):
            yield line.rstrip(b"\n").partition(b"  ")[2]


def crawl_arguments(folder: Path) -> dict[str, str]:
    """Return the arguments of the crawl that goes on, as far as the folder says them."""
    try:
        return collection_arguments(folder)
    except ArgumentRefused:  # a ledger that is new knows no user yet
        parts = user_and_quality(folder.name)
        username = (unescape(parts[0]) if parts else None) or "NAME"
        given = {"username": username, "quality": parts[1] if parts else "original"}
        base = folder.name.partition("+")[0]
        return given | {kind: "1" for kind in ("webp", "jxl") if base.endswith(f"-{kind}")}
