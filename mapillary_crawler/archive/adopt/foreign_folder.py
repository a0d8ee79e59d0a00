"""A folder that mapillary_downloader made: whose it is, and what lies in it.

What is not known here is not read, so the folder is refused: a crawl would take images that lie
in it for lost, and call them gone.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from mapillary_crawler.archive.adopt.image_paths import IMAGE_LIKE, ImagePath, image_path, tar_named
from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.archive.verify.tar_walk import TarWalk
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.durable import Digests, digests_of
from mapillary_crawler.collection.layout import (
    CHECKSUMS,
    LOGS,
    META,
    STATE,
    WITHOUT_JXL,
    files,
    is_clutter,
)
from mapillary_crawler.collection.layout import METADATA as PACKED_METADATA
from mapillary_crawler.collection.limits import META_VALUES
from mapillary_crawler.collection.names import QUALITIES, Collection
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.terminal.program import program_name
from mapillary_crawler.terminal.quoting import printable

METADATA = (PACKED_METADATA, "metadata.jsonl")

TOOL = "mapillary_downloader"
UNKNOWN_VERSION = "unknown version"

#: Its logs may hold absolute paths and URLs with the token; its thumbnail has another name.
_OWN = (*METADATA, "progress.json*", ".api_cursor*", "__ia_thumb*.jpg", LOGS)

#: mapillary_downloader: mapillary-{username}-{quality}[-webp], the name as it is. It makes no -jxl,
#: but what is left of a collection of ours may have neither ledger nor checksums.
_NAME = re.compile(
    rf"mapillary-(?P<username>.+)-(?P<quality>{'|'.join(QUALITIES)})(?P<encoding>-webp|-jxl)?",
    re.DOTALL,
)


class RemoteTar(Protocol):
    """A tar of an item, read from there; what `TarWalk` needs of a file, and a little more."""

    item: str
    size: int

    def digests(self) -> Digests:
        """Return the checksums of all of it; raises `Refused` where it is not as described."""


@dataclass(frozen=True, slots=True)
class ForeignTar:
    """A tar of that tool: DAY.tar, then DAY.1.tar and so on; before 0.7 of other names.

    One that is `remote` is in an item on archive.org, and its path is but a name.
    """

    path: Path
    #: None where the name says none.
    day: str | None
    part: int
    #: That its images may have.
    extensions: tuple[str, ...] = WITHOUT_JXL
    remote: RemoteTar | None = None

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.remote.size if self.remote else self.path.stat().st_size

    def walk(self) -> TarWalk:
        """Open it; raises `OSError`."""
        if self.remote:
            return TarWalk(cast("BinaryIO", self.remote), self.remote.size)
        return TarWalk.of(self.path)

    def digests(self) -> Digests:
        """Return its checksums; reads all of it. Raises `Refused`, `OSError`."""
        return self.remote.digests() if self.remote else digests_of(self.path)

    def image_path(self, member: str) -> ImagePath | None:
        """Return what a member's path says, None if it is no image's, or of another day."""
        found = image_path(member)
        if found is None or found.extension not in self.extensions:
            return None
        return found if found.day == self.day else None


def collection_of(path: Path) -> Collection:
    """Return the collection that a folder's name stands for; raises `Refused`."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise _refused(
            f"{path} has no name that mapillary_downloader gives: "
            "mapillary-USERNAME-QUALITY, with -webp or -jxl or without"
        )
    return Collection(
        found["username"],
        found["quality"],
        webp=found["encoding"] == "-webp",
        jxl=found["encoding"] == "-jxl",
    )


class Adoptable(Protocol):
    """What that tool made, be it here or on archive.org: where its metadata is, its images lie."""

    path: Path
    collection: Collection
    #: The names of its metadata files.
    metadata: list[str]
    #: Where it was found, told to people.
    source: str
    #: The version of that tool, as its metadata has it.
    version: str
    #: It is a folder, with images that may lie loose.
    is_here: bool
    #: All that it holds is looked at, so what is found nowhere is lost.
    is_read: bool

    def tars(self) -> list[ForeignTar]:
        """Return the tars, those of days first, by day and part."""

    def loose(self) -> Iterator[str]:
        """Yield the paths of images that lie in folders, or beside them."""

    def unknown(self, path: str) -> Refused:
        """Return the refusal of what no known version of that tool makes."""


