"""What a collection ought to hold, as its manifests say: of an item without a ledger."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mapillary_crawler.archive.finish.manifest_reader import (
    ListedImage,
    ManifestsDisagree,
    manifest_lines,
    read_manifests,
)
from mapillary_crawler.archive.finish.parts import closed, padded
from mapillary_crawler.archive.verify.inventory import (
    ExpectedFile,
    Inventory,
    Kind,
    NoInventory,
    Problem,
)
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import DAMAGED, METADATA, SUMS, THUMBNAIL, is_log
from mapillary_crawler.collection.limits import DAMAGED_BYTES, TooLarge
from mapillary_crawler.collection.names import Collection, escape, member_path
from mapillary_crawler.ledger.records import Member, State

_LINE = re.compile(rb"([0-9a-f]{64})  ([^\n]+)\n?")
#: What archive.org adds to an item.
_ARCHIVE_ORG = re.compile(
    r"[^/]*_(?:meta\.xml|files\.xml|reviews\.xml|meta\.sqlite|archive\.torrent|itemimage\.jpg)"
)


class ManifestInventory(Inventory):
    """SHA256SUMS, checksums.jsonl.gz, metadata.jsonl.gz and gone.jsonl."""

    authority = SUMS
    finished = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if not descent.is_file(folder, SUMS):
            raise NoInventory(
                f"{folder} has neither a ledger nor {SUMS}: it is no collection of this program"
            )
        self._problems: list[Problem] = []
        self._states: Counter[State] = Counter()
        self._bytes = self._bare = self._vanished = 0
        self._damaged = self._read_damaged()
        self._tars: dict[str, bytes | None] = {}

    def _read_damaged(self) -> set[str]:
        """Return the names, without folders, of images that need not decode."""
        try:
            lines = descent.read(self.folder, DAMAGED, DAMAGED_BYTES).splitlines()
            return {f"{escape(json.loads(line)['id'])}.jpg" for line in lines}
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._problems.append(Problem(DAMAGED, Kind.UNREADABLE, str(error)))
            return set()

    def files(self) -> Iterator[ExpectedFile]:
        """Yield what SHA256SUMS lists; tars are remembered."""
        before = b""
        for number, line in enumerate(self._sums(), 1):
            found = _LINE.fullmatch(line)
            path = found[2].decode(errors="replace") if found else ""
            parts = path.split("/")
            if found is None or {"", ".", ".."} & set(parts):
                self._disagree(number, "is no checksum of a file below the collection")
            elif found[2] <= before:
                self._disagree(number, "is not in order")
            else:
                before = found[2]
                sha256 = bytes.fromhex(found[1].decode())
                file = ExpectedFile(path, None, sha256, parts[-1] in self._damaged)
                if file.is_tar:
                    self._tars[path] = sha256
                yield file

    def _sums(self) -> Iterator[bytes]:
        """Yield the lines of SHA256SUMS, as far as it can be read."""
        try:
            yield from manifest_lines(self.folder, SUMS)
        except TooLarge as error:
            self._problems.append(Problem(SUMS, Kind.UNREADABLE, str(error)))
        except OSError as error:
            self._problems.append(Problem(SUMS, Kind.UNREADABLE, str(error.strerror)))

    def _disagree(self, number: int, what: str) -> None:
        self._problems.append(Problem(SUMS, Kind.DISAGREES, f"line {number} {what}"))

    def holders(self) -> Iterator[tuple[ExpectedFile, Iterator[Member] | None]]:
        """Yield tars and loose images in the order of the manifests; follows `files`."""
        unnamed = dict(self._tars)
        images = read_manifests(self.folder, Collection("-"), tar=bool(self._tars))
        try:
            for _, of_day in groupby(images, lambda image: image.row.day):
                for file, members in self._of_day(of_day):
                    unnamed.pop(file.path, None)
                    yield file, members
        except ManifestsDisagree as error:
            self._problems.append(Problem(METADATA, Kind.DISAGREES, str(error)))
            for path, sha256 in unnamed.items():
                yield ExpectedFile(path, None, sha256), None
        else:
            for path, sha256 in unnamed.items():
                yield ExpectedFile(path, None, sha256), iter(())

    def _of_day(
        self, images: Iterator[ListedImage]
    ) -> Iterator[tuple[ExpectedFile, Iterator[Member] | None]]:
        """Yield a day's tars, each with its members; those of one day are in memory."""
        tars: dict[tuple[int, str], list[Member]] = {}
        for image in images:
            self._states[image.state] += 1
            if image.stored is None:
                if image.state is State.UNSETTLED:
                    detail = (
                        f"{image.row.image_id} is listed, and neither saved nor said to be gone"
                    )
                    self._problems.append(Problem(METADATA, Kind.DISAGREES, detail))
                continue
            stored, row = image.stored, image.row
            self._bare += stored.bare is not None
            self._vanished += image.vanished
            name = member_path(row.day, row.sequence, row.image_id, stored.extension)
            self._bytes += stored.size
            if image.tar is None:
                yield (
                    ExpectedFile(
                        name,
                        stored.size,
                        stored.sha256_stored,
                        stored.damaged,
                        sha256_jpeg=stored.sha256_jpeg,
                    ),
                    None,
                )
            else:
                member = Member(
                    name,
                    image.offset,
                    stored.size,
                    stored.sha256_stored,
                    stored.damaged,
                    stored.sha256_jpeg,
                )
                tars.setdefault((image.part, image.tar), []).append(member)
        later: set[str] = set()
        for (_, path), members in sorted(tars.items(), reverse=True):  # so later ones come first
            members.sort(key=lambda member: member.offset)
            size = closed(members[-1].offset + padded(members[-1].size))
            seen = frozenset(later)
            file = ExpectedFile(path, size, self._tars.get(path), superseded=seen.__contains__)
            yield file, iter(members)
            if len(tars) > 1:
                later |= {member.name.rpartition(".")[0] for member in members}

    def is_own(self, path: str) -> bool:
        """Say whether a file is one that SHA256SUMS leaves out, or archive.org's."""
        return (
            path.startswith(".")
            or path in (SUMS, THUMBNAIL)
            or is_log(path)
            or bool(_ARCHIVE_ORG.fullmatch(path))
        )

    def balance(self) -> Balance:
        """Return what the manifests account for."""
        states = self._states
        return Balance(
            saved=states[State.SAVED] + states[State.DAMAGED],
            damaged=states[State.DAMAGED],
            gone=states[State.GONE],
            unavailable=states[State.UNAVAILABLE],
            failed=states[State.UNSETTLED] + states[State.ACCEPTED],
            accepted=states[State.ACCEPTED],
            bytes_saved=self._bytes,
            bare=self._bare,
            vanished=self._vanished,
        )

    def disagreements(self) -> Iterator[Problem]:
        """Yield what was found on the way."""
        return iter(self._problems)

    def close(self) -> None:
        """Do nothing: each manifest is closed once it is read."""
