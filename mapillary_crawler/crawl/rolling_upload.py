"""The upload beside a crawl: a thread that sends sealed tars, and the end of it.

It asks the ledger's thread and a process that speaks to archive.org, never the reactor's.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, Self

from mapillary_crawler.archive.internet_archive.finished_collection import FinishedCollection
from mapillary_crawler.archive.internet_archive.growing_collection import (
    GrowingCollection,
    accepted,
    values_to_write,
)
from mapillary_crawler.archive.internet_archive.interim import interim_manifests
from mapillary_crawler.archive.internet_archive.options import Options, options_of
from mapillary_crawler.archive.internet_archive.remote_archive import RemoteArchive
from mapillary_crawler.archive.internet_archive.removed import NotRemoved
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.rolling import Rolling
from mapillary_crawler.archive.internet_archive.trouble import (
    Denied,
    StillUnavailable,
    denied_words,
)
from mapillary_crawler.archive.internet_archive.upload import Upload
from mapillary_crawler.archive.internet_archive.whole_upload import WholeUpload
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import UPLOADING
from mapillary_crawler.collection.outcome import (
    EndOfRun,
    Outcome,
    ProjectError,
    Refused,
    RunStopped,
)
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.ledger.records import Piece, PieceState
from mapillary_crawler.terminal.quantities import size
from mapillary_crawler.terminal.work_display import WorkDisplay

logger = logging.getLogger(__name__)

#: The fact that says what the manifests on archive.org are of, and when they were sent.
_INTERIM = "interim_manifests"
#: Seconds after which the manifests so far are sent again.
_A_DAY = 86_400.0
#: Seconds after which that is tried again where it failed.
_AN_HOUR = 3600.0
#: Seconds for which archive.org is waited for at the end of a run that has not finished, and where
#: it does not replace metadata.
_PATIENCE_AT_THE_END = 300.0
#: Seconds that telling may take where the user has stopped the run.
_HURRY = 2.0
#: What ends no upload but the try: the next run may go on.
_FAILURES = (ProjectError, NotRemoved)


@dataclass(frozen=True, slots=True)
class UploadState:
    """How far the upload is; bytes and numbers are those of tars.

    `here_bytes` lie in staging, sent or not, of which `waiting_bytes` are still to be accepted.
    `can_free` says that what is on its way will make room here. `words` say what goes on, empty
    for nothing; `trouble` says why nothing does.
    """

    waiting_bytes: int = 0
    here_bytes: int = 0
    uploaded: int = 0
    verified: int = 0
    removed: int = 0
    can_free: bool = False
    words: str = ""
    trouble: str | None = None


def check_upload(settings: Mapping[str, Any]) -> None:
    """Raise `ArgumentRefused` or `CredentialsMissing` where nothing can be sent; no request."""
    archive = RemoteArchive(options_of(settings))
    try:
        archive.check_keys()
    finally:
        archive.close()


class RollingUpload:
    """The upload of a run: `start`, `wake` for each sealed tar, `rest`, then one of the two ends.

    `state` may be read by any thread.
    """

    def __init__(self, opened: OpenCollection, options: Options) -> None:
        self._opened = opened
        self._options = options
        self._remove = opened.arguments.remove
        #: Until it is counted, what an earlier run has left may make room.
        self.state = UploadState(can_free=self._remove)
        self._state_lock = threading.Lock()
        self._shown = _Shown(self._say_words)
        self._archive = RemoteArchive(options, self._shown.advance)
        self._growing = GrowingCollection(opened.folder, opened.ledger, opened.collection)
        self._rolling = Rolling(
            self._growing,
            self._archive,
            self._retry(options.patience),
            self._shown,
            options,
            remove=self._remove,
        )
        self._woken = threading.Event()
        #: Nothing new is begun, and nothing is waited for.
        self._resting = threading.Event()
        self._stopped = False
        #: How many tars were removed before this run, once that is known.
        self._removed_before: int | None = None
        #: Archive.org does not answer; it is asked once in a while.
        self._is_away = False
        #: Nothing can be sent in this run any more.
        self._refused: str | None = None
        self._trouble: str | None = None
        #: Before this time, that of the retry's clock, nothing is told beside the crawl.
        self._tell_at = 0.0
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, opened: OpenCollection, settings: Mapping[str, Any]) -> Self:
        """Return the upload of a collection by a crawl's settings; raises `ArgumentRefused`."""
        return cls(opened, options_of(settings))

    def start(self) -> None:
        """Begin, with what an earlier run has left."""
        work = copy_context().run
        self._thread = threading.Thread(target=work, args=(self._work,), name="upload", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for sealed tars now, in the thread of the upload: there is one that may go."""
        with self._state_lock:
            self._woken.set()
            can_free = self._remove and self.state.trouble is None
            self.state = replace(self.state, can_free=can_free)

    def rest(self) -> None:
        """End the thread once the tar in transfer is sent, and no later than a stop."""
        self._resting.set()
        self._woken.set()
        if self._thread:
            self._thread.join()

    def stop(self) -> None:
        """Let nothing go on, from any thread."""
        self._stopped = True
        self._resting.set()
        self._archive.kill()
        self._woken.set()

    def close(self) -> None:
        """End what speaks to archive.org; nothing is asked any more."""
        self.stop()
        if self._thread:
            self._thread.join()
        self._archive.close()

    # Beside the crawl

    def _work(self) -> None:
        try:
            descent.clear(self._opened.folder, UPLOADING)
            self._rolling.begin()
            self._removed_before = self._removed()
            while not self._resting.is_set():
                self._count()
                sent = self._round()
                self._count()
                if not sent:
                    self._woken.wait(self._pause())
                    self._woken.clear()
        except RunStopped:
            return
        except Exception as error:  # noqa: BLE001  a crawl may wait for what this thread frees
            self._refuse(f"the upload ended: {type(error).__name__}: {error}")

    def _round(self) -> bool:
        """Send a tar and look at what is due; return whether another may wait to be sent."""
        sent = False
        try:
            sent = self._refused is None and self._rolling.send_one()
            sent = self._rolling.look() or sent
            self._is_back()
            if self._refused is None and self._seconds_to_tell() == 0:
                self._tell_beside()
        except RunStopped:
            raise
        except StillUnavailable as trouble:
            self._has_gone_away(trouble)
        except Denied as denied:
            self._refuse(denied_words(self._growing.title, denied))
        except _FAILURES as trouble:
            self._refuse(str(trouble))
        return sent

    def _pause(self) -> float | None:
        """Return how long nothing is to be done unless a tar is sealed."""
        if self._is_away:
            return self._rolling.retry.delay(60)
        times = (self._rolling.seconds_to_look, None if self._refused else self._seconds_to_tell())
        return min((seconds for seconds in times if seconds is not None), default=None)

    def _has_gone_away(self, trouble: StillUnavailable) -> None:
        if not self._is_away:
            self._is_away, self._trouble = True, self._refused or str(trouble)
            self._rolling.retry.patience = 0.0
            logger.warning("The upload waits: %s", trouble)

    def _is_back(self) -> None:
        if self._is_away:
            self._is_away, self._trouble = False, self._refused
            self._rolling.retry.patience = self._options.patience
            logger.info("archive.org answers again; the upload goes on")

    def _refuse(self, why: str) -> None:
        if self._refused is None:
            self._refused = self._trouble = why
            logger.error("The upload does not go on in this run: %s", why)
        with self._state_lock:
            self.state = replace(self.state, can_free=False, words="", trouble=self._trouble)

    def _count(self) -> None:
        """Bring the state up to date."""
        pieces, rolling = self._growing.pieces(), self._rolling
        there = accepted(pieces)
        waiting = [piece for piece in pieces if piece.state is PieceState.SEALED]
        unseen = [piece for piece in there if piece.name not in rolling.verified]
        is_open, overdue = bool(waiting or unseen), rolling.overdue
        late = f"archive.org is not done with {overdue} yet" if overdue else None
        obstacle = None if waiting else rolling.obstacle  # what is sent next may clear it
        trouble = self._trouble or rolling.changed or late or obstacle
        with self._state_lock:
            self.state = replace(
                self.state,
                waiting_bytes=_bytes(waiting),
                here_bytes=_bytes(p for p in pieces if p.state is not PieceState.REMOVED),
                uploaded=len(there),
                verified=len(there) - len(unseen),
                removed=sum(piece.state is PieceState.REMOVED for piece in pieces),
                can_free=self._remove and trouble is None and (is_open or self._woken.is_set()),
                words="waiting for archive.org's tasks" if unseen and not waiting else "",
                trouble=trouble,
            )

    def _say_words(self, words: str) -> None:
        with self._state_lock:
            self.state = replace(self.state, words=words)

    def _retry(self, patience: float) -> Retry:
        return Retry(self._options.retry_wait, patience, logger.info, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        """Wait; raises `RunStopped` where that is over."""
        if self._resting.wait(seconds):  # a tar that is sealed meanwhile is not to be forgotten
            raise RunStopped

    # The end of a run that has not finished the collection

    def end_early(self, *, hurry: bool) -> None:
        """Send what is sealed, unless in a `hurry`, and what tells of it; raises nothing."""
        with self._awake(hurry=hurry), _whatever_fails():
            if not hurry:
                self._drain()
            self._tell()

    def hand_on(self, lacks_room: Callable[[], bool]) -> bool:
        """Send what is sealed, and wait to see it there as long as others lack room.

        What tells of it is sent once an hour: others go on, and soon bring more. Raises nothing;
        returns whether this run has removed anything.
        """
        with self._awake(hurry=False), _whatever_fails():
            self._drain(lacks_room)
            told = self._growing.access.wait_for(lambda ledger: ledger.facts.get(_INTERIM))
            if told is None or not told["tars"] or told["at"] + _AN_HOUR <= time.time():
                self._tell()
        return self._removed_before is not None and self._removed() > self._removed_before

    def _removed(self) -> int:
        return sum(piece.state is PieceState.REMOVED for piece in self._growing.pieces())

    def _drain(self, waits: Callable[[], bool] = lambda: True) -> None:
        """Send and see all that is sealed, as far as archive.org lets that be done soon.

        That it is seen there is waited for as long as `waits` says so.
        """
        clock, patience = self._rolling.retry.clock, self._patience_at_the_end
        self._rolling.retry.patience = patience
        state, since = self.state, clock()
        while self._refused is None and not self._is_away:
            sent = self._round()
            self._count()
            if self.state != state:
                state, since = self.state, clock()
            pause = self._rolling.seconds_to_look
            if not sent and (pause is None or clock() - since >= patience or not waits()):
                return
            if not sent and pause:
                self._sleep(pause)

    @property
    def _patience_at_the_end(self) -> float:
        return min(self._options.patience, _PATIENCE_AT_THE_END)

    @contextmanager
    def _awake(self, *, hurry: bool) -> Iterator[None]:
        """Let the thread that ends the run ask archive.org, after `rest`."""
        timer = threading.Timer(_HURRY, self.stop)
        timer.daemon = True
        if hurry:
            self._archive.resume()
            self._stopped = False
            timer.start()
        if not self._stopped:
            self._resting.clear()
        try:
            yield
        finally:
            timer.cancel()

    def _seconds_to_tell(self) -> float | None:
        """Return when the manifests are to be sent again, None where all is told.

        A day after they were, or after the first tar was accepted.
        """
        told = self._growing.access.wait_for(lambda ledger: ledger.facts.get(_INTERIM))
        there = len(accepted(self._growing.pieces()))
        if there == (told["tars"] if told else 0):
            return None
        if told is None:
            self._note_told(0)
            return _A_DAY
        due = max(0.0, float(told["at"] + _A_DAY - time.time()))
        return max(due, self._tell_at - self._rolling.retry.clock())

    def _note_told(self, tars: int) -> None:
        told = {_INTERIM: {"at": time.time(), "tars": tars}}
        self._growing.access.wait_for(lambda ledger: ledger.facts.set(**told))

    def _tell_beside(self) -> None:
        """Tell, beside a crawl that a failure costs nothing."""
        try:
            self._tell()
        except RunStopped:
            raise
        except (*_FAILURES, OSError) as error:
            self._tell_at = self._rolling.retry.clock() + _AN_HOUR
            logger.warning("archive.org could not be told how far the collection is: %s", error)

    def _tell(self) -> None:
        """Send the manifests of what is there so far, and replace the items' metadata."""
        volumes = [
            volume for volume in self._growing.volumes(self._options) if accepted(volume.pieces)
        ]
        if not volumes or volumes[0].identifier != self._growing.identifier:
            return  # the first item, which gets the manifests, is not there
        retry = self._retry(self._patience_at_the_end)
        with interim_manifests(self._growing, lambda: self._stopped) as manifests:
            first = replace(volumes[0], pieces=manifests.pieces(), keeps_old=False)
            Upload(manifests, self._archive, retry, self._shown).run([first])
        for volume in volumes:
            self._describe(retry, volume.identifier, values_to_write(volume))
        self._note_told(sum(len(accepted(volume.pieces)) for volume in volumes))

    def _describe(self, retry: Retry, item: str, values: dict[str, str]) -> None:
        said = retry(item, lambda: self._archive.metadata(item)).get("metadata", {})
        if any(said.get(tag) != value for tag, value in values.items()):
            retry(item, lambda: self._archive.set_metadata(item, values))

    # The end of a run with a finished collection

    def finish(self) -> EndOfRun | None:
        """Send what a finished collection, now in the store, still has; None once it is verified.

        Otherwise it returns how the run ends.
        """
        opened = self._opened
        with self._awake(hurry=False):
            try:
                collection = FinishedCollection(opened.folder, opened.ledger)
                collection.refuse_unfinished()
            except Refused as refused:
                return EndOfRun(refused.outcome, str(refused))
            if self._refused:
                return self._not_uploaded(self._refused)
            try:
                return self._finish(collection)
            except RunStopped:
                return EndOfRun(Outcome.INTERRUPTED, "")
            except Denied as denied:
                why = denied_words(collection.title, denied)
            except (*_FAILURES, OSError, sqlite3.Error) as error:
                why = str(error)
        return self._not_uploaded(self._rolling.changed or why)

    def _finish(self, collection: FinishedCollection) -> EndOfRun | None:
        collection.begin_uploaders()
        patience = self._patience_at_the_end if self._is_away else self._options.patience
        retry = self._retry(patience)
        writing = self._retry(self._patience_at_the_end)
        whole = WholeUpload(
            collection, self._archive, retry, self._shown, self._options, writing=writing
        )
        # As long as they are on their way, an item says that more is to come.
        growing = GrowingCollection(collection.folder, collection.access, self._opened.collection)
        Upload(growing, self._archive, retry, self._shown).run(growing.volumes(self._options))
        whole.run(remove=self._remove and self._rolling.changed is None)
        if self._rolling.changed:
            return self._not_uploaded(f"{self._rolling.changed}; nothing was removed since")
        if whole.misdescribed:
            return self._not_uploaded(whole.misdescribed[0])
        tars = [piece for piece in collection.pieces() if piece.day]
        removed = [piece for piece in tars if piece.state is PieceState.REMOVED]
        self.state = UploadState(
            here_bytes=_bytes(tars) - _bytes(removed),
            uploaded=len(tars),
            verified=len(tars),
            removed=len(removed),
        )
        return None

    def _not_uploaded(self, why: str) -> EndOfRun:
        self.state = replace(self.state, words="", trouble=why)
        return EndOfRun(Outcome.NOT_UPLOADED, why)


@contextmanager
def _whatever_fails() -> Iterator[None]:
    """Let a run end as it has ended, though archive.org does not hear of it."""
    try:
        yield
    except RunStopped:
        logger.info("archive.org has not been told how far the collection is")
    except Exception as error:  # noqa: BLE001  the run has ended, with an outcome of its own
        logger.warning("archive.org could not be told how far the collection is: %s", error)


class _Shown(WorkDisplay):
    """Says in the log what was done, and in words what is being done."""

    def __init__(self, words: Callable[[str], None]) -> None:
        self._words = words
        self._name, self._size, self._done = "", 0, 0

    def say(self, line: str) -> None:
        logger.info("%s", line)

    def begin_file(self, name: str, size: int) -> None:
        self._name, self._size, self._done = name, size, 0
        self._words(f"uploading {name}")

    def advance(self, size: int) -> None:
        self._done += size
        if self._size:
            self._words(f"uploading {self._name} {min(100, 100 * self._done // self._size)} %")

    def end_file(self) -> None:
        logger.info("uploaded %s, %s", self._name, size(self._size))
        self._words("")


def _bytes(pieces: Iterable[Piece]) -> int:
    return sum(piece.size or 0 for piece in pieces)
