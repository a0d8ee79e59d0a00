"""A folder that mapillary_downloader made: whose it is, and what lies in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import QUALITIES, UNKNOWN_DATE, Collection, escape
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.ledger.ledger import Ledger

METADATA = ("metadata.jsonl.gz", "metadata.jsonl")

#: Its logs may hold absolute paths and URLs with the token; its thumbnail has another name.
_OWN = (*METADATA, "progress.json", ".api_cursor*", "__ia_thumb__.jpg", "download.log.*", ".meta")

#: mapillary_downloader: mapillary-{username}-{quality}[-webp], the name as it is.
_NAME = re.compile(
    rf"mapillary-(?P<username>.+)-(?P<quality>{'|'.join(QUALITIES)})(?P<webp>-webp)?", re.DOTALL
)
_DAY = rf"(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|{UNKNOWN_DATE})"
_TAR = re.compile(rf"(?P<day>{_DAY})(?:\.(?P<part>[1-9][0-9]*))?\.tar")
_IMAGE = re.compile(
    rf"(?P<day>{_DAY})/(?:(?P<sequence>[^/]+)/)?(?P<name>[A-Za-z0-9_-]+)\.(?P<extension>jpg|webp)"
)


@dataclass(frozen=True, slots=True)
class DayTar:
    """A tar of that tool: DAY.tar, then DAY.1.tar and so on."""

    path: Path
    day: str
    part: int


@dataclass(frozen=True, slots=True)
class ImagePath:
    """What an image's path says: DAY/[SEQUENCE/]ID.jpg or .webp."""

    day: str
    sequence: str
    image_id: str
    extension: str


class ForeignFolder:
    """The folder; raises `Refused` if it is none of that tool's.

    `is_adopted` says that it has its ledger already, from an adoption that was interrupted.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise _refused(f"{path} is no folder")
        found = _NAME.fullmatch(path.name)
        if found is None:
            raise _refused(
                f"{path} has no name that mapillary_downloader gives: "
                "mapillary-USERNAME-QUALITY, with -webp or without"
            )
        self.path = path
        self.is_adopted = _is_adopted(path)
        self.metadata = next((path / name for name in METADATA if (path / name).exists()), None)
        if self.metadata is None and not self.is_adopted:
            raise _refused(f"{path} has no {METADATA[0]}: nothing says what was listed")
        self.collection = Collection(
            found["username"], found["quality"], webp=found["webp"] is not None
        )

    def tars(self) -> list[DayTar]:
        """Return the tars of days by day and part."""
        found = (
            (file, _TAR.fullmatch(file.name))
            for file in self.path.iterdir()
            if file.is_file() and not file.is_symlink()
        )
        tars = [DayTar(file, name["day"], int(name["part"] or 0)) for file, name in found if name]
        return sorted(tars, key=lambda tar: (tar.day, tar.part))

    def loose(self) -> Iterator[str]:
        """Yield the paths of files in the folders of days, which that tool left there."""
        for folder in sorted(self.path.iterdir()):
            if re.fullmatch(_DAY, folder.name) and folder.is_dir() and not folder.is_symlink():
                for file in sorted(folder.rglob("*")):
                    if file.is_file() and not file.is_symlink():
                        yield file.relative_to(self.path).as_posix()

    def own_files(self) -> list[Path]:
        """Return that tool's own files: its metadata, state, logs and thumbnail."""
        return [path for pattern in _OWN for path in sorted(self.path.glob(pattern))]


def image_path(name: str, day: str | None = None) -> ImagePath | None:
    """Return what a path says, None if it is no image's, or of another day than its tar."""
    found = _IMAGE.fullmatch(name)
    if found is None or (day is not None and found["day"] != day):
        return None
    sequence = found["sequence"] or ""
    if (
        sequence in {".", ".."}
        or not sequence.isprintable()
        or escape(found["name"]) != found["name"]
    ):
        return None
    return ImagePath(found["day"], sequence, found["name"], found["extension"])


def _is_adopted(path: Path) -> bool:
    ours = f"{path} was made by this program; only others' folders are adopted"
    ledger_path = path / LEDGER_PATH
    if not ledger_path.exists():
        if (path / "checksums.jsonl.gz").exists():
            raise _refused(ours)
        return False
    ledger = Ledger(ledger_path)  # what a kill left in its journal is to be read, too
    try:
        if ledger.facts.get("adopted") is None:
            raise _refused(ours)
    finally:
        ledger.close()
    return True


def _refused(message: str) -> Refused:
    return Refused(Outcome.REFUSED, message)
