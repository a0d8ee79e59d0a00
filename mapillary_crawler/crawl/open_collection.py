"""The collection while it is worked on: its folders, its lock and its ledger."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Container, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mapillary_crawler import __version__
from mapillary_crawler.archive.finish.errors import FinishError
from mapillary_crawler.archive.finish.move import end_move
from mapillary_crawler.archive.internet_archive.uploaded_collection import is_uploaded
from mapillary_crawler.archive.lost_parts import lacks, lost_parts, mend_with
from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.archive.repair.identity import has_images, is_ours
from mapillary_crawler.archive.slices.merging import merge_slices
from mapillary_crawler.archive.update.beginning import begin_update
from mapillary_crawler.archive.update.half_done import refuse_half_done
from mapillary_crawler.archive.update.journal import finish_update
from mapillary_crawler.collection import descent, known_stores
from mapillary_crawler.collection.arguments import Arguments
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.batch import remove_incoming
from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.descent import NotFollowed
from mapillary_crawler.collection.layout import LEDGER_PATH, LOGS, METADATA, STATE, TAR
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import QUALITIES, Collection
from mapillary_crawler.collection.outcome import Outcome, Refused, is_disk_full
from mapillary_crawler.collection.probes import require_shared_memory
from mapillary_crawler.crawl import room
from mapillary_crawler.crawl.encoding import (
    JxlEncoding,
    WebpEncoding,
    ensure_same_encoding,
    fix_encoding,
)
from mapillary_crawler.crawl.slice_room import SliceRoom
from mapillary_crawler.crawl.slices import gather, refuse_open_slices
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Changes, SliceMismatch
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.ledger.thread import LedgerThread
from mapillary_crawler.ledger.trouble import is_locked, is_of_the_disk
from mapillary_crawler.terminal.program import program_name


class OpenCollection:
    """An open collection: made by `open`, ended by `close`.

    `folder` is where it is worked on, `destination` where it will be once finished; what is
    asked of `ledger` is done in its thread.
    """

    def __init__(
        self, arguments: Arguments, configuration: Configuration, *, plan: bool = False
    ) -> None:
        self.arguments = arguments
        #: It is only listed and sampled, which decides nothing for later runs.
        self.plan = plan
        self.configuration = configuration
        self.collection = arguments.collection
        #: What it is called, and what it is locked by; the title is for people.
        self.name = self.collection.name
        self.title = self.collection.title
        #: Which slice of a collection it is, where it is not the whole.
        self.slice_number: int | None = None
        #: Where that collection is.
        self.whole_folder: Path | None = None
        #: Of a slice, the room that all have together where an upload makes more of it.
        self.slice_room: SliceRoom | None = None
        #: It is a slice that ends where many of its URLs have expired: all are renewed at once.
        self.gives_back = False
        #: It is cut, and this run renews the URLs of its slices.
        self.renews = False
        #: It is cut, and this run uploads what slices have ended with, and leaves the others.
        self.gathers = False
        #: It was cut, but slices had no room, so that this run goes on with all of it.
        self.takes_back = False
        self.folder = configuration.staging / self.name
        self.destination = configuration.store / self.collection.name
        self.ledger: LedgerThread
        #: Which run of this collection it is, from 1 on.
        self.run_number = 0
        self.tar = True
        #: Below which a tar stays: what the first one was made by, else what the settings say.
        self.tar_max_bytes = configuration.tar_max_bytes
        #: How images are encoded, where they are.
        self.encoding: WebpEncoding | JxlEncoding | None = None
        self.balance = Balance()
        #: Bytes that the whole still needs, where the disk is full.
        self.needed: int | None = None
        #: The store that was used before, where this one is new.
        self.used_before: Path | None = None
        #: No earlier run has listed anything, but for a plan.
        self.new = True
        #: It is in the store, and what is left to do is its upload.
        self.finished = False
        #: It is in the store and stays there, while an update of it is worked on in staging.
        self.updating = False
        #: What the update has brought, once it is finished.
        self.changes: Changes | None = None
        self._lock: Lock

    @classmethod
    def open(
        cls, arguments: Arguments, configuration: Configuration, *, plan: bool = False
    ) -> OpenCollection:
        """Lock the collection and open its ledger, for a crawl or a plan; raises `Refused`."""
        opened = cls(arguments, configuration, plan=plan)
        opened._open()
        return opened

    @classmethod
    def refusal(cls, arguments: Arguments, configuration: Configuration) -> Refused | None:
        """Return why a crawl would not begin because of what is in the store.

        None where it would, and where another process works on the collection. Decided as by
        `open`, under the same lock; what was never begun costs one look.
        """
        opened = cls(arguments, configuration)
        if not opened.destination.is_dir():
            return None
        places = {configuration.store, configuration.staging}
        was_there = {place for place in places if place.is_dir()}
        try:
            lock = Lock(places, opened.name)
        except (Refused, OSError):
            return None
        try:
            opened._refuse_what_is_here()
        except Refused as refused:
            return refused
        except OSError:
            return None
        finally:
            lock.release()
            for place in places - was_there:
                with suppress(OSError):
                    place.rmdir()
        return None

    def _refuse_what_is_here(self) -> None:
        """Raise `Refused` where the collection is in the store; called under its lock."""
        end_move(self.folder, self.destination)
        if not self.destination.exists():
            return
        if self.plan:
            refuse_half_done(self.destination)
        else:
            try:
                finish_update(self.destination, self.folder)
            except FinishError as error:
                raise Refused(error.outcome, str(error)) from None
        asked = self.arguments
        if self.plan:
            asked = replace(asked, upload=False, update=False)
        _refuse_existing(self.destination, asked, self.configuration)
        self.updating = asked.update

    def _open(self) -> None:
        known_stores.require_disks(self.configuration)
        if not self.configuration.store.exists():
            self.used_before = known_stores.used_before(self.configuration)
        try:
            _writable("MAPILLARY_STORE", self.configuration.store)
            _writable("MAPILLARY_STAGING", self.configuration.staging)
        except Refused:
            self._remove_empty_folders()
            raise
        known_stores.remember(self.configuration)
        try:
            self._lock = Lock(self._lock_folders(), self.name)
        except OSError as error:
            self._remove_empty_folders()
            raise _unusable(error, self.folder) from None
        try:
            self._refuse_what_is_here()
            if self.updating:
                self._open_update()
            elif self.destination.exists():
                self._open_finished()
            else:
                self._open_ledger()
        except OSError as error:
            self._let_go()
            raise _unusable(error, self.folder) from None
        except BaseException:
            self._let_go()
            raise

    def _lock_folders(self) -> set[Path]:
        return {self.configuration.store, self.configuration.staging}

    def _open_ledger(self) -> None:
        path = self.folder / LEDGER_PATH
        begun = path.exists()
        if not begun:
            _refuse_foreign(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with descent.opened_folder(self.folder, STATE, make=True):
                pass
            remove_incoming(self.folder)
            self._begin(path)
        except (LedgerTooNew, SliceMismatch) as error:
            raise Refused(Outcome.REFUSED, f"{self.folder}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise unusable_ledger(error, path) from None

    def _open_update(self) -> None:
        """Open a copy of the ledger of what is in the store, to go through its listing again."""
        _ensure_writable(self.destination)
        try:
            begin_update(self.destination, self.folder)
        except LedgerTooNew as error:
            raise Refused(Outcome.REFUSED, f"{self.destination}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise unusable_ledger(error, self.destination / LEDGER_PATH) from None
        self._open_ledger()

    def _open_finished(self) -> None:
        """Open what is only to be uploaded."""
        try:
            self.reopen()
            self.balance, self.run_number = self.ledger.wait_for(
                lambda ledger: (ledger.images.balance(), ledger.facts.get("runs", 0))
            )
        except sqlite3.DatabaseError as error:
            raise unusable_ledger(error, self.folder / LEDGER_PATH) from None
        self.new, self.finished = False, True

    def reopen(self) -> None:
        """Open the ledger of the collection in the store, on whatever disk that is.

        The one of the collection in staging is closed. Raises `sqlite3.DatabaseError`.
        """
        self.folder = self.destination
        self.ledger = LedgerThread(self.folder / LEDGER_PATH, wal=False)

    def _begin(self, path: Path) -> None:
        """Open the ledger and begin a run; a collection that cannot begin leaves no state."""
        begun = path.exists()
        try:
            require_shared_memory(path.parent)
            if begun:
                refuse_open_slices(self)
            self.ledger = LedgerThread(path)
            try:
                self._take_up_slices()
                self.ledger.wait_for(self._start_run)
            except BaseException:
                self.ledger.close()
                raise
        except BaseException:
            if not begun:
                self._remove_state()
            raise

    def _take_up_slices(self) -> None:
        """Be whole again, where this is cut, unless the run leaves slices to others."""
        places = {self.configuration.store, self.configuration.staging}
        if self.gathers:
            self.gathers = gather(self, places)
            self.takes_back = not self.gathers
        if not (self.renews or self.gathers):
            merge_slices(self.ledger, self.folder, places)

    def _start_run(self, ledger: Ledger) -> None:
        self.new = _is_new(ledger)
        self._settle_facts(ledger)
        if self.arguments.remove and not self.plan:
            self._refuse_little_room(ledger)
        self.run_number = ledger.start_run()

    def _refuse_little_room(self, ledger: Ledger) -> None:
        """Refuse a crawl that is to make do with little room where not even a part has any."""
        configuration = self.configuration
        disk = shutil.disk_usage(self.folder)
        free = ledger.staged.kept() + disk.free - configuration.min_free_bytes
        bound = configuration.staging_max_bytes
        line = room.too_small(
            min(bound or free, free) if disk.total else bound or sys.maxsize,
            part=self.tar_max_bytes,
            in_flight=configuration.in_flight_bytes,
            staging_max_bytes=bound,
            part_is_fixed=ledger.facts.get("tar_max_bytes") is not None,
        )
        if line:
            raise Refused(Outcome.REFUSED, line)

    def _settle_facts(self, ledger: Ledger) -> None:
        """Fix what the first crawl decides, and hold later runs to it; a plan decides nothing."""
        facts, asked = ledger.facts, self.arguments.tar
        if ledger.update.is_on and not self.updating:
            raise Refused(
                Outcome.REFUSED,
                f"{self.folder} brings up to date what was in {self.destination}, and is not there "
                "any more; put it back, or give the folder that it is in as MAPILLARY_STORE",
            )
        _ensure_same_user(self.folder, facts.get("username"), self.collection)
        begun = _begun(ledger)
        fixed, page = begun["tar"], begun["page"]
        _ensure_same_files(begun, self.arguments)
        _ensure_uploadable(fixed, self.arguments)
        self.tar = fixed if fixed is not None else asked is not False
        self.tar_max_bytes = _fixed_tar_max_bytes(facts.get("tar_max_bytes"), self.configuration)
        self.encoding = fix_encoding(ledger, self.configuration, self.collection)
        _ensure_same_selection(self.folder, facts.get("selection"), self.collection)
        facts.set(
            username=self.collection.username,
            quality=self.collection.quality,
            webp=self.collection.webp,
            jxl=self.collection.jxl,
            selection=self.collection.selection.told,
            tar=fixed if self.plan else self.tar,
            page=page if self.plan or page is not None else self.arguments.page is not False,
            versions=sorted({*facts.get("versions", []), __version__}),
        )
        if self.plan and ledger.images.listed() == 0:
            facts.set(planned=0)

    @property
    def place(self) -> Path:
        """Where the collection is now: in the store once it is finished."""
        return self.destination if self.destination.exists() else self.folder

    def siblings(self) -> list[str]:
        """Return names of the same user's collections at other qualities or encoded.

        Of a selection, that of all images too; what is listed by a plan alone is none.
        """
        username = self.collection.username
        names = [
            Collection(username, quality, webp=webp, jxl=jxl).name
            for quality in QUALITIES
            for webp, jxl in ((False, False), (True, False), (False, True))
        ]
        places = (self.configuration.store, self.configuration.staging)
        return [
            name
            for name in names
            if name != self.collection.name
            and any((place / name).exists() and not _is_planned(place / name) for place in places)
        ]

    def whole(self) -> Path | None:
        """Return where all of the user's images at this quality are, if this is a selection."""
        folder = self.configuration.store / self.collection.identifier
        is_here = self.collection.selection and (folder / LEDGER_PATH).is_file()
        return folder if is_here else None

    def discard(self, ledger: Ledger) -> None:
        """Remove the folder of a collection that turned out to be nothing."""
        ledger.close()
        self._remove_state()

    def _remove_state(self) -> None:
        """Remove the state and the logs of runs; whatever else there is stays."""
        with suppress(OSError):
            descent.clear(self.folder, STATE)
        for log in self.folder.glob(LOGS):
            with suppress(OSError):
                log.unlink()
        with suppress(OSError):
            self.folder.rmdir()

    def close(self) -> None:
        """Close the ledger, let the lock go, and leave no empty folders behind."""
        try:
            self.ledger.close()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._lock.release()
        self._remove_empty_folders()

    def _remove_empty_folders(self) -> None:
        for folder in (self.configuration.staging, self.configuration.store):
            with suppress(OSError):
                folder.rmdir()


