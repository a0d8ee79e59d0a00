"""`download.log.{UTC timestamp}`: the run's log, published with the collection."""

from __future__ import annotations

import logging
import os
import platform
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import scrapy
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.settings import BaseSettings

from mapillary_crawler import __version__
from mapillary_crawler.collection.layout import LOG_NAME
from mapillary_crawler.collection.token import secrets_of
from mapillary_crawler.crawl.run import CURRENT, run_of
from mapillary_crawler.crawl.transfer import slots
from mapillary_crawler.terminal.redaction import Redactor

logger = logging.getLogger(__name__)

#: A link or a pipe in the place of the file is left alone.
_APPENDED = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Records that wait for the first request to the API; more than ever come before it.
_MOST_WAITING = 1000


class LogFile:
    """Takes the log from LOG_LEVEL on, whatever of it a terminal gets.

    No secret, path, query or host is in it.

    A new collection has its file from the first request to the API on, so a run that finds it
    archived leaves none.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        if not (settings.getbool("LOG_ENABLED") or settings["LOG_FILE"]):
            raise NotConfigured
        self._crawler = crawler
        self._run = run_of(crawler)
        self._handler: CollectionHandler | None = None
        self._run.when_finished.append(self._ended)
        crawler.signals.connect(self._opened, signal=signals.spider_opened)
        crawler.signals.connect(self._requested, signal=signals.request_reached_downloader)
        crawler.signals.connect(self._ended, signal=signals.engine_stopped)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Connect to the crawler's beginning and end."""
        return cls(crawler)

    def _opened(self) -> None:
        opened = self._run.collection
        if opened.finished:  # its logs are of its making, and go to archive.org as they are
            return
        settings = self._crawler.settings
        self._handler = CollectionHandler(
            (opened.folder, opened.destination),
            log_name(opened.slice_number),
            redactor(settings),
        )
        formatter = logging.Formatter(settings["LOG_FORMAT"], settings["LOG_DATEFORMAT"])
        formatter.converter = time.gmtime
        self._handler.setFormatter(formatter)
        self._handler.setLevel(settings["LOG_LEVEL"])
        self._handler.addFilter(self._is_of_this_run)
        logging.root.addHandler(self._handler)
        self._tell(
            "mapillary_crawler %s, Scrapy %s, Python %s on %s: run %d of %s", __version__,
            scrapy.__version__, platform.python_version(), platform.system(), opened.run_number,
            opened.name,
        )  # fmt: skip
        if not opened.new:
            self._handler.begin()

    def _is_of_this_run(self, _record: logging.LogRecord) -> bool:
        """Keep what another run of the process says out of this one's file."""
        return CURRENT.get() in (None, self._run)

    def _requested(self, request: Request) -> None:
        if self._handler and request.meta.get("download_slot") in (slots.API, slots.IMAGES):
            self._handler.begin()
            self._crawler.signals.disconnect(
                self._requested, signal=signals.request_reached_downloader
            )

    def _ended(self) -> None:
        """End the file: with the run, or before it is uploaded; what follows is said elsewhere."""
        if self._handler:
            self._tell("%s: %s", self._run.words, self._run.balance)
            logging.root.removeHandler(self._handler)
            self._handler.close()
            self._handler = None

    def _tell(self, message: str, *arguments: object) -> None:
        """Write a line into the file alone; the terminal has its own."""
        assert self._handler
        self._handler.handle(
            logging.LogRecord(__name__, logging.INFO, __file__, 0, message, arguments, None)
        )


def log_name(slice_number: int | None) -> str:
    """Return the name of a log that begins now; those of slices lie together one day."""
    name = time.strftime(LOG_NAME, time.gmtime())
    return name if slice_number is None else f"{name}-{slice_number}"


class CollectionHandler(logging.Handler):
    """Appends redacted records to a file of the collection, wherever that is now.

    The file is open only while a record is written, so the finish may move the folder at any
    time. A folder that is gone gets no file, and trouble with the disk is not this handler's to
    tell.
    """

    def __init__(self, folders: Iterable[Path], name: str, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._paths = [folder / name for folder in folders]
        self._redact = redact
        self._waiting: list[str] | None = []

    def begin(self) -> None:
        """Make the file, with the records that came before."""
        self.acquire()
        try:
            if self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                with suppress(OSError):
                    os.close(os.open(self._paths[0], _APPENDED | os.O_CREAT, 0o666))
                self._append("".join(waiting))
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or keep it until there is a file."""
        try:
            line = f"{self._redact(self.format(record))}\n"
        except Exception:  # noqa: BLE001  as logging's own handlers do
            self.handleError(record)
            return
        if self._waiting is None:
            self._append(line)
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append(line)

    def _append(self, text: str) -> None:
        for path in self._paths:
            with suppress(OSError):
                handle = os.open(path, _APPENDED)
                try:
                    os.write(handle, text.encode(errors="replace"))
                finally:
                    os.close(handle)
                return


def redactor(settings: BaseSettings) -> Redactor:
    """Return what knows the token, this machine's name and the hosts of the settings."""
    machine = socket.gethostname()
    names = ("MAPILLARY_API_URL", "ARCHIVE_ORG_URL", "ARCHIVE_ORG_S3_URL")
    hosts = {urlsplit(str(settings[name])).hostname or "" for name in names}
    return Redactor(
        secrets=secrets_of(os.environ),
        hosts={machine, machine.split(".")[0], "localhost", *hosts} - {"archive.org"},
    )
