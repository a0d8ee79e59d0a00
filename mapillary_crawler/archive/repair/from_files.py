"""A ledger for what lies in staging without one: what is here is kept once it is listed again.

Images are found by their paths, and decoded. Nothing says which of them the service still lists:
so a crawl lists the user from the start, and what it lists that was found here is saved already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from mapillary_crawler.archive.adopt.foreign_folder import ForeignTar
from mapillary_crawler.archive.adopt.image_paths import is_day, tar_named
from mapillary_crawler.archive.adopt.judged import Judge, Judged, file_of
from mapillary_crawler.archive.finish.rebuild import new_ledger
from mapillary_crawler.archive.repair.from_manifests import set_aside
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import digests_of
from mapillary_crawler.collection.layout import (
    EXTENSIONS,
    IMAGES,
    LEDGER_PATH,
    STATE,
    TAR,
    files,
    is_clutter,
)
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FoundFile
from mapillary_crawler.terminal.work_display import WorkDisplay

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: images in files and tars, their bytes, and what was no good image."""

    images: int
    size: int
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """The files of a collection in the making."""

    path: Path

    def loose(self) -> Iterator[str]:
        """Yield the paths of images below folders of days."""
        with descent.opened_folder(self.path):
            names = sorted(entry.name for entry in self.path.iterdir())
        for name in names:
            if is_day(name):
                with descent.opened_folder(self.path, name):
                    pass
                for path in files(self.path, f"{name}/"):
                    if path.endswith(IMAGES) and not is_clutter(path):
                        yield path

    def tars(self) -> list[ForeignTar]:
        """Return the tars of days."""
        found = []
        for path in sorted(self.path.glob(f"*{TAR}")):
            named = tar_named(path.name)
            if named and named.day and descent.is_file(self.path, path.name):
                found.append(ForeignTar(path, named.day, named.part, EXTENSIONS))
        return found


def ledger_from_files(folder: Path, shown: WorkDisplay, *, walk: bool = True) -> Found:
    """Make a ledger that knows what is here; one that cannot be read is kept beside it.

    Raises `NotFollowed`, `OSError`.
    """
    with descent.opened_folder(folder, STATE, make=True):
        pass
    set_aside(folder)
    with new_ledger(folder / LEDGER_PATH) as ledger, Judge(walk=walk) as judge:
        return _find(ledger, StagedFiles(folder), judge, shown)


def _find(ledger: Ledger, staged: StagedFiles, judge: Judge, shown: WorkDisplay) -> Found:
    images = size = 0
    refused: list[str] = []
    passed_over: list[tuple[str, str, int | None]] = []
    tars = staged.tars()
    sizes = [tar.path.stat().st_size for tar in tars]
    loose = sum(descent.status(staged.path, path).st_size for path in staged.loose())
    shown.begin("looking at", len(tars) + 1, sum(sizes) + loose)

    def take(judged: Iterator[Judged], piece: int | None, tar: str = "") -> None:
        nonlocal images, size
        for good, bad in found_files(judged, piece):
            refused.extend(each.name for each in bad)
            if piece is not None:
                passed_over.extend((tar, each.name, each.offset) for each in bad)
            ledger.found.add(good)
            images += len(good)
            size += sum(each.size for each in good)
            shown.advance(sum(file.size for file in good) + sum(each.size for each in bad))

    for tar, tar_size in zip(tars, sizes, strict=True):
        assert tar.day is not None
        shown.begin_file(tar.path.name, tar_size)
        piece = ledger.pieces.start_tar(tar.path.name, tar.day, tar.part)
        damage: list[str] = []
        take(judge.tar(tar, damage.append), piece, tar.path.name)
        refused += damage
        ledger.pieces.written(piece, **asdict(digests_of(tar.path)))
        ledger.pieces.seal_tar(piece, [])
        shown.end_file()
    shown.begin_file("loose files", loose)
    take(judge.loose(staged), None)
    shown.end_file()
    ledger.facts.set(passed_over=passed_over)
    return Found(images, size, tuple(refused))


def found_files(
    judged: Iterator[Judged], piece: int | None
) -> Iterator[tuple[list[FoundFile], list[Judged]]]:
    """Yield what was judged, some at a time: good images, of a tar if `piece` is one, and others.

    A good one lies where an image of its id is stored.
    """
    while batch := list(islice(judged, _BATCH)):
        good, bad = [], []
        for each in batch:
            if each.place and each.sha256 and not each.fault:
                good.append(_file(each, piece))
            else:
                bad.append(each)
        yield good, bad


def _file(judged: Judged, piece: int | None) -> FoundFile:
    file = file_of(judged)
    assert file.day is not None
    return FoundFile(**asdict(file), piece=piece, offset=judged.offset if piece else None)