def _is_new(ledger: Ledger) -> bool:
    """Say whether nothing has been listed, or nothing saved but by `scrapy plan`."""
    if ledger.images.listed() == 0:
        return True
    planned = ledger.facts.get("planned")
    return planned is not None and ledger.survey.progress()[0].saved == planned


def _is_planned(folder: Path) -> bool:
    """Say whether a collection that can be read is only listed, by `scrapy plan`, or not even."""
    if not (folder / LEDGER_PATH).is_file():
        return False
    try:
        with closing(read_ledger(folder)) as ledger:
            return _is_new(ledger)
    except (sqlite3.Error, LedgerTooNew):
        return False


def _writable(name: str, folder: Path) -> None:
    """Make a folder that the setting `name` has named, or refuse it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        outcome = Outcome.DISK_FULL if is_disk_full(error) else Outcome.REFUSED
        raise Refused(outcome, f"{folder} cannot be made: {error.strerror}; set {name}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(Outcome.REFUSED, f"{folder} is not writable; change its mode or set {name}")


def _ensure_writable(folder: Path) -> None:
    """Refuse a collection in the store that an update could not be merged into."""
    for place in (folder, folder / STATE):
        if not os.access(place, os.W_OK | os.X_OK):
            raise Refused(
                Outcome.REFUSED,
                f"{place} is not writable, so it cannot be updated; change its mode, or that of "
                "its disk",
            )


def _unusable(error: OSError, folder: Path) -> Refused:
    if isinstance(error, NotFollowed):
        return Refused(Outcome.REFUSED, f"{error}; look at it, and move it away")
    about = Path(error.filename or folder)
    outcome, what_to_do = Outcome.REFUSED, "check its disk, then run the same command again"
    if is_disk_full(error):
        outcome, what_to_do = Outcome.DISK_FULL, "make space, then run the same command again"
    elif error.errno in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
        what_to_do = (
            "its disk lacks what a crawl needs; set MAPILLARY_STORE or MAPILLARY_STAGING to a "
            "folder of another disk"
        )
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        in_staging = about.is_relative_to(folder.parent)
        what_to_do = f"change its mode or set MAPILLARY_{'STAGING' if in_staging else 'STORE'}"
    return Refused(outcome, f"{about} cannot be used: {error.strerror}; {what_to_do}")


def unusable_ledger(error: sqlite3.DatabaseError, path: Path) -> Refused:
    """Say what is wrong with a ledger; never a word that could cost what it is the only one of."""
    if is_disk_full(error):
        return Refused(Outcome.DISK_FULL, f"no space left for {path}: {error}")
    if is_locked(error):
        return Refused(Outcome.LOCKED, f"another process has {path} open; wait for it, or end it")
    if isinstance(error, sqlite3.OperationalError):
        return Refused(
            Outcome.REFUSED,
            f"{path} cannot be used: {error}; check its disk, then run the same command again",
        )
    return Refused(
        Outcome.INCOMPLETE,
        f"{path} cannot be read ({error}); it and the images stay untouched. Put it back from a "
        f"backup, or {mend_with(path.parent.parent)}",
    )


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder whose images or metadata no ledger knows: they would be in the way."""
    if has_images(folder) and not (folder / METADATA).exists():
        raise Refused(
            Outcome.INCOMPLETE, f"{folder} has images, but no ledger; {mend_with(folder)}"
        )
    if (folder / METADATA).exists() or any(folder.glob(f"*{TAR}")):
        raise Refused(
            Outcome.REFUSED,
            f"{folder} has tars or {METADATA}, but no ledger; it is left untouched. "
            f"Move it away; {program_name()} adopt takes over what mapillary_downloader made",
        )


