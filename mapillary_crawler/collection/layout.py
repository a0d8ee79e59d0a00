"""Every name in a collection's folder, and of what lies beside it, once.

Plain data and small functions. docs/data-format.md says what each file holds; who adds a name
here says so there, and whether `SHA256SUMS` lists it (`is_summed`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

# What is published.

METADATA = "metadata.jsonl.gz"
CHECKSUMS = "checksums.jsonl.gz"
GONE = "gone.jsonl"
DAMAGED = "damaged.jsonl"
BARE = "bare.jsonl"
VANISHED = "vanished.jsonl"
SUMS = "SHA256SUMS"
THUMBNAIL = "__ia_thumb.jpg"
#: The file name of a run's log, for strftime, and the pattern of all of them.
LOG_NAME = "download.log.%Y%m%dT%H%M%SZ"
LOGS = "download.log.*"
#: The manifests, in the order in which they are written; the latter four only if any.
MANIFESTS = (METADATA, CHECKSUMS, GONE, DAMAGED, BARE, VANISHED)
#: What people and maps look at, written behind the manifests unless page=0.
TRACKS = "sequences.geojson"
PAGE = "index.html"
VIEWS = (TRACKS, PAGE)

#: Extensions that an image may have: the one list. The name of a sequence ends in none of those
#: that its collection may have.
EXTENSIONS = ("jpg", "webp", "png", "gif", "avif", "jxl")
#: Those of a collection that is not in JPEG XL.
WITHOUT_JXL = ("jpg", "webp", "png", "gif", "avif")
#: Those of formats that Mapillary serves at times instead of JPEG, and that we never write.
OTHER_EXTENSIONS = ("png", "gif", "avif")
#: What ends the name of a tar, and the names of images.
TAR = ".tar"
IMAGES = tuple(f".{extension}" for extension in EXTENSIONS)

# Metadata for archive.org: `.meta/{tag}/{n}`.

META = ".meta"
#: Where a new one is written, and the one before it, as long as it takes to change them.
META_WRITING = ".meta.writing"
META_BEFORE = ".meta.before"

# The crawl's own: below STATE, never published.

STATE = ".crawl"
LEDGER_PATH = Path(STATE, "ledger.sqlite")
#: What SQLite keeps beside a ledger that is open.
LEDGER_WAL = LEDGER_PATH.with_name(f"{LEDGER_PATH.name}-wal")
#: Ledgers to be: of an adoption, and of manifests.
ADOPTING_PATH = LEDGER_PATH.with_name("adopting.sqlite")
REBUILDING = ".rebuilding"
#: How far a run is, for monitors.
PROGRESS_PATH = Path(STATE, "progress.json")
#: Where images lie until they are whole, and where the finish writes; what lies there is rubbish.
INCOMING = f"{STATE}/incoming"
SCRATCH = f"{STATE}/finishing"
#: Where manifests of an unfinished collection are made for archive.org; rubbish once sent.
UPLOADING = f"{STATE}/uploading"
#: Tars that were damaged, of which a repair has taken what was whole.
KEPT_TARS = f"{STATE}/kept"
#: The mark of a collection whose copy on another file system is complete.
COPIED = f"{STATE}/copied"
#: What an update brings into the store, until it has its place, and the journal of how it gets it.
ARRIVING = f"{STATE}/arriving"
JOURNAL = f"{STATE}/updating"
#: When the collection was last updated, and what that brought.
UPDATED = f"{STATE}/updated.json"
#: The ledger of an update or of a slice, before it has its name.
BEGINNING = LEDGER_PATH.with_name("beginning.sqlite")
#: What is kept of the tool that a collection was adopted from, where its images go, what was found.
ADOPTED = f"{STATE}/adopted"
MOVES = f"{STATE}/moves.jsonl"
ADOPTION = f"{STATE}/adoption.jsonl"
#: What a run that came to nothing leaves, besides its logs.
WORTHLESS = (f"{LEDGER_PATH}*", str(PROGRESS_PATH))

# In the store and in the staging folder, beside the collections.

#: Between the name of a collection and the number of one of its slices.
_SLICE = "#"
#: Digits of a slice's number are fewer: a name may be a stranger's.
_DIGITS = 10

#: Where collections are worked on, in the store, unless a setting says otherwise.
STAGING = ".incomplete"
LOCKS = ".locks"
#: In the staging folder of a machine: collections and slices that it has taken from a folder that
#: several machines share, each in a staging folder of its own.
ATTEMPTS = ".attempts"
#: In the shared folder, below STAGING: what any of these machines may take.
PACKAGES = ".packages"


def tar_name(day: str, part: int) -> str:
    """Return the name of a day's tar: DAY.tar, DAY.1.tar, DAY.2.tar and so on."""
    return f"{day}.{part}{TAR}" if part else f"{day}{TAR}"


