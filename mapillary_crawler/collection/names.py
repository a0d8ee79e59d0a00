"""Pure: what a collection is called, what belongs to it, where its files lie.

Every rule here is part of the project's fixed interfaces: a name, once
published, can never change (archive.org identifiers are final).
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from mapillary_crawler.collection.layout import EXTENSIONS, WITHOUT_JXL

QUALITIES = ("256", "1024", "2048", "original")
UNKNOWN_DATE = "unknown-date"

#: Longest escaped user name and longest escaped id; identifiers stay within archive.org's 100.
USERNAME_LENGTH = 60
ID_LENGTH = 100

#: First millisecond that a tar header's eleven octal digits of seconds cannot hold (year 2242).
CAPTURE_TIME_END = 8**11 * 1000

_ILLEGAL = re.compile(r"[^A-Za-z0-9._-]|^\.|_(?=u)")
#: As `escape` makes it of a character.
_ESCAPED = re.compile(r"_u([0-9a-f]{1,6})_")
_CUT = re.compile(r"-[0-9a-f]{16}\Z")
_FOLDER = re.compile(
    rf"mapillary-(?P<user>.+)-(?P<quality>{'|'.join(QUALITIES)})(?:-[a-z]+)?(?:\+.*)?"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Graph API: 22 characters of base64url, or older keys; long ones would be cut in paths.
_SEQUENCE = re.compile(rf"[A-Za-z0-9_-]{{1,{ID_LENGTH}}}")


def escape(name: str, longest: int = ID_LENGTH) -> str:
    """Return `name` as a path part and identifier part; no two names meet.

    Characters outside `[A-Za-z0-9._-]`, a leading `.` and a `_` before `u`
    become `_u{hex}_`. What is longer than `longest` is cut and ends in `-` and
    16 hex digits of the name's sha256.
    """
    escaped = _ILLEGAL.sub(lambda match: f"_u{ord(match[0]):x}_", name)
    if len(escaped) <= longest:
        return escaped
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{escaped[: longest - 17]}-{digest}"


def user_and_quality(folder: str) -> tuple[str, str] | None:
    """Return the user's part of a collection's name, and its quality; None for another name."""
    found = _FOLDER.fullmatch(folder)
    return (found["user"], found["quality"]) if found else None


def unescape(part: str) -> str | None:
    """Return the user name that `escape` has made `part` of, None where it was cut."""
    if len(part) == USERNAME_LENGTH and _CUT.search(part):
        return None
    try:
        name = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), part)
    except ValueError:
        return None
    return name if escape(name, USERNAME_LENGTH) == part else None


def titled(folder: str, username: str | None = None) -> str:
    """Return a collection's name with its user's beside it, where the name does not show that.

    `username` is for a name that was cut. What a terminal obeys becomes U+FFFD.
    """
    parts = user_and_quality(folder)
    name = username or (unescape(parts[0]) if parts else None)
    if parts is None or name is None or name == parts[0]:
        return folder
    shown = "".join(each if each.isprintable() else "\ufffd" for each in name)
    return f"{folder} ({shown})"


def text(value: str) -> str:
    """Return `value` with lone surrogates, which UTF-8 cannot hold, as U+FFFD."""
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def image_id(value: Any) -> str | None:
    """Return the id of a listed row as text, or None if it has no usable one.

    Graph API: ids are decimal strings above 2^53; an integer is the same id.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value) if isinstance(value, str) and value.strip() else None


def capture_time(value: Any) -> int | None:
    """Return a `captured_at` as whole milliseconds since 1970, or None if it is none.

    Graph API: integer milliseconds in UTC. 0 is a date; what is no whole number
    of milliseconds from 1970 to 2242 counts as absent.
    """
    if type(value) is int:
        return value if 0 <= value < CAPTURE_TIME_END else None
    if type(value) is not float or not 0 <= value < CAPTURE_TIME_END or value != int(value):
        return None
    return int(value)


