"""What the ledger tells and is told: records and states, without SQLite."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple

from mapillary_crawler.collection.names import member_path
from mapillary_crawler.collection.outcome import Outcome, ProjectError

#: Bytes of a sample, the picture of a day, at most; also of one that a stranger has given.
SAMPLE_BYTES = 8192
#: Number of a collection's format: the set of its files, their fields, their bytes. The finish
#: records it as the fact `format`; a ledger without one has format 1.
FORMAT = 3


class State(IntEnum):
    """What has become of an image; every listed image is in exactly one."""

    UNSETTLED = 0  #: wanted; failed if a run had an error with it, else left
    SAVED = 1  #: stored whole, bytes checked
    DAMAGED = 2  #: damaged at the source, stored as served; counts as saved
    GONE = 3  #: the service says that the image no longer exists
    UNAVAILABLE = 4  #: the service offers no URL at this quality
    ACCEPTED = 5  #: failed, and the user accepted that
    OUTSIDE = 6  #: not in the selection; kept as an id only


class Bare(StrEnum):
    """Why a saved image is without our metadata."""

    NO_PLACE = "no-place-for-metadata"
    OTHER_FORMAT = "other-format"


class DayState(IntEnum):
    """How far a day is on its way into tars."""

    OPEN = 0
    SEALING = 1
    SEALED = 2


class PieceState(IntEnum):
    """How far a file of the finished collection is."""

    WRITING = 0
    SEALED = 1
    UPLOADED = 2
    REMOVED = 3  #: verified on archive.org and deleted here
    LOST = 4  #: a tar that is not here, or damaged; its images are fetched again


#: States of files that archive.org has accepted, and of those that are to be here.
SENT = (PieceState.UPLOADED, PieceState.REMOVED)
HERE = (PieceState.SEALED, PieceState.UPLOADED)

#: `retry_at` of what failed in an earlier run: due, behind all that is left.
FAILED_BEFORE = 1


@dataclass(frozen=True, slots=True)
class DueImage:
    """An image to fetch now; `url` is None where the service must be asked for one.

    `had_url` says that there was one at some time, `without_url` how many answers in a row
    named the image and gave none.
    """

    number: int
    image_id: str
    url: str | None
    expires: int | None
    fresh: bool
    had_url: bool
    without_url: int
    attempts: int
    captured_at: int | None
    day: str
    sequence: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that failed.

    `retry_at` is in seconds since 1970, infinity for "not in this run"; `counts` says
    whether it is the image's fault; `drop_url` that another URL is needed; `without_url` that
    the service named the image and gave none.
    """

    number: int
    error: str
    retry_at: float
    counts: bool = True
    drop_url: bool = False
    without_url: bool = False


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that lies whole on the disk, as it is to be recorded.

    What was served is not known of an image that another tool saved; `sha256_jpeg` is that of the
    JPEG that a JPEG XL gives back, None for all others.
    """

    number: int
    extension: str
    sha256_served: bytes | None
    sha256_stored: bytes
    size: int
    damaged: bool = False
    bare: str | None = None
    sha256_jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image as the ledger knows it; what is not known yet is None.

    `tar` is the name of the piece that holds it, `offset` and `size` are the image's
    own bytes within it; `bare` is a `Bare`, None for what is not saved or has our metadata.
    """

    number: int
    image_id: str
    state: State
    captured_at: int | None
    day: str
    sequence: str
    extension: str | None
    sha256_served: bytes | None
    sha256_stored: bytes | None
    size: int | None
    tar: str | None
    offset: int | None
    page: int
    row: int
    bare: str | None = None
    sha256_jpeg: bytes | None = None
    #: When an update noticed that the service does not list it any more, in s since 1970.
    vanished_at: int | None = None

    @property
    def member(self) -> str:
        """Path of a saved image below the collection, which is its name in the tar."""
        assert self.extension is not None
        return member_path(self.day, self.sequence, self.image_id, self.extension)


class SavedImage(NamedTuple):
    """What a table says of a saved image, of its `ImageRecord`: a quarter of that one's time."""

    image_id: str
    state: int
    captured_at: int | None
    day: str
    sequence: str
    extension: str
    size: int | None
    tar: str | None
    offset: int | None
    page: int
    row: int

    @property
    def member(self) -> str:
        """Path of the image below the collection, which is its name in the tar."""
        return member_path(self.day, self.sequence, self.image_id, self.extension)


