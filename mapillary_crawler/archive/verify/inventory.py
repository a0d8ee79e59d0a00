"""What a collection ought to hold, and what may be found instead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import IMAGES, TAR
from mapillary_crawler.collection.outcome import Outcome, ProjectError
from mapillary_crawler.ledger.records import Member
from mapillary_crawler.terminal.quoting import printable


class Kind(StrEnum):
    """What is wrong with a file or a member."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    DISAGREES = "disagrees"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `path` is below the collection, `member` within that tar."""

    path: str
    kind: Kind
    detail: str = ""
    member: str | None = None

    def __str__(self) -> str:
        place = self.path if self.member is None else f"{self.path}: {self.member}"
        return printable(f"{place}: {self.kind}{f', {self.detail}' if self.detail else ''}")


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file of the collection; what is not known of it is None.

    `elsewhere` names the item on archive.org that holds a file that was removed here. A tar of
    another tool may be `damaged` from the beginning, and have members, by name and offset of
    their bytes, that were `passed_over` since they are no good images. `sha256_jpeg` is that of
    the JPEG that a JPEG XL gives back. `superseded` says of the path of a member, without its
    extension, whether an update has put that image into a later tar.
    """

    path: str
    size: int | None = None
    sha256: bytes | None = None
    damaged: bool = False
    elsewhere: str | None = None
    passed_over: frozenset[tuple[str, int]] = frozenset()
    sha256_jpeg: bytes | None = None
    superseded: Callable[[str], bool] = lambda _: False

    @property
    def is_tar(self) -> bool:
        """Whether the file is a tar of images."""
        return self.path.endswith(TAR) and "/" not in self.path

    @property
    def is_image(self) -> bool:
        """Whether the file is an image that lies loose."""
        return self.path.endswith(IMAGES) and "/" in self.path


class NoInventory(ProjectError):
    """Nothing says what a folder ought to hold; the message names the folder."""

    outcome = Outcome.REFUSED


class Inventory(ABC):
    """What a collection ought to hold, whoever says so.

    To be used in one thread. `authority` is what its checksums come from, `finished`
    whether nothing of the collection is to come any more; one that is not may hold files that
    the next run clears away.
    """

    authority: str
    finished: bool

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def files(self) -> Iterator[ExpectedFile]:
        """Yield the files in bytewise order of their paths."""

    @abstractmethod
    def holders(self) -> Iterator[tuple[ExpectedFile, Iterator[Member] | None]]:
        """Yield the tars with their members by offset, None where those are not known.

        Loose images may come too, where `files` does not know their size.
        """

    @abstractmethod
    def is_own(self, path: str) -> bool:
        """Say whether a file that `files` does not name belongs to the collection all the same."""

    @abstractmethod
    def balance(self) -> Balance:
        """Return the balance, once `holders` has come to its end."""

    @abstractmethod
    def disagreements(self) -> Iterator[Problem]:
        """Yield what does not fit within the inventory, once `holders` has come to its end."""

    @abstractmethod
    def close(self) -> None:
        """Close what the inventory is read from."""
