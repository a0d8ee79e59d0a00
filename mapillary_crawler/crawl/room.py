"""Pure: what may be fetched while uploads make room, and when nothing makes any more.

Design, "Days": what is fetched must become tars, since only tars that archive.org has are
removed. The tar of a part needs as much room again as its images. So images are fetched in order
as long as a whole part beside them stays free; then only what completes a day, or the next part
of a large one, fewest missing images first, in the room that is left.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from mapillary_crawler.archive.finish.parts import closed, padded
from mapillary_crawler.terminal import quantities

#: Days that are named in a line.
_NAMED = 5
#: Bytes of a disk that stay free whatever presses: the ledger goes on growing.
_SPARE = 64_000_000
#: Bytes of a disk that tells nothing.
_ENDLESS = 1 << 60


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a staging folder.

    It is to stay below `bound`, and where nothing else makes room, below `most`: a part more,
    as far as the disk has it. `used` are loose images and tars that are here, `in_flight` what
    the images on their way are expected to have, `part` is TAR_MAX_BYTES. What is missing may turn
    out to be `slack` more than expected.
    """

    bound: int
    most: int
    used: int
    in_flight: int
    part: int
    slack: int

    @property
    def taken(self) -> int:
        """Bytes that are used, or will be."""
        return self.used + self.in_flight

    def fits(self, image: int, to_retry: int = 0) -> int:
        """Return how many further images of so many bytes may be fetched, whichever they are.

        Those to be tried again come first: without them their parts cannot be closed.
        """
        room = self.bound - self.part - self.slack - self.taken
        return max(0, room // max(1, image) - to_retry)


def space(
    *,
    used: int,
    in_flight: int,
    free: int | None,
    part: int,
    in_flight_bytes: int,
    staging_max_bytes: int,
    min_free_bytes: int,
) -> Space:
    """Return the room there is; `free` are the disk's bytes, None where nobody knows.

    A tar may use what MIN_FREE_BYTES keeps free, for as long as it is beside its images, but for
    what the ledger needs.
    """
    bound, most = staging_max_bytes or _ENDLESS, (staging_max_bytes or _ENDLESS) + part
    if free is not None:
        bound = min(bound, used + free - min_free_bytes)
        most = min(most, used + free - spare(min_free_bytes), bound + part)
    slack = min(part // 8, in_flight_bytes // 2)
    return Space(bound, most, used, in_flight, part, slack)


def spare(min_free_bytes: int) -> int:
    """Return what stays free of MIN_FREE_BYTES while a tar is beside its images."""
    return min(_SPARE, min_free_bytes // 4)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is missing until a tar can be closed: of a day, or of the next part of a large one.

    `missing` images of `missing_bytes` are to be fetched, then the tar has `tar_bytes`; `failed`
    of them are given up by this run; `held` bytes lie loose until the tar is closed. All that is
    missing has member keys from `first` to `last`, which is empty for the end of the day. `begun`
    says that it is being fetched in such a room already.
    """

    day: str
    missing: int
    missing_bytes: int
    tar_bytes: int
    failed: int = 0
    held: int = 0
    first: str = ""
    last: str = ""
    begun: bool = False

    @property
    def needs(self) -> int:
        """Bytes that are to be free."""
        return self.missing_bytes + self.tar_bytes


class Move(Enum):
    """What follows from the room that is left."""

    FEED = auto()  #: fetch what is named
    WAIT = auto()  #: room is being made
    NO_ROOM = auto()  #: nothing can be completed in what is left
    HELD_BACK = auto()  #: images that failed are all that holds back the rest


@dataclass(frozen=True, slots=True)
class Decision:
    """A move, with what it is about.

    `fed` is what is to be fetched, `held` are the days that failed images hold back, `lacking`
    the bytes by which the bound is too small.
    """

    move: Move
    fed: Sequence[Stretch] = ()
    held: Sequence[str] = ()
    lacking: int = 0


def decide(
    space: Space, stretches: Iterable[Stretch], *, can_free: bool, on_their_way: bool
) -> Decision:
    """Return what to do where no image may be fetched just so.

    `can_free` says that sealing and uploads make room, or may; `on_their_way` that images are, so
    that what is missing may soon be less, or fail. Where neither is, a part beyond the bound may
    be used: without it a folder that is full could never be emptied.
    """
    missing = sorted(
        (each for each in stretches if each.missing), key=lambda each: (each.missing, each.day)
    )
    hopeful = [each for each in missing if not each.failed]
    # Any tar may be made meanwhile: of what is here, too.
    if fed := _fitting(hopeful, space.bound - space.taken, tar=space.part):
        return Decision(Move.FEED, fed)
    if can_free or on_their_way or not missing:
        return Decision(Move.WAIT)
    room = space.most - space.taken
    if fed := _fitting(hopeful, room, slack=space.slack) or _fitting(hopeful, room):
        return Decision(Move.FEED, fed)
    failing = [each for each in missing if each.failed]
    held = tuple(sorted(each.day for each in failing))
    if not hopeful or _fitting(hopeful, room + sum(each.held for each in failing)):
        return Decision(Move.HELD_BACK, held=held)
    lacking = min(each.needs for each in hopeful) - room + space.slack
    return Decision(Move.NO_ROOM, held=held, lacking=lacking)


def _fitting(
    stretches: Iterable[Stretch], room: int, *, tar: int = 0, slack: int = 0
) -> list[Stretch]:
    """Return those that can be completed in the room: their tars are made one by one.

    `slack` is left free but for what is begun: an estimate that was a little too low leaves it
    not half done.
    """
    fed = []
    missing = 0
    for each in stretches:
        with_it = missing + each.missing_bytes, max(tar, each.tar_bytes)
        if sum(with_it) <= room - (0 if each.begun else slack):
            fed.append(each)
            missing, tar = with_it
    return fed


def too_small(
    room: int, *, part: int, in_flight: int, staging_max_bytes: int, part_is_fixed: bool
) -> str | None:
    """Say why a part cannot be made in the room there is at all, and what would fit.

    Its images and its tar are here together, beside images on their way. None where it can.
    """
    needed = 2 * part + in_flight
    if needed <= room:
        return None
    by_setting = 0 < staging_max_bytes <= room
    where = (
        f"STAGING_MAX_BYTES ({staging_max_bytes})"
        if by_setting
        else f"the {max(0, room)} bytes that MIN_FREE_BYTES leaves on the staging folder's disk"
    )
    ways = []
    if not part_is_fixed and room - in_flight > 1:
        ways.append(f"TAR_MAX_BYTES={_rounded((room - in_flight) // 2)}")
    elif not part_is_fixed and room > 3:
        ways.append(
            f"IN_FLIGHT_BYTES={_rounded(room // 2)} with TAR_MAX_BYTES={_rounded(room // 4)}"
        )
    ways.append(f"STAGING_MAX_BYTES={needed}" if by_setting else f"{needed - room} bytes more")
    return (
        f"remove=1 needs room for twice TAR_MAX_BYTES ({part}) and IN_FLIGHT_BYTES ({in_flight}), "
        f"{needed} bytes, more than {where}; {' or '.join(ways)} would do"
    )


def _rounded(size: int) -> int:
    """Return a size with three digits that count, no larger."""
    unit: int = 10 ** max(0, len(str(size)) - 3)
    return size // unit * unit


def no_room(decision: Decision, space: Space, staging_max_bytes: int, why: str = "") -> str:
    """Say that nothing can be completed in the room that is left, and how much would do.

    `why` says what keeps uploads from making room, if anything does.
    """
    by_setting = staging_max_bytes and space.most == staging_max_bytes + space.part
    smallest = (
        f"STAGING_MAX_BYTES={staging_max_bytes + decision.lacking} would do"
        if by_setting
        else f"{decision.lacking} bytes more on its disk would do"
    )
    because = f": {why}" if why else ""
    return (
        f"no room: {quantities.size(space.used)} are in the staging folder and nothing makes room"
        f"{because}; no day, and no part of one, can be completed in what is left. {smallest}"
    )


def held_back(days: Sequence[str]) -> str:
    """Say that images that failed keep the rest from being fetched."""
    named = ", ".join(days[:_NAMED])
    more = f" and {len(days) - _NAMED} more" if len(days) > _NAMED else ""
    return (
        f"images that failed hold back the tars of {named}{more}, and nothing else makes room; "
        "run the same command again, or with accept_failed=1 to go on without them"
    )


class Reach:
    """How far a part of a large day reaches, by its rows in the order of members.

    The cut is that of `finish.parts`: it is known once the row behind the part is. A row that is
    missing counts as `image` bytes; since those of others are never counted too high, a part that
    is complete here is one for `parts`, too.
    """

    def __init__(self, day: str, part: int, image: int) -> None:
        self._day, self._part, self._image = day, part, image
        self._end = self._missing = self._failed = 0
        self._first = self._last = ""

    def take(self, size: int | None, *, key: str = "", failed: bool = False) -> bool:
        """Take the next row, None where it is missing; say whether the part is full with it."""
        if size is None and not self._missing:
            self._first = key
        self._last = key
        self._missing += size is None
        self._failed += failed
        self._end += tarfile.BLOCKSIZE + padded(self._image if size is None else size)
        return closed(self._end) >= self._part

    def stretch(self, *, begun: bool = False) -> Stretch:
        """Return what was taken."""
        missing = self._missing * self._image
        tar = min(self._part, closed(self._end))
        held = self._end - missing
        return Stretch(
            self._day, self._missing, missing, tar, self._failed, held,
            self._first, self._last, begun,
        )  # fmt: skip
