"""The store and the staging folder: whether a crawl can work there, found out by trying."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mapillary_crawler.collection import probes
from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.outcome import Outcome, is_disk_full
from mapillary_crawler.crawl.doctor.finding import Finding, fault, note, ok, warning
from mapillary_crawler.terminal.quantities import size

#: Bytes of the largest file that FAT32 has, and a bound for tars below it (docs: README, Settings).
_FAT32, _BELOW_FAT32 = 2**32 - 1, 4_000_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that a setting names; `judged` is itself, or what is there of the way to it."""

    what: str
    setting: str
    folder: Path
    judged: Path

    @classmethod
    def of(cls, what: str, setting: str, folder: Path) -> Place:
        """Return the place; nothing is made."""
        there = (each for each in (folder, *folder.parents) if os.path.lexists(each))
        return cls(what, setting, folder, next(there, folder))

    @property
    def title(self) -> str:
        """The folder, and where it comes from."""
        if self.judged == self.folder:
            return f"{self.folder} ({self.setting})"
        return f"{self.folder} ({self.setting}), which will be made"


def folders(configuration: Configuration) -> list[Finding]:
    """Try the store and staging; what was tried is gone afterwards."""
    store = Place.of("store", "MAPILLARY_STORE", configuration.store)
    staging = Place.of("staging", "MAPILLARY_STAGING", configuration.staging)
    of_store = _tried(store, configuration)
    of_staging = _tried(staging, configuration)
    told = {replace(finding, what=staging.what) for finding in of_store}
    return [*of_store, *(finding for finding in of_staging if finding not in told)]


def _tried(place: Place, configuration: Configuration) -> list[Finding]:
    """Return what was found about a place, the place itself first."""
    if not place.judged.is_dir():
        return [_in_the_way(place)]
    try:
        probes.try_room(place.judged)
        beside = [*_lacks(place, configuration)]
        room = _room(place, configuration.min_free_bytes)
    except OSError as error:
        return [_unusable(place, error)]
    return [room, *beside]


def _in_the_way(place: Place) -> Finding:
    return fault(
        place.what, Outcome.REFUSED, f"{place.title}: {place.judged} is no folder",
        f"move it away, or set {place.setting}",
    )  # fmt: skip


def _unusable(place: Place, error: OSError) -> Finding:
    if is_disk_full(error):
        found = f"{place.title}: the disk is full"
        return fault(place.what, Outcome.DISK_FULL, found, f"make space, or set {place.setting}")
    found, remedy = f"{place.title}: {error.strerror}", f"check the disk, or set {place.setting}"
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"let this user write to {place.judged}, or set {place.setting}"
    if error.errno == errno.EROFS:
        found = f"{place.title}: the disk can be read only"
        remedy = f"mount it for writing, or set {place.setting}"
    return fault(place.what, Outcome.REFUSED, found, remedy)


def _room(place: Place, min_free_bytes: int) -> Finding:
    """Say how much is free; a crawl writes to staging, and to the store only at its end."""
    disk = shutil.disk_usage(place.judged)
    if not disk.total:  # some network file systems know neither
        return ok(place.what, f"{place.title}: writable, free space unknown")
    free = f"{size(disk.free)} free"
    if disk.free >= min_free_bytes:
        return ok(place.what, f"{place.title}: writable, {free}")
    found = f"{place.title}: {free}, less than MIN_FREE_BYTES ({size(min_free_bytes)})"
    remedy = f"make space, set {place.setting} to a folder of another disk, or MIN_FREE_BYTES lower"
    if place.what == "staging":
        return fault(place.what, Outcome.DISK_FULL, found, remedy)
    return warning(place.what, found, remedy)


def _lacks(place: Place, configuration: Configuration) -> Iterator[Finding]:
    """Yield what the disk of a place cannot do; the texts do not name the place."""
    what, elsewhere = place.what, f"set {place.setting} to a folder of another disk"
    if not probes.locks(place.judged):
        yield fault(what, Outcome.REFUSED, "its disk locks no files", elsewhere)
    if what == "staging" and not probes.shares_memory(place.judged):
        yield fault(
            what, Outcome.REFUSED, "its disk shares no memory between processes, as many network "
            "disks and FUSE do not", "set MAPILLARY_STAGING to a folder of a local disk",
        )  # fmt: skip
    if not probes.takes_size(place.judged, configuration.tar_max_bytes):
        yield _small_files(place, configuration.tar_max_bytes)
    if not probes.takes_long_names(place.judged):
        yield warning(what, "its disk does not take names as long as some images have", elsewhere)
    for attempt, found, remedy in _MINOR:
        if not attempt(place.judged):
            yield note(what, found, remedy)


def _small_files(place: Place, tar_max_bytes: int) -> Finding:
    found = f"no file there can have {size(tar_max_bytes)} (TAR_MAX_BYTES)"
    if probes.takes_size(place.judged, _BELOW_FAT32):
        remedy = f"set TAR_MAX_BYTES={_BELOW_FAT32}, before the first crawl"
        if not probes.takes_size(place.judged, _FAT32 + 1):
            found += ": its disk is a FAT32, or like one"
    else:
        remedy = "see ulimit -f, or set TAR_MAX_BYTES lower"
    return warning(place.what, found, remedy)


#: What is done without where a disk does not have it.
_MINOR: tuple[tuple[Callable[[Path], bool], str, str], ...] = (
    (
        probes.keeps_case,
        "capitals and small letters are the same in names there",
        "of two users whose names differ by them alone, archive one elsewhere",
    ),
    (
        probes.flushes_folders,
        "its disk does not flush folders: a power failure can cost the newest names",
        "after one, run the same command again, which fetches what is missing",
    ),
    (probes.sets_times, "its disk does not let us set the times of files", ""),
    (probes.sets_modes, "its disk does not let us set the modes of files", ""),
)
