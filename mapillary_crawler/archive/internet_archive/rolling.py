"""Sealed tars to archive.org while more of them come: sent, seen there, removed here.

Nothing here waits for archive.org's tasks: an item is looked at now and then, and meanwhile the
next tar is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mapillary_crawler.archive.internet_archive import upload
from mapillary_crawler.archive.internet_archive.growing_collection import (
    GrowingCollection,
    accepted,
)
from mapillary_crawler.archive.internet_archive.options import Options
from mapillary_crawler.archive.internet_archive.removal import answer_obstacle
from mapillary_crawler.archive.internet_archive.removed import task_counts
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import StillUnavailable, Trouble
from mapillary_crawler.archive.internet_archive.upload import Upload
from mapillary_crawler.archive.internet_archive.verified import READINGS, SENDINGS
from mapillary_crawler.archive.internet_archive.watching import Seen, seen
from mapillary_crawler.collection.durable import exists
from mapillary_crawler.ledger.records import Piece, PieceState
from mapillary_crawler.terminal.work_display import WorkDisplay


class Archive(upload.Archive, Protocol):
    """What sending and looking need."""

    def tasks(self, identifier: str) -> dict[str, int]:
        """Return how many tasks of an item stand how."""


@dataclass(slots=True)
class _Watched:
    """An item that was sent something; times are those of the retry's clock."""

    look_at: float
    #: Since when nothing more of it was seen to be there.
    since: float
    looks: int = 0
    #: Looks without a task, at which something was missing.
    readings: int = 0


class Rolling:
    """The sealed tars of a growing collection on their way; used by one thread at a time.

    With `remove`, tars are removed here once a fresh answer shows them, as long as nothing that
    was shown has `changed`.
    """

    def __init__(
        self,
        growing: GrowingCollection,
        archive: Archive,
        retry: Retry,
        shown: WorkDisplay,
        options: Options,
        *,
        remove: bool,
    ) -> None:
        self._growing = growing
        self._archive = archive
        self.retry = retry
        self._shown = shown
        self._options = options
        self._remove = remove
        self._watched: dict[str, _Watched] = {}
        self._sendings: Counter[str] = Counter()
        #: Names of tars that an answer of this run has shown, and of those removed before.
        self.verified: set[str] = set()
        #: What somebody else did to an item; nothing is removed any more.
        self.changed: str | None = None
        #: Why tars that are there stay here, though nothing has changed.
        self.obstacle: str | None = None

    def begin(self) -> None:
        """Take up what an earlier run has left."""
        self._growing.begin_uploaders()
        pieces = self._growing.pieces()
        self.verified = {piece.name for piece in pieces if piece.state is PieceState.REMOVED}
        for piece in accepted(pieces):
            if piece.item and self._is_open(piece):
                self._watch(piece.item)

    def send_one(self) -> bool:
        """Send the next tar, if there is one; raises what `Upload` does."""
        waiting = (volume for volume in self._growing.volumes(self._options) if volume.waiting)
        volume = next(waiting, None)
        if volume is None:
            return False
        piece = volume.waiting[0]
        self._growing.check_size(piece)
        self._upload.run([replace(volume, pieces=[*accepted(volume.pieces), piece])])
        self._watch(volume.identifier)
        return True

    @property
    def _upload(self) -> Upload:
        return Upload(self._growing, self._archive, self.retry, self._shown)

    def look(self) -> bool:
        """Look at the items whose time has come; raises `Trouble`.

        Returns whether a tar is to be sent again.
        """
        sendings, now = self._sendings.total(), self.retry.clock()
        for item in [item for item, watched in self._watched.items() if watched.look_at <= now]:
            watched = self._watched[item]
            # Before anything can fail: what fails is not asked for again at once.
            watched.look_at = now + self.retry.delay(watched.looks)
            watched.looks += 1
            try:
                self._look(item, watched)
            except StillUnavailable:
                watched.look_at = now  # nothing was seen; who waits for archive.org asks again
                raise
        return self._sendings.total() > sendings

    @property
    def seconds_to_look(self) -> float | None:
        """How long nothing is to be looked at, None where nothing is watched."""
        times = [watched.look_at for watched in self._watched.values()]
        return max(0.0, min(times) - self.retry.clock()) if times else None

    @property
    def overdue(self) -> str | None:
        """Which item archive.org is not done with for longer than patience lasts."""
        since = self.retry.clock() - self._options.patience
        return next((item for item, each in self._watched.items() if each.since <= since), None)

    def _watch(self, item: str) -> None:
        now = self.retry.clock()
        watched = self._watched.setdefault(item, _Watched(now, now))
        watched.look_at, watched.looks, watched.readings = now, 0, 0

    def _is_open(self, piece: Piece) -> bool:
        """Say whether a tar was not seen on archive.org, or is here and need not be."""
        if piece.name not in self.verified:
            return True
        return self._remove and not self.changed and exists(self._growing.folder / piece.name)

    def _look(self, item: str, watched: _Watched) -> None:
        tasks = task_counts(self._archive, item)
        answer = self.retry(item, lambda: self._archive.metadata(item))
        if answer_obstacle(answer, item) is None:
            self._growing.note_uploader(item, _uploader(answer))
        pieces = accepted(piece for piece in self._growing.pieces() if piece.item == item)
        result = seen(
            answer,
            tasks,
            pieces,
            item=item,
            uploader=self._growing.uploader(item),
            verified=self.verified,
        )
        if result.changed:
            self._has_changed(result.changed)
            del self._watched[item]
            return
        self._take(item, watched, result)
        if not result.waits_for and not any(map(self._is_open, pieces)):
            self._growing.note_verified(item)
            del self._watched[item]

    def _has_changed(self, what: str) -> None:
        if self.changed is None:
            self.changed = what
            stays = "; nothing more is removed here" if self._remove else ""
            self._shown.say(f"archive.org: {what}{stays}")

    def _take(self, item: str, watched: _Watched, result: Seen) -> None:
        """Note and remove what an answer shows, and send again what it lacks for too long."""
        if any(piece.name not in self.verified for piece in result.verified):
            watched.since, watched.looks = self.retry.clock(), 1
            watched.look_at = watched.since + self.retry.delay(0)
        self.verified |= {piece.name for piece in result.verified}
        if self._remove and not self.changed:
            self.obstacle = result.obstacle
            for piece in result.removable:
                if exists(self._growing.folder / piece.name):
                    self._growing.remove(piece)
                    self._shown.say(f"{piece.name} is verified in {item} and removed here")
        if result.missing:
            watched.readings += 1
            if watched.readings >= READINGS:
                self._send_again(item, result.missing)

    def _send_again(self, item: str, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if self._sendings[piece.name] >= SENDINGS:
                raise Trouble(f"{item}: {piece.name} was sent several times and is not there")
            self._sendings[piece.name] += 1
            self._shown.say(f"{item}: {piece.name} is not there as sent; sending again")
            self._growing.note_lost(piece)
        del self._watched[item]


def _uploader(answer: dict[str, Any]) -> Any:
    return answer["metadata"].get("uploader")