#: Where and when a saved image belongs, of its `ImageRecord`, and where its fields are:
#: captured_at, day, sequence, page, row. A mere tuple, which takes least: millions go by.
TakenImage = tuple[int | None, str, str, int, int]


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row of a Graph page as the ledger keeps it.

    `line` is the row's canonical JSON without URLs, `expires` the URL's `oe` in
    seconds since 1970; rows outside the selection are kept as ids only.
    """

    image_id: str
    captured_at: int | None
    day: str
    sequence: str
    line: bytes
    url: str | None
    expires: int | None
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where the listing stands.

    `cursor` is what to ask for next, None on the first page of a round; `ended` says
    that no page follows; `rows` and `seconds` are what the round has brought and taken
    so far; `resumed` says that more than one run worked on it; `again` that it repeats
    one that was complete.
    """

    cursor: str | None
    ended: bool
    closed: bool
    rows: int
    seconds: float
    resumed: bool
    again: bool


class KnownRow(NamedTuple):
    """An image whose id was listed before, and whether it is wanted still."""

    number: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a page brought: ids not listed before, known ones, and those outside."""

    new: int
    known: int
    outside: int
    #: It had no id that this round of the listing had not brought already.
    idle: bool = False


@dataclass(frozen=True, slots=True)
class StagedBytes:
    """Loose images and their bytes, bytes of tars that are here, images to be tried again."""

    loose: int
    loose_bytes: int
    tar_bytes: int
    to_retry: int


@dataclass(frozen=True, slots=True)
class StagedDay:
    """A day's missing images, of which `failed` are given up by this run, and its loose ones."""

    day: str
    missing: int
    loose: int
    loose_bytes: int
    failed: int


@dataclass(frozen=True, slots=True)
class StagedRow:
    """An image by its member key: bytes of a loose one, None for one that is missing."""

    key: str
    size: int | None
    failed: bool


class SliceState(StrEnum):
    """How far a slice is."""

    OPEN = "open"  #: to be crawled
    ENDED = "ended"  #: its images are settled, or have failed in its last run
    MERGED = "merged"  #: what it has is the whole's again


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a collection that is cut: whole days, both of those named among them.

    `images` are those listed of these days. It `wants_urls` where many of its URLs have expired,
    and those of the whole were not renewed since.
    """

    number: int
    images: int
    first_day: str
    last_day: str
    state: SliceState = SliceState.OPEN
    wants_urls: bool = False


class SliceMismatch(ProjectError):
    """A ledger is not that of the slice whose place it has, or lacks images of it."""

    outcome = Outcome.REFUSED


class CursorMoved(ProjectError):
    """The page answers a cursor that the listing has left; it is not committed."""


class CursorLoop(ProjectError):
    """The page leads to a cursor that this round has already gone through; its rows are kept."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of the collection; `day` and `part` are None for what is no tar."""

    number: int
    name: str
    day: str | None
    part: int | None
    images: int
    size: int | None
    sha256: bytes | None
    md5: bytes | None
    state: PieceState
    item: str | None


@dataclass(frozen=True, slots=True)
class Amount:
    """How many files of a collection, and bytes, are in one state and one item."""

    state: PieceState
    item: str | None
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update has brought: images saved that are new to the listing, or could not be had.

    `vanished` are those saved before that the service does not list any more. `changed` says
    whether anything is to be written into the collection.
    """

    new: int = 0
    available: int = 0
    vanished: int = 0
    changed: bool = False


@dataclass(frozen=True, slots=True)
class AdoptedFile:
    """A readable image: its id and path as the other tool has them, its bytes as they are.

    Where that path does not say the `day`, day and sequence are those of the listed row.

    What was served is not known, since that tool wrote metadata into the file.
    """

    image_id: str
    day: str | None
    sequence: str
    extension: str
    sha256: bytes
    size: int
    sha256_jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class FoundFile(AdoptedFile):
    """A readable image that lies where one of that id, day and sequence is stored.

    `piece` and `offset` are None for what is in no tar.
    """

    piece: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of files: settled ones by their ids, ids not listed, and ids saved before.

    `members` are the paths that the settled ones have in the collection.
    """

    numbers: dict[str, int]
    members: dict[str, str]
    unlisted: list[str]
    again: list[str]


class Source(Enum):
    """Who said so: each is proven, or doubted, by itself."""

    API = "gone_unproven_api"
    CDN = "gone_unproven_cdn"


@dataclass(frozen=True, slots=True)
class Member:
    """An image in a tar: offset and size of its own bytes; one damaged need not decode.

    `sha256_jpeg` is that of the JPEG that a JPEG XL gives back.
    """

    name: str
    offset: int
    size: int
    sha256: bytes
    damaged: bool
    sha256_jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """What the listed images span; capture times are in ms since 1970, None if none has one."""

    images: int
    days: int
    sequences: int
    undated: int
    first: int | None
    last: int | None
    largest_day: int


@dataclass(frozen=True, slots=True)
class SampledImage:
    """An image taken from the listing; `size` as stored, None where it is not saved."""

    number: int
    image_id: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Images whose last attempt failed: those tried again in this run, and those not."""

    to_retry: int
    given_up: int
