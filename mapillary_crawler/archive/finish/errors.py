"""Why a finish ends before the collection is finished; nothing is lost by any of them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from mapillary_crawler.archive.lost_parts import LostPart, lacks
from mapillary_crawler.collection.outcome import Outcome, ProjectError

#: Why an image is fetched again whose file is not what the ledger says.
CHANGED = "the stored file was missing or did not match its checksum"


class FinishError(ProjectError):
    """The collection is not finished; what is there stays as it is."""


class NotSettled(FinishError):
    """The listing is open, or images are unsettled: there is nothing to finish yet."""

    outcome = Outcome.INCOMPLETE


class ImagesChanged(FinishError):
    """Stored files are missing or do not match; their rows are unsettled, to be fetched again."""

    outcome = Outcome.INCOMPLETE

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} stored images are missing or do not match their checksums; "
            "they are fetched again by the same command"
        )
        self.count = count


class PartsLost(FinishError):
    """Tars that the ledger has are missing, or of another size: their images are to come again."""

    outcome = Outcome.INCOMPLETE

    def __init__(self, folder: Path, lost: Sequence[LostPart]) -> None:
        super().__init__(f"{folder.name} {lacks(folder, lost)}")


class ForeignTar(FinishError):
    """A file has a tar's name and is not in the ledger."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} exists and is none of the ledger's; it is left untouched. "
            "Move it elsewhere and run the same command again"
        )
        self.name = path.name


class BadJournal(FinishError):
    """What says how an update takes its place is not ours, or damaged; nothing is moved by it."""

    outcome = Outcome.REFUSED

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is none of this program's, or damaged; nothing is moved by it")


class DestinationTaken(FinishError):
    """Something in the store has the collection's name already."""

    def __init__(self, destination: Path) -> None:
        super().__init__(
            f"{destination} exists already and is left untouched. "
            "Move it elsewhere and run the same command again"
        )


class NamesMeet(FinishError):
    """Two names of the collection are one on a disk that takes capitals for small letters."""

    outcome = Outcome.REFUSED

    def __init__(self, names: tuple[str, str], folder: Path, *, tar: bool) -> None:
        otherwise = "" if tar else ", or crawl it into another store with tar=1"
        super().__init__(
            f"{names[0]} and {names[1]} are the same name on the disk of {folder}, which takes "
            "capitals for small letters; nothing is lost. Move the collection to another disk and "
            f"set MAPILLARY_STAGING and MAPILLARY_STORE to it{otherwise}"
        )


class ReadBackFailed(FinishError, OSError):
    """A file does not read as it was written, from files that are good: the disk is at fault."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            errno.EIO, "reads otherwise than it was written; check the disk, then run again", path
        )