class ForeignFolder:
    """The folder; raises `Refused` if it is none of that tool's, or holds what is not known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = str(path)
        self.is_here = self.is_read = True
        if not path.is_dir():
            raise _refused(f"{path} is no folder")
        self.collection = collection_of(path)
        if any(os.path.lexists(path / name) for name in (STATE, CHECKSUMS)):
            raise _refused(
                f"{path} was made by this program; only others' folders are adopted. If it lacks "
                f"its ledger: {program_name()} repair {path}"
            )
        #: Folders with loose images, and images that lie beside them.
        self._loose: list[str] = []
        self._tars: list[ForeignTar] = []
        #: What a desktop has left, by name.
        self.clutter: list[str] = []
        try:
            for name in sorted(entry.name for entry in path.iterdir()):
                self._know(name)
        except NotFollowed as error:
            raise _refused(f"{error}; put the thing itself there, or take it away") from None
        self.metadata = [name for name in METADATA if os.path.lexists(path / name)]
        if not self.metadata:
            raise _refused(f"{path} has no {METADATA[0]}: nothing says what was listed")
        self.version = read_metadata(path).get(TOOL, [UNKNOWN_VERSION])[0]

    def _know(self, name: str) -> None:
        """Find out what an entry is; raises `Refused`, and `NotFollowed` for what is special."""
        if is_clutter(name):
            self.clutter.append(name)
        elif stat.S_ISDIR(descent.status(self.path, name).st_mode):
            self._know_folder(name)
        else:
            descent.is_file(self.path, name)
            self._know_file(name)

    def _know_file(self, name: str) -> None:
        if any(fnmatch(name, pattern) for pattern in _OWN):
            return
        if tar := tar_named(name):
            extensions = self.collection.extensions
            self._tars.append(ForeignTar(self.path / name, tar.day, tar.part, extensions))
        elif self._is_image(name):
            self._loose.append(name)
        else:
            raise self.unknown(name)

    def _know_folder(self, name: str) -> None:
        with descent.opened_folder(self.path, name):
            pass
        paths = files(self.path, f"{name}/")
        if name == META:
            for path in islice(paths, META_VALUES + 1):
                descent.is_file(self.path, path)
            return
        for path in paths:
            if is_clutter(path):
                self.clutter.append(path)
            elif not (descent.is_file(self.path, path) and self._is_image(path)):
                raise self.unknown(path)
        self._loose.append(name)

    def _is_image(self, path: str) -> bool:
        found = image_path(path)
        return found is not None and found.extension in self.collection.extensions

    def unknown(self, path: str) -> Refused:
        """Return the refusal of a folder that holds what no known version of that tool makes."""
        return _refused(
            f"{self.path} holds {printable(path)!r}, and adopt knows no version of "
            "mapillary_downloader that makes it; nothing was changed. Take it away if it is none "
            "of the collection's"
        )

    def tars(self) -> list[ForeignTar]:
        """Return the tars, those of days first, by day and part."""
        return sorted(
            self._tars, key=lambda tar: (tar.day is None, tar.day or "", tar.part, tar.path.name)
        )

    def loose(self) -> Iterator[str]:
        """Yield the paths of images that lie in folders, or beside them."""
        for name in self._loose:
            if image_path(name):
                yield name
                continue
            for path in files(self.path, f"{name}/"):
                if not is_clutter(path):
                    yield path


def is_image_like(member: str) -> bool:
    """Say whether a path looks like that of an image, wherever it lies."""
    return member.lower().endswith(IMAGE_LIKE)


def _refused(message: str) -> Refused:
    return Refused(Outcome.REFUSED, message)
