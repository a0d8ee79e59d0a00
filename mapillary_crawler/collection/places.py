"""Where collections are, and which of them somebody works on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.collection.layout import is_slice, lock_path
from mapillary_crawler.collection.names import USERNAME_LENGTH, escape, user_and_quality
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.usernames import plain, username_of


@dataclass(frozen=True, slots=True)
class Places:
    """The folder of finished collections, and that of those worked on."""

    store: Path
    staging: Path

    def find(self, named: str, quality: str | None = None) -> Path:
        """Return the folder of the one collection that is meant; see `matching`.

        At a quality that is given, all of a user's images as JPEG are meant before anything else.
        Raises `ArgumentRefused` where several are.
        """
        folders = self.matching(named, quality)
        if quality and len(folders) > 1:
            folders = [each for each in folders if each.name.endswith(f"-{quality}")] or folders
        if len(folders) > 1:
            names = ", ".join(folder.name for folder in folders)
            raise ArgumentRefused(
                f"{named!r} has {len(folders)} collections: {names}; name one of them, or say "
                "-a quality= where that tells them apart"
            )
        return folders[0]

    def matching(self, named: str, quality: str | None = None) -> list[Path]:
        """Return the folders of the collections that are meant.

        `named` is a collection's path or name, or a user's name or profile, of whose collections
        `quality` may say which. Raises `ArgumentRefused` where there is none.
        """
        name = username_of(named)
        is_name = "/" not in name and name not in {"", ".", ".."}
        if is_name:
            for place in (self.store, self.staging):
                if (place / name).is_dir():
                    return [_absolute(place / name)]
            if folders := self._of_user(name, quality):
                return folders
            for place in (self.store, self.staging):  # as a terminal's tables have it
                if (place / f"mapillary-{name}").is_dir():
                    return [_absolute(place / f"mapillary-{name}")]
        if named and Path(named).is_dir():
            return [_absolute(Path(named))]
        raise ArgumentRefused(self._nothing(named, name if is_name else None, quality))

    def _of_user(self, username: str, quality: str | None) -> list[Path]:
        part = escape(username, USERNAME_LENGTH)
        found = {}
        for folder in self.all():
            parts = user_and_quality(folder.name)
            if parts and parts[0] == part and quality in (None, parts[1]):
                found[folder.name] = _absolute(folder)  # one in the store comes later, and stays
        return list(found.values())

    def _nothing(self, named: str, name: str | None, quality: str | None) -> str:
        """Say that nothing is meant by a name or a path."""
        if name is None:
            return f"there is no collection {named!r} on the disk"
        at = f" at quality {quality}" if quality else ""
        line = f"there is no collection {named!r}{at} in {self.store} or {self.staging}"
        other = plain(name)
        if other and self._of_user(other, quality):
            line += f"; there is one of {other!r}"
        return line

    def all(self) -> Iterator[Path]:
        """Yield the folders of all collections, those worked on first, by name."""
        for place in (self.staging, self.store):
            if place.is_dir():
                yield from sorted(
                    folder
                    for folder in place.iterdir()
                    if folder.name.startswith("mapillary-")
                    and not is_slice(folder.name)
                    and _may_be_folder(folder)
                )

    def require_outside(self, path: Path, folder: Path) -> None:
        """Refuse a place to write to that lies within a collection: `folder`, or one of these.

        Raises `ArgumentRefused`.
        """
        place = path.resolve()
        for each in (folder, *self.all()):
            if place.is_relative_to(each.resolve()):
                raise ArgumentRefused(
                    f"{path} lies within the collection {each.name}, which is only read; "
                    "name another place"
                )

    def is_locked(self, folder: Path) -> bool:
        """Say whether a process works on a collection; never in the way of one that begins."""
        places = {self.store.resolve(), self.staging.resolve()}
        return folder.resolve().parent in places and any(
            _is_locked(lock_path(place, folder.name)) for place in places
        )


def _absolute(folder: Path) -> Path:
    """Return a folder's full path; a link keeps its name, which is the collection's."""
    return folder.absolute() if folder.is_symlink() else folder.resolve()


def _may_be_folder(path: Path) -> bool:
    """Say whether something is a folder, or what cannot be said of: that is to be seen, too."""
    try:
        return path.is_dir()
    except OSError:
        return True


def _is_locked(path: Path) -> bool:
    """Say whether somebody holds a lock file; one that nobody holds is there for an instant."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # on a disk without locks nobody can hold one
        return False
    finally:
        os.close(handle)
    return False
