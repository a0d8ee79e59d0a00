"""Pure: the validator of spider arguments, the same for the command and the spider."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from mapillary_crawler.collection.names import (
    ID_LENGTH,
    QUALITIES,
    Collection,
    Selection,
    is_sequence_id,
    swapped,
    written,
)
from mapillary_crawler.collection.nearest import nearest
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.units import read_size, read_span
from mapillary_crawler.collection.usernames import username_of

_Value = TypeVar("_Value")

#: Arguments others add: Scrapyd names its job, and the version of the egg if one was asked for.
_OTHERS = frozenset({"_job", "_version"})

#: Bytes, or seconds, of `stop_after` at most: clocks take no more.
_MOST = 2**53

_SWITCH = ("0", "1")
#: The arguments of a crawl, with their values where those are few.
ARGUMENTS: Mapping[str, Sequence[str]] = {
    "username": (),
    "quality": QUALITIES,
    "webp": _SWITCH,
    "jxl": _SWITCH,
    "tar": _SWITCH,
    "check_ia": _SWITCH,
    "accept_failed": _SWITCH,
    "bbox": (),
    "start": (),
    "end": (),
    "sequence": (),
    "stop_after": (),
    "upload": _SWITCH,
    "remove": _SWITCH,
    "update": _SWITCH,
    "page": _SWITCH,
    "cut": _SWITCH,
    "slice": (),
}
#: Those by which `archive` and clusters divide a crawl among processes: nobody's defaults.
OF_PROCESSES = frozenset({"cut", "slice"})


@dataclass(frozen=True, slots=True)
class StopAfter:
    """When a run ends though more is to be done: after seconds, or bytes of images."""

    said: str
    seconds: float | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Arguments:
    """The validated arguments of `scrapy crawl user`.

    `tar` and `page` are None where they were not given.
    """

    collection: Collection
    tar: bool | None = None
    check_ia: bool = True
    accept_failed: bool = False
    stop_after: StopAfter | None = None
    #: Tars go to archive.org as they are sealed.
    upload: bool = False
    #: Tars that archive.org is verified to have are removed here.
    remove: bool = False
    #: A finished collection is brought up to date.
    update: bool = False
    #: The collection gets index.html and sequences.geojson.
    page: bool | None = None
    #: Once all is listed, what is large ends, cut into slices; not with `stop_after`.
    cut: bool = False
    #: This slice alone is crawled.
    slice_number: int | None = None
    #: Names of those that nobody gave for this run: they are defaults of a configuration file.
    from_file: frozenset[str] = frozenset()


def validate(given: Mapping[str, str]) -> Arguments:
    """Return the arguments of a crawl, or raise `ArgumentRefused` naming what is wrong."""
    unknown = sorted(set(given) - set(ARGUMENTS) - _OTHERS)
    if unknown:
        meant = nearest(unknown[0], ARGUMENTS)
        known = f"{' Known' if meant else '; known'} are {', '.join(ARGUMENTS)}"
        raise ArgumentRefused(f"unknown argument {unknown[0]!r}{meant}{known}")
    if "username" not in given:
        raise ArgumentRefused("username is missing; say -a username=NAME")
    webp, jxl = (_switch(name, given.get(name, "0")) for name in ("webp", "jxl"))
    if webp and jxl:
        raise ArgumentRefused("webp=1 and jxl=1 do not go together; choose one")
    arguments = Arguments(
        collection=Collection(
            username=_username(given["username"]),
            quality=read_quality(given.get("quality", "original")),
            webp=webp,
            jxl=jxl,
            selection=_selection(given),
        ),
        tar=_given("tar", given, _switch),
        check_ia=_switch("check_ia", given.get("check_ia", "1")),
        accept_failed=_switch("accept_failed", given.get("accept_failed", "0")),
        stop_after=_given("stop_after", given, _stop_after),
        upload=_switch("upload", given.get("upload", "0")),
        remove=_switch("remove", given.get("remove", "0")),
        update=_switch("update", given.get("update", "0")),
        page=_given("page", given, _switch),
        cut=_switch("cut", given.get("cut", "0")) and "stop_after" not in given,
        slice_number=_given("slice", given, _slice),
    )
    _refuse_upload(arguments)
    _refuse_slice(arguments)
    return arguments


def _refuse_upload(arguments: Arguments) -> None:
    """Raise `ArgumentRefused` where what is asked for has no place on archive.org."""
    if arguments.remove and not arguments.upload:
        raise ArgumentRefused("remove=1 is for what archive.org has; say upload=1 too")
    if arguments.upload and arguments.collection.selection:
        raise ArgumentRefused(
            "upload=1 does not go with a selection (bbox, start, end, sequence): "
            "archive.org gets whole collections only"
        )
    if arguments.upload and arguments.tar is False:
        raise ArgumentRefused(
            "upload=1 does not go with tar=0: archive.org is no place for so many files"
        )


def _refuse_slice(arguments: Arguments) -> None:
    """Raise `ArgumentRefused` for what is not done in slices."""
    if arguments.slice_number is None:
        return
    for name in ("cut", "update"):
        if getattr(arguments, name):
            raise ArgumentRefused(f"slice={arguments.slice_number} does not go with {name}=1")


def _username(given: str) -> str:
    value = username_of(given)
    if not value.strip():
        raise ArgumentRefused("username is empty; say -a username=NAME")
    if value in {".", ".."} or "/" in value:
        raise ArgumentRefused(
            f"username {value!r} cannot be: names have no '/' and are not '.'; of a profile, "
            "https://www.mapillary.com/app/user/NAME, say NAME"
        )
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise ArgumentRefused(f"username {value!r} has characters that no name has (control)")
    return value


def refuse_processes(given: Mapping[str, str]) -> None:
    """Refuse, for commands that see to it themselves, what divides a crawl among processes."""
    for name in sorted(OF_PROCESSES & given.keys()):
        raise ArgumentRefused(f"-a {name}= is for crawl alone")


def read_quality(value: str) -> str:
    """Return a quality, or raise `ArgumentRefused`."""
    if value not in QUALITIES:
        raise ArgumentRefused(f"quality {value!r} is unknown; allowed are {', '.join(QUALITIES)}")
    return value


def _switch(name: str, value: str) -> bool:
    if value not in _SWITCH:
        raise ArgumentRefused(f"{name} {value!r} is not understood; allowed are 0 and 1")
    return value == "1"


def _selection(given: Mapping[str, str]) -> Selection:
    start, end = (_given(name, given, _day) for name in ("start", "end"))
    if start and end and start > end:
        raise ArgumentRefused(f"start {start} lies after end {end}")
    sequences = _given("sequence", given, _sequences) or ()
    return Selection(_given("bbox", given, _bbox), start, end, sequences)


def _given(
    name: str, given: Mapping[str, str], read: Callable[[str, str], _Value]
) -> _Value | None:
    return read(name, given[name]) if name in given else None


def _day(name: str, value: str) -> date:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ArgumentRefused(f"{name} {value!r} is no day; write it as YYYY-MM-DD")


def _stop_after(name: str, value: str) -> StopAfter:
    said = value.strip()
    try:
        limit = StopAfter(said, size=read_size(value, plain=False))
    except ValueError:
        try:
            limit = StopAfter(said, seconds=read_span(value, plain=False))
        except ValueError:
            raise ArgumentRefused(
                f"{name} {value!r} is not understood; write a time, as 90m, 2h or 1d, or bytes of "
                "images, as 500MB or 20 GiB"
            ) from None
    if not 0 < (limit.size or limit.seconds or 0) <= _MOST:
        raise ArgumentRefused(f"{name} {value!r} is out of range; allowed is more than nothing")
    return limit


def _slice(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value[:20]) <= _MOST):
        raise ArgumentRefused(f"{name} {value!r} is no number of a slice; they count from 1 on")
    return int(value)


def _sequences(name: str, value: str) -> tuple[str, ...]:
    sequences = [part.strip(" ") for part in value.split(",")]
    for sequence in sequences:
        if not is_sequence_id(sequence):
            raise ArgumentRefused(
                f"{name} {sequence[: ID_LENGTH + 1]!r} is no id of a sequence: it has 1 to "
                f"{ID_LENGTH} of A-Z a-z 0-9 - _, and several are joined by commas"
            )
    return tuple(sorted(set(sequences)))


def _bbox(name: str, value: str) -> tuple[float, float, float, float]:
    try:
        numbers = tuple(float(part) + 0.0 for part in value.split(","))  # -0.0 is 0.0
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise ArgumentRefused(f"{name} {value!r} is not west,south,east,north in degrees")
    west, south, east, north = numbers
    if not (abs(west) <= 180 and abs(east) <= 180 and abs(south) <= 90 and abs(north) <= 90):
        other = swapped(numbers)
        hint = f"; with latitude first it would be {written(other)}" if other else ""
        raise ArgumentRefused(
            f"{name} {value!r} leaves the Earth: bounds are ±180 and ±90 degrees{hint}"
        )
    if west >= east:
        raise ArgumentRefused(
            f"{name} {value!r}: west is not west of east; a box across the 180° meridian "
            "must be crawled as two boxes, one on each side"
        )
    if south >= north:
        raise ArgumentRefused(f"{name} {value!r}: south is not south of north")
    return west, south, east, north
