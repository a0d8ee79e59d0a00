"""`.meta`: the Internet Archive metadata of a collection, one file a value, as `rip` reads it."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from mapillary_crawler.archive.finish.tags import Contents, Metadata, tags
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import Digests, WholeFile, sync_folder
from mapillary_crawler.collection.layout import META, META_BEFORE, META_WRITING, files
from mapillary_crawler.collection.limits import META_BYTES, META_VALUES
from mapillary_crawler.collection.refusals import copy_status
from mapillary_crawler.ledger.ledger import Ledger

_VALUE = re.compile("(?P<tag>[A-Za-z0-9._-]+)/(?P<n>[0-9]{1,9})")


def read_metadata(folder: Path) -> Metadata:
    """Return the metadata in a collection's `.meta`, as `rip` reads it.

    One file a value, `.meta/{tag}/{n}`, in the order of n; newlines at the end do not count.
    Raises `NotFollowed` where there is a link, and `OSError` for what is too large.
    """
    try:
        with descent.opened_folder(folder, META):
            paths = list(islice(files(folder, f"{META}/"), META_VALUES + 1))
    except FileNotFoundError:
        return {}
    if len(paths) > META_VALUES:
        raise OSError(errno.EFBIG, f"has more than {META_VALUES:,} files", str(folder / META))
    numbered: dict[str, dict[int, str]] = {}
    for path in paths:
        descent.is_file(folder, path)
        if found := _VALUE.fullmatch(path.removeprefix(f"{META}/")):
            value = descent.read(folder, path, META_BYTES).decode(errors="replace")
            numbered.setdefault(found["tag"], {})[int(found["n"])] = value.rstrip("\n")
    return {tag: [values[n] for n in sorted(values)] for tag, values in numbered.items()}


def write_meta(work: Work, contents: Contents) -> None:
    """Write what is to be said of a collection, as `write_tags` does."""
    write_tags(work, tags(contents))


def write_tags(work: Work, metadata: Metadata) -> None:
    """Write `.meta` under another name and put it in the place of the one there is.

    Tags that others put there stay. A crash leaves the old folder, the new one, or names
    that the next finish puts right.
    """
    meta, writing, before = (work.folder / name for name in (META, META_WRITING, META_BEFORE))
    _put_right(meta, writing, before)
    written = {
        f"{tag}/{number}": _write(writing / tag / str(number), value, work.scratch)
        for tag, values in metadata.items()
        for number, value in enumerate(values)
    }
    own = {
        piece.name.removeprefix(f"{META}/")
        for piece in work.ledger.wait_for(lambda ledger: list(ledger.pieces.all()))
        if piece.name.startswith(f"{META}/")
    }
    if meta.exists():
        for path in files(meta):
            descent.is_file(meta, path)
            if path not in own and path not in written:
                work.say(f"{META}/{path} is kept as it is: it is not written by this program")
                _copy(meta / path, writing / path)
        meta.rename(before)
    for folder in (*{path.parent for path in writing.rglob("*")}, writing):
        sync_folder(folder)
    writing.rename(meta)
    sync_folder(work.folder)
    descent.clear(work.folder, before.name)
    work.ledger.wait_for(lambda ledger: _record(ledger, own, written))


def _record(ledger: Ledger, before: AbstractSet[str], written: Mapping[str, Digests]) -> None:
    with ledger.database.transaction():
        for name in before - set(written):
            ledger.pieces.forget(f"{META}/{name}")
        for name, digests in written.items():
            ledger.pieces.record_file(f"{META}/{name}", **asdict(digests))


def _put_right(meta: Path, writing: Path, before: Path) -> None:
    """Undo what a crash left half done; raises `NotFollowed` where one of them is a link."""
    for folder in (meta, writing, before):
        with suppress(FileNotFoundError), descent.opened_folder(folder.parent, folder.name):
            pass
    if before.exists() and not meta.exists():
        before.rename(meta)
    for folder in (writing, before):
        descent.clear(folder.parent, folder.name)


def _write(path: Path, value: str, scratch: Path) -> Digests:
    """Write a value as it is, without a newline behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with WholeFile(path, scratch) as file:
        file.write(value.encode())
    return file.digests


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target, follow_symlinks=False)
    copy_status(source, target)
