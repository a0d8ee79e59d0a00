"""The collections that the viewer shows, each with its index, and what is the matter with them."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.browse.indexing import (
    identity,
    index_path,
    make_index,
    open_index,
)
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.update.half_done import half_done
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import unescape, user_and_quality
from mapillary_crawler.collection.outcome import Outcome, ProjectError, Refused, is_disk_full
from mapillary_crawler.ledger.viewer_questions import ViewerIndex
from mapillary_crawler.terminal.quoting import printable

#: What is told of a collection at most; more is counted.
_PROBLEMS = 20


class Shelved:
    """A collection of which the index is opened when it is asked for; for any thread."""

    def __init__(
        self,
        name: str,
        folder: Path,
        cache: Path,
        say: Callable[[str], None],
        stop: Callable[[], bool],
    ) -> None:
        self._stop = stop
        self.name = name
        self.folder = folder
        self._cache = cache
        self._say = say
        self._lock = threading.Lock()
        self._index: ViewerIndex | None = None

    def index(self, *, fresh: bool = False) -> ViewerIndex:
        """Return the index, made where there is none; `fresh`: as the collection is now.

        Raises `Refused`, `OSError`.
        """
        with self._lock:
            index = self._index
            if index and (not fresh or index.facts.get("identity") == identity(self.folder)):
                return index
            try:
                opened = open_index(self.folder, self._cache) or make_index(
                    self.folder, self._cache, self._say, self._stop
                )
            except (sqlite3.Error, TypeError, ValueError) as error:
                if isinstance(error, sqlite3.Error) and is_disk_full(error):  # that of the cache
                    raise
                message = f"{self.folder.name}: the ledger cannot be read: {error}"
                raise Refused(Outcome.ERROR, message) from None
            if index:
                index.close()
            self._index = opened
            return opened

    def discard(self) -> None:
        """Forget an index that turned out to be damaged: the next question makes another."""
        self.close()
        index_path(self.folder, self._cache).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            if self._index:
                self._index.close()
                self._index = None

    def overview(self) -> dict[str, Any]:
        """Return what a list of collections says of one, without making an index.

        What only an index knows is None without one.
        """
        try:
            with self._lock:
                if self._index is None:
                    self._index = open_index(self.folder, self._cache)
                index = self._index
            if index:
                facts = index.facts
                told = {name: facts[name] for name in ("username", "quality", "first", "last")}
                counts = {"images": facts["saved"], "bytes": facts["bytes"]}
                return {"name": self.name, **told, **counts, "problems": self.problems(index)}
            return {"name": self.name, **self._overview_of_ledger()}
        except (ProjectError, sqlite3.Error, OSError) as error:
            return {**self._unknown(), "problems": [f"it cannot be read: {printable(str(error))}"]}

    def _overview_of_ledger(self) -> dict[str, Any]:
        found = self._unknown()
        if not descent.is_file(self.folder, str(LEDGER_PATH)):
            return {**found, "problems": self.problems(None)}
        ledger = read_ledger(self.folder)
        try:
            balance = ledger.images.balance()
            username = ledger.facts.get("username")
        finally:
            ledger.close()
        found["username"] = username if isinstance(username, str) else found["username"]
        counts = {"images": balance.saved, "bytes": balance.bytes_saved}
        return {**found, **counts, "problems": self.problems(None)}

    def _unknown(self) -> dict[str, Any]:
        parts = user_and_quality(self.folder.name)
        return {
            "name": self.name,
            "username": (unescape(parts[0]) or parts[0]) if parts else None,
            "quality": parts[1] if parts else None,
            **dict.fromkeys(("images", "bytes", "first", "last")),
        }

    def problems(self, index: ViewerIndex | None) -> list[str]:
        """Return what a person should know of the collection, a line each, by name."""
        found = []
        with suppress(ProjectError, sqlite3.Error, OSError):
            if line := half_done(self.folder):
                found.append(line)
        if index:
            if not index.facts["has_ledger"]:
                found.append("it has no ledger: shown is what its manifests say")
            elif not index.facts["finished"]:
                found.append("it is not finished: shown is what was saved by now")
            found += self.missing_tars(index)
        more = len(found) - _PROBLEMS
        told = [printable(line) for line in found[:_PROBLEMS]]
        return [*told, f"and {more:,} more"] if more > 0 else told

    def missing_tars(self, index: ViewerIndex) -> list[str]:
        """Return which tars are not here, unless they are known to be removed, or not whole."""
        found = []
        for tar in index.tars():
            count = f"{tar.images:,} image{'s' * (tar.images > 1)}"
            try:
                status = descent.status(self.folder, tar.name)
                if not stat.S_ISREG(status.st_mode):
                    raise descent.NotFollowed(self.folder / tar.name, descent.kind(status.st_mode))
            except FileNotFoundError:
                if not tar.removed:
                    found.append(f"{tar.name} is missing, and with it {count}")
                elif not index.facts["has_ledger"]:  # which would say whether that was meant
                    found.append(f"{tar.name} is not here, and with it {count}")
            except OSError as error:
                found.append(f"{tar.name} {error.strerror}, and with it {count}")
            else:
                if status.st_size < tar.end:
                    found.append(
                        f"{tar.name} is cut off at {status.st_size:,} bytes of {tar.end:,}"
                    )
        return found

    def removed_tars(self, index: ViewerIndex) -> list[str]:
        """Return, for each tar that was removed here, the item of archive.org that has it."""
        found = []
        for tar in index.tars():
            if tar.removed:
                try:
                    descent.status(self.folder, tar.name)
                except FileNotFoundError:
                    found.append(tar.item or self.folder.name)
                except OSError:
                    continue
        return found


class Shelf:
    """All collections of a run, by the names that they have in addresses."""

    def __init__(
        self, folders: Iterable[Path], cache: Path, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._stopped = threading.Event()
        self._shelved = {
            name: Shelved(name, folder, cache, say, self._stopped.is_set)
            for folder in folders
            for name in [os.fsencode(folder.name).decode("utf-8", "replace")]
        }

    def __iter__(self) -> Any:
        return iter(self._shelved.values())

    def find(self, name: str) -> Shelved | None:
        """Return the collection of a name."""
        return self._shelved.get(name)

    def discard(self, name: str) -> None:
        """Forget the index of a collection, if there is one of that name."""
        found = self.find(name)
        if found:
            found.discard()

    def stop(self) -> None:
        """End the making of indexes."""
        self._stopped.set()

    def close(self) -> None:
        """Close all."""
        for each in self:
            each.close()
