"""Pure: where the versions of mapillary_downloader put an image, in tars and in folders.

- from 0.7: DAY/[SEQUENCE/]ID.jpg, in DAY.tar, DAY.1.tar and so on;
- before: L/SEQUENCE/ID.jpg with the sequence's first letter, in L.tar or SEQUENCE.tar;
- before that: SEQUENCE/ID.jpg, in SEQUENCE.tar, SEQUENCE.2.tar or in folders.

Without a sequence, those before 0.7 have ID.jpg beside their tars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mapillary_crawler.collection.layout import EXTENSIONS
from mapillary_crawler.collection.names import UNKNOWN_DATE, escape

#: Extensions by which a file that lies where none is known is taken for an image.
IMAGE_LIKE = (*(f".{extension}" for extension in EXTENSIONS), ".jpeg")

_DAY = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|{UNKNOWN_DATE}")
_TAR = re.compile(r"(?P<stem>[^/]+?)(?:\.(?P<part>[1-9][0-9]{0,8}))?\.tar")
_FILE = re.compile(rf"(?P<name>[A-Za-z0-9_-]+)\.(?P<extension>{'|'.join(EXTENSIONS)})")


@dataclass(frozen=True, slots=True)
class ImagePath:
    """What an image's path says; `day` is None where it does not say the day."""

    day: str | None
    sequence: str
    image_id: str
    extension: str


def is_day(name: str) -> bool:
    """Say whether a folder or a tar has the name of a day."""
    return _DAY.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class TarName:
    """What a tar's name says; `day` is None where it is not that of a day."""

    day: str | None
    part: int


def tar_named(name: str) -> TarName | None:
    """Return what a name says, the way back from `layout.tar_name`; None for what is no tar's."""
    found = _TAR.fullmatch(name)
    if found is None:
        return None
    return TarName(found["stem"] if is_day(found["stem"]) else None, int(found["part"] or 0))


def image_path(path: str) -> ImagePath | None:
    """Return what a path says, None if no known version puts an image there."""
    *folders, last = path.split("/")
    found = _FILE.fullmatch(last)
    if found is None or escape(found["name"]) != found["name"]:
        return None
    day = None
    if folders and is_day(folders[0]):
        day = folders.pop(0)
    elif len(folders) == 2 and folders[0].lower() == folders[1][:1].lower():
        folders.pop(0)
    if len(folders) > 1 or not all(map(_is_sequence, folders)):
        return None
    return ImagePath(day, "".join(folders), found["name"], found["extension"])


def _is_sequence(name: str) -> bool:
    return name not in ("", ".", "..") and name.isprintable()