def _ensure_same_user(folder: Path, username: str | None, collection: Collection) -> None:
    """Names meet where a disk takes capitals and small letters for the same, or if very long."""
    if username not in (None, collection.username):
        raise Refused(
            Outcome.REFUSED,
            f"{folder} holds the images of another user, {username!r}; set MAPILLARY_STORE",
        )


def _ensure_same_selection(
    folder: Path, told: dict[str, Any] | None, collection: Collection
) -> None:
    """Names meet, once in a very long while, since a selection has eight digits of a hash."""
    if told is not None and {"sequences": [], **told} != collection.selection.told:
        raise Refused(
            Outcome.REFUSED,
            f"{folder} holds another selection, whose name happens to be the same; "
            "set MAPILLARY_STORE",
        )


def _begun(ledger: Ledger) -> dict[str, bool | None]:
    """Return what files a collection was begun with, by the names of the arguments."""
    return {name: ledger.facts.get(name) for name in ("tar", "page")}


def _ensure_same_files(
    begun: Mapping[str, bool | None], arguments: Arguments, left: Container[str] = ()
) -> None:
    """Refuse another `tar` or `page` than that of the beginning, but for what is `left`."""
    for name, fixed in begun.items():
        asked = None if name in left else getattr(arguments, name)
        if fixed is not None and asked is not None and asked != fixed:
            make = f"; {program_name()} page makes one" if name == "page" and asked else ""
            raise Refused(
                Outcome.REFUSED,
                f"{name}={asked:d} does not fit: "
                f"this collection was begun with {name}={fixed:d}{make}",
            )


