"""Machines with disks of their own and one folder in common, without a queue and crawls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.archive.packages.attempts import Attempts
from mapillary_crawler.archive.packages.handed_out import HandedOut, look
from mapillary_crawler.archive.packages.names import Kind, Package
from mapillary_crawler.archive.packages.publishing import forget, hand_out, publish, withdraw
from mapillary_crawler.collection.layout import slice_folder
from mapillary_crawler.ledger.records import Slice
from tests.archive.finish.made import ANN, Picture, finish
from tests.archive.slices.cut import crawl_slice, merge_all

NAME = ANN.name


def go_on() -> bool:
    return False


def may() -> bool:
    return True


@dataclass
class Machine:
    """One of them: `shared` is the store of all."""

    staging: Path
    shared: Path
    some: Sequence[Picture]
    failing: Iterable[str] = ()

    @property
    def root(self) -> Path:
        return self.shared / ".incomplete"

    @property
    def whole(self) -> Path:
        return self.staging / NAME

    @property
    def attempts(self) -> Attempts:
        return Attempts(self.staging)

    def look(self) -> HandedOut:
        handed = look(self.root, NAME)
        assert handed is not None
        return handed

    def hand_out(self) -> HandedOut:
        assert hand_out(self.whole, self.root, stop=go_on, may=may)
        handed = self.look()
        forget(self.whole, handed)
        return handed

    def crawl(self, part: Slice, handed: HandedOut | None = None) -> bool:
        """Crawl a slice; say whether what came of it is the slice's."""
        handed = handed or self.look()
        with self.attempts.of_slice(handed, part, go_on) as staging:
            crawl_slice(staging / NAME, part, self.some, self.failing)
            folder = slice_folder(staging / NAME, part.number)
            package = Package(Kind.ENDED, part.number)
            done = publish(folder, handed, package, stop=go_on, may=may)
            self.attempts.done(handed, part)
        return done

    def finish(self) -> Path:
        """Merge the slices, try again what failed, and finish."""
        handed = self.look()
        with self.attempts.of_whole(handed, go_on) as staging:
            merge_all(staging / NAME, self.some)
            destination = finish(staging / NAME, self.shared).destination
            withdraw(self.root, NAME)
            self.attempts.done(handed)
        return destination
