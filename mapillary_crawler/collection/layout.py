"""Every name in a collection's folder, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

#: Where a collection's ledger lies, below the collection's folder.
STATE = ".crawl"
LEDGER_PATH = Path(STATE) / "ledger.sqlite"
META = ".meta"
METADATA = "metadata.jsonl.gz"
CHECKSUMS = "checksums.jsonl.gz"
GONE = "gone.jsonl"
DAMAGED = "damaged.jsonl"
SUMS = "SHA256SUMS"
THUMBNAIL = "__ia_thumb.jpg"
LOGS = "download.log.*"


#: Top-level folders with rules of their own.
_OWN_FOLDERS = frozenset({STATE, META})


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


def is_summed(path: str) -> bool:
    """Say whether SHA256SUMS lists a file of the collection."""
    return not (path.startswith(".") or path in (SUMS, THUMBNAIL) or fnmatch(path, LOGS))


def is_own(path: str) -> bool:
    """Say whether a file is the crawl's own, metadata for archive.org, or a log."""
    return path.split("/", maxsplit=1)[0] in _OWN_FOLDERS or fnmatch(path, LOGS)