def _ensure_uploadable(tar: bool | None, arguments: Arguments) -> None:
    if arguments.upload and tar is False:
        raise Refused(
            Outcome.REFUSED,
            "upload=1 does not fit: this collection was begun with tar=0, and archive.org is no "
            "place for so many files",
        )


def _fixed_tar_max_bytes(fixed: int | None, configuration: Configuration) -> int:
    """Return below which a collection's tars stay; raises `Refused` for another explicit size."""
    asked = configuration.tar_max_bytes
    if fixed not in (None, asked) and "TAR_MAX_BYTES" in configuration.explicit:
        raise Refused(
            Outcome.REFUSED,
            f"TAR_MAX_BYTES={asked} does not fit: this collection's first tar was made "
            f"with {fixed}",
        )
    return fixed or asked


def _without_ledger(folder: Path) -> Refused:
    """Return what is said of a folder in the store that has no ledger."""
    if is_ours(folder):
        return Refused(
            Outcome.INCOMPLETE,
            f"{folder} is archived, but its ledger is missing; {mend_with(folder)}",
        )
    return Refused(
        Outcome.REFUSED,
        f"{folder} exists and was not made by this program; it is left untouched. "
        f"Move it away, or take it over with: {program_name()} adopt",
    )


def _is_update_begun(arguments: Arguments, configuration: Configuration) -> bool:
    """Say whether an update goes on; it needs no old tar, and stands in the way of a repair."""
    staged = configuration.staging / arguments.collection.name
    return arguments.update and (staged / LEDGER_PATH).is_file()


