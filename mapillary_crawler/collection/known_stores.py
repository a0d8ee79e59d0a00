"""Which stores were used before, and on which disk each of them lay.

Where a disk is not plugged in, its stores are not there, or their mount point is empty. Who began
there would fill the wrong disk with what another one has already. So the user's state folder (on
Linux: XDG_STATE_HOME) keeps, for each path, the mount point that it lay on. It is a help, no
record: where it cannot be read or written, everything is as if nothing had been used before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.layout import ATTEMPTS
from mapillary_crawler.collection.outcome import Outcome, Refused

_FILE = "stores.json"
_VERSION = 1
#: Paths that are kept, those used last.
_MOST = 200


def require_disks(configuration: Configuration) -> None:
    """Refuse to begin where the disk of a store is not plugged in; raises `Refused`.

    It is not where the path is absent or empty now and what it lay on is no mount point any more.
    """
    if configuration.new_store:
        return
    known = _read()
    for folder in _folders(configuration):
        mount = known.get(str(folder))
        if mount is not None and _holds_nothing(folder) and not os.path.ismount(mount):
            raise Refused(
                Outcome.REFUSED,
                f"{folder} lay on the disk at {mount}, and no disk is mounted there now; plug it "
                "in and mount it, or, to begin anew without it, say -s NEW_STORE=1",
            )


def remember(configuration: Configuration) -> None:
    """Keep where the store and the staging folder, which are there now, lie."""
    known = before = _read()
    for folder in _folders(configuration):
        with suppress(OSError):
            mount = _mount_point(folder.resolve())
            known = {name: at for name, at in known.items() if name != str(folder)}
            known[str(folder)] = str(mount)
    if list(known.items()) != list(before.items()):
        _write(dict(list(known.items())[-_MOST:]))


def used_before(configuration: Configuration) -> Path | None:
    """Return the store, other than the configuration's, that was used last and is there now."""
    ours = set(_folders(configuration))
    for name in reversed(_read()):
        folder = Path(name)
        if folder not in ours and not _holds_nothing(folder):
            return folder
    return None


def _folders(configuration: Configuration) -> Iterator[Path]:
    yield configuration.store
    staging = configuration.staging
    is_passing = staging.parent.name == ATTEMPTS  # the folder of one crawl
    if not (is_passing or staging.is_relative_to(configuration.store)):
        yield staging


def _holds_nothing(folder: Path) -> bool:
    """Say whether a folder is absent or empty; one that cannot be looked into is not."""
    try:
        return next(folder.iterdir(), None) is None
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _mount_point(path: Path) -> Path:
    while not os.path.ismount(path):
        path = path.parent
    return path


def _path() -> Path | None:
    """Return the file that is kept; None where the system does not know the user's home."""
    folder = user_state_path("mapillary-crawler")
    return folder / _FILE if folder.is_absolute() else None


def _read() -> dict[str, str]:
    """Return the mount point of each path, the path used last being last."""
    with suppress(OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        if path := _path():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["version"] == _VERSION:
                return {str(name): str(mount) for name, mount in kept["stores"].items()}
    return {}


def _write(known: dict[str, str]) -> None:
    """Replace the file; of two processes that do, the last has its way."""
    with suppress(OSError):
        if path := _path():
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f"{path.name}.{os.getpid()}")
            try:
                new.write_text(json.dumps({"version": _VERSION, "stores": known}, indent=1))
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)
