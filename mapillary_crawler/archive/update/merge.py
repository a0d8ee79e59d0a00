"""A finished update into its collection: all that is new is brought beside it, then renamed.

What a crash leaves:

- files in `.crawl/arriving`, no journal: the collection is as it was; brought again, or taken over;
- the journal: the update is done by whoever comes next, `journal.finish_update`.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mapillary_crawler.archive.finish.errors import ForeignTar
from mapillary_crawler.archive.finish.move import copy_verified
from mapillary_crawler.archive.finish.work import require_space
from mapillary_crawler.archive.update.journal import finish_update, rank, write_journal
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import WholeFile, exists, sync_folder
from mapillary_crawler.collection.layout import (
    ARRIVING,
    IMAGES,
    LEDGER_PATH,
    LOGS,
    SCRATCH,
    TAR,
    UPDATED,
    files,
    ledger_files,
)
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FORMAT, HERE, Changes, Piece
from mapillary_crawler.ledger.thread import LedgerHere


@dataclass
class Merge:
    """One update, whole in `staged`, whose ledger is closed, into the collection in `folder`.

    Raises, and nothing is lost: `ForeignTar`, `ReadBackFailed`, `RunStopped`, `OSError`. May be
    killed at any instant and run again.
    """

    staged: Path
    folder: Path
    changes: Changes
    stop: Callable[[], bool]
    say: Callable[[str], None]
    #: Whether images are in tars.
    tar: bool
    _moves: bool = field(init=False)

    def run(self) -> None:
        """Bring everything beside the collection, then give it its place."""
        self._moves = on_one_disk(self.staged, self.folder)
        with descent.opened_folder(self.folder, ARRIVING, make=True):
            pass
        pieces, removals, replaced = self._compared()
        self._refuse_strangers(pieces)
        self._require_space(pieces)
        self.say(f"bringing {len(pieces):,} new files into {self.folder}")
        for piece in pieces:
            self._bring(piece.name, piece.size)
        images = 0 if self.tar else self._bring_images()
        places = (self.staged, self.folder / ARRIVING)
        logs = sorted({path.name for place in places for path in place.glob(LOGS)})
        for log in logs:
            self._bring(log, None)
        self._write_updated()
        for below, _, _ in os.walk(self.folder / ARRIVING, topdown=False):
            sync_folder(Path(below))
        self._bring_ledger()
        names = sorted([*(piece.name for piece in pieces), *logs, UPDATED], key=rank)
        write_journal(
            self.folder,
            self._in_order(names, images=images > 0),
            sorted([*removals, *replaced], key=rank),
        )
        finish_update(self.folder, self.staged)

    def _compared(self) -> tuple[list[Piece], list[str], list[str]]:
        """Return the files that are new or changed, those that are no more, images replaced."""
        with (
            closing(Ledger(self.folder / LEDGER_PATH, read_only=True)) as there,
            closing(Ledger(self.staged / LEDGER_PATH, read_only=True)) as here,
        ):
            pieces, gone = changed_files(there, here)
            return pieces, gone, [] if self.tar else list(here.update.replaced())

    def _refuse_strangers(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.day and exists(self.folder / piece.name):
                raise ForeignTar(self.folder / piece.name)

    def _require_space(self, pieces: list[Piece]) -> None:
        """Look for room for the ledger's copy, and for all that is to be copied."""
        size = (self.staged / LEDGER_PATH).stat().st_size
        if not self._moves:
            size += sum(
                piece.size or 0 for piece in pieces if not exists(self._arrived(piece.name))
            )
        require_space(self.folder, size, f"the update of {self.folder.name}")

    def _arrived(self, path: str) -> Path:
        return self.folder / ARRIVING / path

    def _bring(self, path: str, size: int | None) -> None:
        """Bring a file beside the collection; a tar that was brought before is not read again."""
        if self.stop():
            raise RunStopped
        source = self.staged / path
        is_there = descent.is_file(self.folder, f"{ARRIVING}/{path}")
        if not descent.is_file(self.staged, path):
            if is_there and size in (None, self._arrived(path).stat().st_size):
                return
            words = f"is missing; to begin the update anew, remove {self.staged}"
            raise FileNotFoundError(errno.ENOENT, words, str(source))
        if is_there and path.endswith(TAR) and self._arrived(path).stat().st_size == size:
            return
        with descent.parent(self.folder, f"{ARRIVING}/{path}", make=True) as (place, name):
            if self._moves:
                os.rename(source, name, dst_dir_fd=place)
            else:
                self._copy(source, self._arrived(path))

    def _copy(self, source: Path, target: Path) -> None:
        """Copy a file to another file system; it has its name once it was read back."""
        with descent.opened_folder(self.folder, SCRATCH, make=True):
            pass
        copy = self.folder / SCRATCH / target.name
        copy_verified(source, copy, self.stop)
        copy.replace(target)

    def _bring_images(self) -> int:
        """Bring the images that lie in no tar; return how many there are."""
        with closing(Ledger(self.staged / LEDGER_PATH, read_only=True)) as ledger:
            for day in ledger.days.all():
                if not any(exists(place) for place in (self.staged / day, self._arrived(day))):
                    continue
                for image in streams.loose(LedgerHere(ledger), day):
                    if descent.is_file(self.staged, image.member):
                        self._bring(image.member, image.size)
        return sum(1 for _ in _images(self.folder / ARRIVING))

    def _write_updated(self) -> None:
        """Say when the collection was updated, and what that brought."""
        with descent.parent(self.folder, f"{ARRIVING}/{UPDATED}", make=True):
            pass
        write_updated(self._arrived(UPDATED), self.folder, self.changes)

    def _bring_ledger(self) -> None:
        """Bring a copy of the ledger, which is that of a finished collection.

        By SQLite, which also knows what it has in a WAL, where somebody reads it.
        """
        target = self._arrived(str(LEDGER_PATH))
        # Of a copy whose writer was killed; SQLite would take it for this one's.
        descent.unlink_all(self.folder, ledger_files(f"{ARRIVING}/{LEDGER_PATH}"))
        with closing(Ledger(self.staged / LEDGER_PATH, read_only=True)) as whole:
            whole.database.copy_to(target)
        ledger = Ledger(target, wal=False)
        try:
            finished = ledger.facts.get("updating")["finished"]
            ledger.facts.set(finished_at=finished, format=FORMAT)
            ledger.update.end()
        finally:
            ledger.close()
        sync_folder(target.parent)

    def _in_order(self, names: list[str], *, images: bool) -> Iterator[str]:
        """Yield all that is to take its place: images, parts, what tells of them, the ledger."""
        if images:
            yield from _images(self.folder / ARRIVING)
        yield from names
        yield str(LEDGER_PATH)