def _refuse_existing(destination: Path, arguments: Arguments, configuration: Configuration) -> None:
    """Say why a collection that is in the store already is not crawled.

    One that is to be updated, or uploaded and is not, is not refused.
    """
    path, collection = destination / LEDGER_PATH, arguments.collection
    if not path.is_file():
        raise _without_ledger(destination)
    try:
        with closing(read_ledger(destination, locked=True)) as ledger:
            facts, balance = ledger.facts, ledger.images.balance()
            username, finished = facts.get("username"), facts.get("finished_at")
            selection = facts.get("selection")
            begun, encoder = _begun(ledger), facts.get("encoder")
            lost = lost_parts(destination, ledger)
            uploaded = is_uploaded(ledger, destination, remove=arguments.remove)
    except LedgerTooNew as error:
        raise Refused(Outcome.REFUSED, f"{path} cannot be read: {error}") from None
    except sqlite3.DatabaseError as error:
        if is_of_the_disk(error):
            raise Refused(Outcome.REFUSED, f"{path} cannot be read: {error}") from None
        raise Refused(
            Outcome.INCOMPLETE, f"{path} cannot be read: {error}; {mend_with(destination)}"
        ) from None
    _ensure_same_user(destination, username, collection)
    _ensure_same_selection(destination, selection, collection)
    if finished is None:
        raise Refused(Outcome.REFUSED, f"{destination} is in the store, but not finished")
    # What a file has as a default, nobody has asked of this collection.
    _ensure_same_files(begun, arguments, arguments.from_file)
    if balance.saved and encoder:
        asked = configuration.explicit - configuration.of_files
        ensure_same_encoding(encoder, replace(configuration, explicit=asked), collection)
    if lost and not _is_update_begun(arguments, configuration):
        raise Refused(
            Outcome.INCOMPLETE,
            f"{collection.title} is archived in {destination}, but of its files it "
            f"{lacks(destination, lost)}",
        )
    if arguments.update:
        return
    if arguments.upload and not uploaded:
        _ensure_uploadable(begun["tar"], arguments)
        return
    since = datetime.fromtimestamp(finished, UTC).strftime("%Y-%m-%d %H:%M UTC")
    raise Refused(
        Outcome.ALREADY_ARCHIVED,
        f"{collection.title} is archived since {since} with {balance.saved} images: {destination}",
    )
