"""Verified: archive.org has no tasks left and says the md5 and size of every file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from mapillary_crawler.archive.finish.tags import image_count, is_growing
from mapillary_crawler.archive.internet_archive.presence import RemoteItem
from mapillary_crawler.archive.internet_archive.removal import answer_obstacle
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import Trouble
from mapillary_crawler.archive.internet_archive.upload import Volume
from mapillary_crawler.collection.outcome import Outcome, ProjectError
from mapillary_crawler.ledger.records import Piece, PieceState
from mapillary_crawler.terminal.work_display import WorkDisplay

#: How often an item is read again before a file that is not in it counts as lost: a file appears
#: some time after its task was queued, and its task some time after the file was accepted.
READINGS = 10
#: How often a lost file is sent again.
SENDINGS = 2
_BUSY = ("queued", "running", "paused")


class Archive(Protocol):
    """The part of `ArchiveOrg` that a verification needs."""

    def metadata(self, identifier: str) -> dict[str, Any]:
        """Return what the metadata API says of an item now."""

    def tasks(self, identifier: str) -> dict[str, int]:
        """Return how many tasks of an item stand how."""

    def set_metadata(self, identifier: str, values: Mapping[str, str]) -> None:
        """Replace tags of an item."""


class NotVerified(ProjectError):
    """Not all is there as it was sent; the message says what, in one line."""

    outcome = Outcome.INCOMPLETE


class UploadVerification:
    """The verification of volumes.

    `send` sends a file again, `heard` hears who archive.org says has uploaded an item, `writing`
    is for the request that replaces metadata, which is else tried once.
    """

    def __init__(
        self,
        archive: Archive,
        retry: Retry,
        progress: WorkDisplay,
        send: Callable[[Volume, Piece], None],
        heard: Callable[[str, Any], None],
        *,
        writing: Retry | None = None,
    ) -> None:
        self._archive = archive
        self._retry = retry
        self._progress = progress
        self._send = send
        self._heard = heard
        self._writing = writing
        #: Items whose description could not be replaced, with why.
        self.misdescribed: dict[str, str] = {}
        #: Items with a task in error, which only archive.org's staff can clear.
        self._failed: set[str] = set()

    def run(self, volume: Volume) -> None:
        """Wait for the tasks of an item and compare its files; raises `NotVerified`, `Trouble`."""
        for sending in range(SENDINGS + 1):
            answer, wrong = self._compare(volume)
            item = RemoteItem(answer)
            if obstacle := answer_obstacle(answer, volume.identifier):
                raise NotVerified(f"{volume.identifier} is not verified: {obstacle}")
            self._heard(volume.identifier, item.metadata.get("uploader"))
            if not wrong:
                self._update_description(volume, item)
                return
            if volume.identifier in self._failed:
                raise NotVerified(
                    f"{volume.identifier}: {_named(wrong)} not there as sent, and a task of "
                    f"archive.org failed: see https://archive.org/history/{volume.identifier} "
                    "and ask info@archive.org"
                )
            removed = [piece.name for piece in wrong if piece.state is PieceState.REMOVED]
            if removed:
                raise NotVerified(
                    f"{volume.identifier} no longer has {', '.join(removed[:3])}"
                    f"{' and more' if len(removed) > 3 else ''}, removed here after verification"
                )
            if sending < SENDINGS:
                self._progress.say(
                    f"{volume.identifier}: {_named(wrong)} not there as sent; sending again"
                )
                self._progress.begin(
                    "uploading again", len(wrong), sum(piece.size or 0 for piece in wrong)
                )
                for piece in wrong:
                    self._send(volume, piece)
        raise NotVerified(f"{volume.identifier}: {_named(wrong)} not there as sent")

    def _compare(self, volume: Volume) -> tuple[dict[str, Any], list[Piece]]:
        """Return the answer without tasks, and the files it does not name after all waiting."""
        for reading in range(READINGS):
            if reading:
                self._retry.pause(reading - 1)
            self._wait_for_tasks(volume.identifier)
            answer = self._read(volume.identifier)
            item, odd = RemoteItem(answer), answer_obstacle(answer, volume.identifier)
            wrong = [piece for piece in volume.pieces if not item.holds(piece)]
            lost = any(piece.state is PieceState.REMOVED for piece in wrong) and not odd
            if (not wrong and not odd) or lost or volume.identifier in self._failed:
                break
        return answer, wrong

    def _read(self, identifier: str) -> dict[str, Any]:
        return self._retry(identifier, lambda: self._archive.metadata(identifier))

    def _wait_for_tasks(self, identifier: str) -> None:
        began, said, pauses = self._retry.clock(), 0, 0
        while busy := self._busy(identifier):
            if self._retry.clock() - began >= self._retry.patience:
                raise NotVerified(
                    f"{identifier} is uploaded, but archive.org still works on it; "
                    "run the same command again later to verify it"
                )
            if busy != said:
                self._progress.say(f"{identifier}: waiting for {busy} tasks of archive.org")
                said = busy
            self._retry.pause(pauses)
            pauses += 1

    def _busy(self, identifier: str) -> int:
        """Return how many tasks an item waits for."""
        try:
            counts = self._archive.tasks(identifier)
        except Trouble:
            # Not everybody may ask for tasks; the metadata says at least that there are some.
            return int(RemoteItem(self._read(identifier)).is_busy)
        if counts.get("error"):
            self._failed.add(identifier)
        return sum(counts.get(state, 0) for state in _BUSY)

    def _update_description(self, volume: Volume, item: RemoteItem) -> None:
        """Bring an item that got more tars to say how many images it has; no failure if not."""
        if _is_described(volume, item):
            return
        values: dict[str, str] = {
            tag: volume.metadata[tag][0]
            for tag in ("description", "date", "coverage")
            if tag in volume.metadata
        }
        try:
            self._write(volume.identifier, values)
            self._wait_for_words(volume)
        except Trouble as trouble:
            said = _said(image_count(_description(item)))
            line = f"{volume.identifier}: its description still says {said} ({trouble})"
            self.misdescribed[volume.identifier] = line
            self._progress.say(line)
        else:
            self._progress.say(f"{volume.identifier}: its description says {volume.images:,} now")

    def _wait_for_words(self, volume: Volume) -> None:
        """Wait for the task of a written description, which also keeps tars from being removed.

        Raises `Trouble` where nothing came of it.
        """
        for reading in range(READINGS):
            if reading:
                self._retry.pause(reading - 1)
            self._wait_for_tasks(volume.identifier)
            if _is_described(volume, RemoteItem(self._read(volume.identifier))):
                return
            if volume.identifier in self._failed:
                break
        raise Trouble("archive.org has accepted another one, and does not show it")

    def _write(self, identifier: str, values: Mapping[str, str]) -> None:
        def write() -> None:
            self._archive.set_metadata(identifier, values)

        if self._writing is None:
            write()
        else:
            self._writing(identifier, write)


def _is_described(volume: Volume, item: RemoteItem) -> bool:
    """Say whether an item's description says neither that more is to come nor another number."""
    text = _description(item)
    return not is_growing(text) and image_count(text) in (None, volume.images)


def _description(item: RemoteItem) -> str:
    description = item.metadata.get("description")
    return description if isinstance(description, str) else ""


def _said(images: int | None) -> str:
    return "that more is to come" if images is None else f"{images:,} images"


def _named(pieces: list[Piece]) -> str:
    names = ", ".join(piece.name for piece in pieces[:3])
    more = len(pieces) - 3
    return f"{names}{f' and {more} more' if more > 0 else ''} {'are' if len(pieces) > 1 else 'is'}"
