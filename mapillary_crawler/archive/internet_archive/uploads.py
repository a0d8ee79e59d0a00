"""Uploads of several collections, one after another, as `scrapy ia_upload` has them."""

from __future__ import annotations

from collections.abc import Callable

from mapillary_crawler.archive.internet_archive.body import UnreadableFile
from mapillary_crawler.archive.internet_archive.finished_collection import FinishedCollection
from mapillary_crawler.archive.internet_archive.options import Options
from mapillary_crawler.archive.internet_archive.presence import RemoteItem
from mapillary_crawler.archive.internet_archive.removed import NotRemoved
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.session import ArchiveOrg
from mapillary_crawler.archive.internet_archive.trouble import (
    Denied,
    StillUnavailable,
    Trouble,
    denied_words,
)
from mapillary_crawler.archive.internet_archive.upload import (
    plan,
    refuse_item,
    volumes_of,
)
from mapillary_crawler.archive.internet_archive.verified import NotVerified
from mapillary_crawler.archive.internet_archive.whole_upload import WholeUpload
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.terminal.work_display import WorkDisplay


class Uploads:
    """Uploads with one session; raises `CredentialsMissing` where there are no keys for it.

    `failed` hears of what is wrong with one collection; with the others it goes on.
    """

    def __init__(
        self,
        options: Options,
        shown: WorkDisplay,
        failed: Callable[[Outcome, str], None],
        *,
        anonymous: bool,
    ) -> None:
        self._options = options
        self._shown = shown
        self._failed = failed
        self._archive = ArchiveOrg(
            options.url, options.s3_url, timeout=options.timeout, anonymous=anonymous
        )

    def rehearse(self, collection: FinishedCollection) -> None:
        """Say what an upload would do; raises `Refused`."""
        self._check(collection)
        with collection.rehearsal():
            for volume in volumes_of(collection, self._options):
                item = None
                try:
                    item = RemoteItem(self._archive.metadata(volume.identifier))
                except Trouble as trouble:
                    self._shown.say(
                        f"archive.org could not be asked for {volume.identifier}: {trouble}"
                    )
                else:
                    refuse_item(item, volume)
                for line in plan(volume, item):
                    self._shown.say(line)

    def upload(self, collection: FinishedCollection, *, remove: bool) -> None:
        """Upload and verify one collection, and remove its tars here if that was asked for.

        Raises `Refused` for what must not be sent, and where archive.org stayed away: then it
        would from the next one, too.
        """
        self._check(collection)
        try:
            self._upload(collection, remove=remove)
        except (NotVerified, NotRemoved) as trouble:
            self._failed(Outcome.INCOMPLETE, str(trouble))
        except StillUnavailable as trouble:
            raise Refused(
                Outcome.SERVICE_AWAY, f"{trouble}; run the same command again to go on"
            ) from None
        except Denied as denied:
            self._failed(*_denial(collection, denied))
        except (Trouble, UnreadableFile) as trouble:
            self._failed(Outcome.ERROR, f"{collection.title}: {trouble}")

    def _check(self, collection: FinishedCollection) -> None:
        """Compare what is to be sent of a collection with its checksums, before it is sent."""
        self._shown.begin("checking", 1, collection.unsent)
        self._shown.begin_file(collection.title, collection.unsent)
        collection.check(self._shown.advance)
        self._shown.end_file()

    def _upload(self, collection: FinishedCollection, *, remove: bool) -> None:
        retry = Retry(self._options.retry_wait, self._options.patience, self._shown.say)
        WholeUpload(collection, self._archive, retry, self._shown, self._options).run(remove=remove)


def _denial(collection: FinishedCollection, denied: Denied) -> tuple[Outcome, str]:
    outcome = Outcome.TOKEN_REFUSED if denied.status in {401, 403} else Outcome.REFUSED
    return outcome, denied_words(collection.title, denied)
