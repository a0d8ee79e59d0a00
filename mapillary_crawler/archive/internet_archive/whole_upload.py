"""A finished collection onto archive.org: sent, verified, and removed here if that is wanted."""

from __future__ import annotations

from typing import Protocol

from mapillary_crawler.archive.internet_archive import upload, verified
from mapillary_crawler.archive.internet_archive.finished_collection import FinishedCollection
from mapillary_crawler.archive.internet_archive.options import Options
from mapillary_crawler.archive.internet_archive.removed import remove_tars
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.upload import Upload, volumes_of
from mapillary_crawler.archive.internet_archive.verified import UploadVerification
from mapillary_crawler.terminal.quantities import size
from mapillary_crawler.terminal.work_display import WorkDisplay


class Archive(upload.Archive, verified.Archive, Protocol):
    """What an upload and its verification need."""


class WholeUpload:
    """The upload of one collection; raises whatever its steps do.

    `writing` is for the requests that replace an item's metadata, which are else tried once.
    """

    def __init__(
        self,
        collection: FinishedCollection,
        archive: Archive,
        retry: Retry,
        shown: WorkDisplay,
        options: Options,
        *,
        writing: Retry | None = None,
    ) -> None:
        self._collection = collection
        self._archive = archive
        self._retry = retry
        self._shown = shown
        self._options = options
        self._upload = Upload(collection, archive, retry, shown)
        self._verification = UploadVerification(
            archive, retry, shown, self._upload.send, collection.note_uploader, writing=writing
        )

    def run(self, *, remove: bool) -> None:
        """Send what is not there, verify all, and remove the tars here."""
        collection, volumes = self._collection, volumes_of(self._collection, self._options)
        self._upload.run(volumes)
        for volume in volumes:
            self._verification.run(volume)
            collection.note_verified(volume.identifier)
            self._shown.say(
                f"{self._options.url}/details/{volume.identifier} verified: "
                f"{len(volume.pieces)} files, {size(volume.size)}, {volume.images:,} images"
            )
        if remove:
            removed = remove_tars(collection, self._archive, self._retry, volumes)
            self._shown.say(f"{collection.title}: {removed} local tars removed")
        if not self.misdescribed:
            collection.note_uploaded()

    @property
    def misdescribed(self) -> list[str]:
        """What is still wrong with the metadata of items, a line each."""
        return list(self._verification.misdescribed.values())