def incoming(destination: Path) -> Path:
    """Return where the copy of a collection is made that comes from another file system."""
    return destination.with_name(f".incoming-{destination.name}")


def moved(folder: Path) -> Path:
    """Return what a folder is called whose collection is in the store: rubbish."""
    return folder.with_name(f".moved-{folder.name}")


def adopting(target: Path) -> Path:
    """Return where a collection is made ready that is adopted, beside where it will be."""
    return target.with_name(f".adopting-{target.name}")


def fetching(target: Path) -> Path:
    """Return where a collection is made of its item on archive.org, beside where it will be."""
    return target.with_name(f".fetching-{target.name}")


def slice_folder(folder: Path, number: int) -> Path:
    """Return where a slice of the collection in `folder` is crawled, beside that one.

    No collection has such a name: what is not plain in a user's name is escaped.
    """
    return folder.with_name(slice_name(folder.name, number))


def slice_name(name: str, number: int) -> str:
    """Return the name of a slice of the collection of that name."""
    return f"{name}{_SLICE}{number}"


def of_slice(name: str) -> tuple[str, int | None]:
    """Return of which collection a name is, and the number of its slice, None where it is whole."""
    collection, _, number = name.partition(_SLICE)
    is_number = number.isascii() and number.isdigit() and len(number) < _DIGITS
    return collection, int(number) if is_number else None


def is_slice(name: str) -> bool:
    """Say whether a folder's name is that of a slice."""
    return _SLICE in name


def progress_writing(folder: Path) -> Path:
    """Return where a collection's progress is written, before it has its name.

    On its file system, and not within it: the finish copies whatever it finds there.
    """
    return folder.with_name(f".progress-{folder.name}")


def lock_path(place: Path, name: str) -> Path:
    """Return the lock file of a collection, in the store or the staging folder."""
    return place / LOCKS / name


def ledger_files(path: Path | str) -> list[str]:
    """Return the names of a ledger and of all that SQLite may keep beside it."""
    return [str(path), *beside_ledger(path)]


def beside_ledger(path: Path | str) -> list[str]:
    """Return the names of all that SQLite may keep beside a ledger.

    Where it finds one beside another file, it takes it for that one's.
    """
    return [f"{path}{suffix}" for suffix in ("-wal", "-shm", "-journal")]


def files(folder: Path, below: str = "") -> Iterator[str]:
    """Yield the paths of all files below `folder` in bytewise order.

    Links, special files and mount points are yielded as if they were files.
    """
    disk = (folder / below).stat().st_dev
    with os.scandir(folder / below) as entries:
        names = sorted(
            os.fsencode(entry.name) + b"/" * _is_folder(entry, disk) for entry in entries
        )
    for name in names:
        path = below + os.fsdecode(name)
        if name.endswith(b"/"):
            yield from files(folder, path)
        else:
            yield path


def _is_folder(entry: os.DirEntry[str], disk: int) -> bool:
    is_folder = entry.is_dir(follow_symlinks=False)
    return is_folder and entry.stat(follow_symlinks=False).st_dev == disk


#: What desktops and network storage leave in any folder.
_CLUTTER = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"})


def is_clutter(path: str) -> bool:
    """Say whether a file, or a folder that it lies in, is what desktops leave behind."""
    return any(part.lower() in _CLUTTER or part.startswith("._") for part in path.split("/"))


def is_state(path: str) -> bool:
    """Say whether a file is the crawl's own."""
    return path.split("/", maxsplit=1)[0] == STATE


def is_log(path: str) -> bool:
    """Say whether a file is the log of a run."""
    return fnmatch(path, LOGS)


def is_summed(path: str) -> bool:
    """Say whether SHA256SUMS lists a file of the collection."""
    return not (path.startswith(".") or path in (SUMS, THUMBNAIL) or is_log(path))


def is_own(path: str) -> bool:
    """Say whether a file is the crawl's own, metadata for archive.org, or a log."""
    return path.split("/", maxsplit=1)[0] in (STATE, META) or is_log(path)


def is_worthless(path: str) -> bool:
    """Say whether a file is one that a run leaves which came to nothing."""
    return is_log(path) or any(fnmatch(path, pattern) for pattern in WORTHLESS)