def capture_day(captured_at: int | None) -> str:
    """Return the UTC day of a capture time as YYYY-MM-DD, or `unknown-date`."""
    if captured_at is None:
        return UNKNOWN_DATE
    return datetime.fromtimestamp(captured_at // 1000, UTC).strftime("%Y-%m-%d")


def sequence_name(value: Any) -> str:
    """Return the sequence that a row names as text, empty where it names none."""
    if isinstance(value, str):
        return text(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def is_sequence_id(name: str) -> bool:
    """Say whether a text can be the id of a sequence that somebody asks for."""
    return _SEQUENCE.fullmatch(name) is not None


def sequence_part(value: Any, extensions: Sequence[str] = WITHOUT_JXL) -> str:
    """Return the path part of a row's `sequence`, empty where it has none.

    A sequence never takes the name that an image without a sequence would have. `extensions` are
    those that images have: a collection that was begun when there were fewer keeps its names.
    """
    part = escape(sequence_name(value))
    return re.sub(rf"\.(?=(?:{'|'.join(extensions)})$)", "_u2e_", part)


def sequence_folder(sequence: str) -> str:
    """Return what a sequence's folder outside a collection is called: its true id where it can be.

    No two sequences meet: an id that could be taken for what `sequence_part` makes of another is
    escaped, too. Paths in collections are always escaped, `abc_uXY` as `abc_u5f_uXY`.
    """
    if is_sequence_id(sequence) and not _ESCAPED.search(sequence) and not _CUT.search(sequence):
        return sequence
    return sequence_part(sequence, EXTENSIONS)


def member_path(day: str, sequence: str, image: str, extension: str) -> str:
    """Return the path of an image below the collection, which is its name in the tar."""
    folder = f"{day}/{sequence}" if sequence else day
    return f"{folder}/{escape(image)}.{extension}"


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a user's images that is wanted; empty means all of them.

    `bbox` is west, south, east, north in degrees, bounds inclusive; `start` and
    `end` are UTC days, inclusive; `sequences` are ids, each once, in bytewise order.
    """

    bbox: tuple[float, float, float, float] | None = None
    start: date | None = None
    end: date | None = None
    sequences: tuple[str, ...] = ()

    @property
    def swapped(self) -> tuple[float, float, float, float] | None:
        """The box that `bbox` would be if latitudes stood first in it, None if it cannot be."""
        return swapped(self.bbox) if self.bbox else None

    def __bool__(self) -> bool:
        bounds = (self.bbox, self.start, self.end)
        return bool(self.sequences) or any(bound is not None for bound in bounds)

    @property
    def suffix(self) -> str:
        """What a selection's folder name has behind the collection's.

        `+` is illegal on archive.org, so a part is never mistaken for the whole.
        """
        suffix = ""
        if self.start or self.end:
            suffix += f"+{self.start or ''}_{self.end or ''}"
        if self.bbox:
            suffix += f"+bbox-{_digest(repr(bound) for bound in self.bbox)}"
        if self.sequences:
            suffix += f"+seq-{_digest(self.sequences)}"
        return suffix

    @property
    def told(self) -> dict[str, Any]:
        """The selection as a ledger has it."""
        return {
            "bbox": self.bbox and list(self.bbox),
            "start": self.start and self.start.isoformat(),
            "end": self.end and self.end.isoformat(),
            "sequences": list(self.sequences),
        }

    @property
    def fields(self) -> frozenset[str]:
        """The fields of a row that `holds` looks at."""
        looked_at: list[str] = []
        if self.start or self.end:
            looked_at += ["captured_at"]
        if self.bbox:
            looked_at += ["geometry", "computed_geometry"]
        if self.sequences:
            looked_at += ["sequence"]
        return frozenset(looked_at)

    def asks_for(self, sequence: str) -> bool:
        """Say whether a sequence is one of those named."""
        place = bisect_left(self.sequences, sequence)
        return place < len(self.sequences) and self.sequences[place] == sequence

    def holds(self, row: dict[str, Any], captured_at: int | None) -> bool:
        """Say whether a listed row belongs to the selection.

        Undated images belong to selections without start and end only; images
        without any position lie outside every box.
        """
        if self.start or self.end:
            if captured_at is None:
                return False
            day = date.fromisoformat(capture_day(captured_at))
            if (self.start and day < self.start) or (self.end and day > self.end):
                return False
        if self.sequences and not self.asks_for(sequence_name(row.get("sequence"))):
            return False
        if self.bbox is None:
            return True
        place = point(row.get("geometry")) or point(row.get("computed_geometry"))
        if place is None:
            return False
        west, south, east, north = self.bbox
        return west <= place[0] <= east and south <= place[1] <= north


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256(",".join(parts).encode()).hexdigest()[:8]


def swapped(bbox: Sequence[float]) -> tuple[float, float, float, float] | None:
    """Return a box whose latitudes stood first, with longitudes first, None if that is no box."""
    south, west, north, east = bbox
    is_box = -180 <= west < east <= 180 and -90 <= south < north <= 90
    return (west, south, east, north) if is_box else None


def written(bbox: Sequence[float]) -> str:
    """Return a box as an argument has it."""
    return ",".join(f"{bound:.15g}" for bound in bbox)


def point(geometry: Any) -> tuple[float, float] | None:
    """Return longitude and latitude of a GeoJSON point, or None if it is none."""
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        return None
    longitude, latitude = coordinates[:2]
    for degrees, bound in ((longitude, 180), (latitude, 90)):
        if isinstance(degrees, bool) or not isinstance(degrees, int | float):
            return None
        if not -bound <= degrees <= bound:  # NaN fails every comparison
            return None
    return float(longitude), float(latitude)


@dataclass(frozen=True, slots=True)
class Collection:
    """What a crawl makes: one user at one quality, perhaps encoded, perhaps a selection.

    Encoded as WebP, or as JPEG XL that gives the JPEGs back; not both.
    """

    username: str
    quality: str = "original"
    webp: bool = False
    selection: Selection = Selection()
    jxl: bool = False

    @property
    def identifier(self) -> str:
        """The collection's name on archive.org, without a selection's suffix."""
        name = f"mapillary-{escape(self.username, USERNAME_LENGTH)}-{self.quality}"
        return name + "-webp" * self.webp + "-jxl" * self.jxl

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions that its images may have."""
        return EXTENSIONS if self.jxl else WITHOUT_JXL

    @property
    def name(self) -> str:
        """The name of the collection's folder."""
        return self.identifier + self.selection.suffix

    @property
    def title(self) -> str:
        """The name for people: with the user's beside it where that was escaped."""
        return titled(self.name, self.username)