def changed_files(before: Ledger, after: Ledger) -> tuple[list[Piece], list[str]]:
    """Return the files that are new or changed, and the names of those that are no more."""
    known = {piece.name: piece.sha256 for piece in before.pieces.all()}
    pieces = list(after.pieces.all())
    changed = [
        piece
        for piece in pieces
        if piece.state in HERE and (piece.name not in known or known[piece.name] != piece.sha256)
    ]
    kept = {piece.name for piece in pieces}
    return changed, [name for name in known if name not in kept and not name.endswith(TAR)]


def places_of_images(folder: Path) -> tuple[Path, ...]:
    """Return where the images of the collection in `folder` lie that are not in staging."""
    return folder, folder / ARRIVING


def on_one_disk(*folders: Path) -> bool:
    """Say whether files can be renamed from one folder to another."""
    return len({folder.stat().st_dev for folder in folders}) == 1


def _images(folder: Path) -> Iterator[str]:
    """Yield the paths of images below the folders of days."""
    for path in files(folder):
        if "/" in path and not path.startswith(".") and path.endswith(IMAGES):
            yield path


def write_updated(path: Path, folder: Path, changes: Changes) -> None:
    """Write when a collection was updated, and what that brought, whole or not at all."""
    fields = {
        "at": time.time(),
        "new": changes.new,
        "available": changes.available,
        "vanished": changes.vanished,
    }
    with (
        descent.opened_folder(folder, SCRATCH, make=True),
        WholeFile(path, folder / SCRATCH) as file,
    ):
        file.write(json.dumps(fields).encode() + b"\n")
    descent.clear(folder, SCRATCH)
