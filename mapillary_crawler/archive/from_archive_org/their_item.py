"""The ledger of an item of mapillary_downloader: what it listed, and what its tars hold.

That tool keeps no checksums: only who reads the tars knows what of the list is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mapillary_crawler.archive.adopt.adopted_ledger import AdoptedLedger
from mapillary_crawler.archive.adopt.findings import Findings
from mapillary_crawler.archive.adopt.foreign_folder import (
    METADATA,
    TOOL,
    UNKNOWN_VERSION,
    ForeignTar,
)
from mapillary_crawler.archive.finish.work import require_space
from mapillary_crawler.archive.from_archive_org.fetched import TarOfItem, fetch
from mapillary_crawler.archive.from_archive_org.found_item import FoundItem, ItemSource, refused
from mapillary_crawler.archive.from_archive_org.noted import note_item, reserve
from mapillary_crawler.archive.repair.identity import collection_named
from mapillary_crawler.collection.layout import ADOPTED, ADOPTION, LEDGER_PATH, SCRATCH
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.quoting import printable
from mapillary_crawler.terminal.work_display import WorkDisplay


class _ItemFolder:
    """The item as `AdoptedLedger` reads a folder of that tool; its metadata is at `path`."""

    def __init__(self, found: FoundItem, source: ItemSource, path: Path, *, is_read: bool) -> None:
        collection = collection_named(found.identifier, {})
        self.metadata = [name for name in METADATA if name in found.files]
        if collection is None or not self.metadata:
            raise refused(
                f"{found.identifier} has no {METADATA[0]}, or none of the names that "
                "mapillary_downloader gives: nothing says what was listed"
            )
        self.collection = collection
        self.path = path
        self.source = f"archive.org's {found.identifier}"
        self.version = next(iter(found.metadata.get(TOOL, [])), UNKNOWN_VERSION)
        self.is_here = False
        self.is_read = is_read
        self._found = found
        self._source = source

    def tars(self) -> list[ForeignTar]:
        """Return the tars of days, none where they are not to be read."""
        return [
            ForeignTar(
                Path(file.name),
                day,
                part,
                self.collection.extensions,
                TarOfItem(self._source, file),
            )
            for file, day, part in (self._found.tars() if self.is_read else [])
        ]

    def loose(self) -> Iterator[str]:
        """Yield nothing: an item's images are in tars."""
        return iter(())

    def unknown(self, path: str) -> Refused:
        """Return the refusal of what no known version of that tool makes."""
        return refused(
            f"{self.source} holds {printable(path)!r}, and adopt knows no version of "
            "mapillary_downloader that makes it; nothing was adopted"
        )


class TheirItem:
    """The adoption of an item into the new folder `place`; `lines` say what it came to."""

    def __init__(
        self, found: FoundItem, source: ItemSource, place: Path, shown: WorkDisplay
    ) -> None:
        self.lines: list[str] = []
        self._found = found
        self._source = source
        self._place = place
        self._shown = shown

    def adopt(self, *, read_tars: bool, walk: bool) -> bool:
        """Make the ledger of a collection that is not finished, so return False.

        Raises `Refused`, `Trouble`, `OSError`.
        """
        folder = _ItemFolder(self._found, self._source, self._place / ADOPTED, is_read=read_tars)
        self.collection = folder.collection
        self._fetch(folder)
        with Findings(self._place / ADOPTION) as findings:
            AdoptedLedger(folder, self._place, self._shown.say, self._shown, walk=walk).build(
                findings
            )
        self.lines += findings.lines()
        with closing(Ledger(self._place / LEDGER_PATH)) as ledger:
            if not read_tars:
                self._reserve(ledger)
            note_item(ledger, self._found)
        if others := self._found.other_tars():
            self.lines.append(
                f"{len(others):,} tars of it are of no day, as before 0.7; they are not read, and "
                "what they hold is fetched again"
            )
        return False

    def _fetch(self, folder: _ItemFolder) -> None:
        files = [self._found.files[name] for name in folder.metadata]
        require_space(self._place, sum(file.size for file in files), "its metadata")
        folder.path.mkdir()
        for file in files:
            fetch(self._source, file, folder.path, self._place / SCRATCH, lambda _: None)

    def _reserve(self, ledger: Ledger) -> None:
        tars = self._found.tars()
        for file, day, part in tars:
            reserve(ledger, file, day, part)
        ledger.facts.set(tar=True)
        size = quantities.size(sum(file.size for file, _, _ in tars))
        self.lines.append(
            f"what its {len(tars):,} tars hold is not known, since mapillary_downloader keeps no "
            f"checksums: every image is fetched again. With --read-tars {size} are read, every "
            "image is looked at, and nothing of it is kept"
        )
