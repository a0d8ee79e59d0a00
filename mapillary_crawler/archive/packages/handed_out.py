"""How far a collection is that was handed out, by the names of its packages."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.packages.errors import DamagedPackage
from mapillary_crawler.archive.packages.names import (
    CUT,
    Kind,
    Package,
    read_generation,
    read_package,
)
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.limits import STATE_BYTES
from mapillary_crawler.ledger.records import Slice, SliceState

#: What a number of images or of a slice is below.
_MOST = 10**12
#: What the version of a program and the id of a cut look like: they become parts of names.
_VERSION, _ID = re.compile(r"[0-9A-Za-z.+!_-]{1,64}"), re.compile(r"[0-9a-f]{1,64}")
_WHOLE = (Kind.WHOLE, 0)
#: Looks until what is not there is missing: names change while they are read.
_LOOKS = 3


@dataclass(frozen=True)
class HandedOut:
    """A collection of several machines, as it was when it was looked at.

    `root` is where packages are on the shared folder; `version` that of the program which has cut
    it, `cut` the cut's id. `packages` are those that count, `whole` among them.
    """

    root: Path
    collection: str
    generation: int
    version: str
    cut: str
    whole: Package
    packages: Mapping[int, Package]
    _parts: Sequence[Slice]

    @property
    def below(self) -> str:
        """Where its packages are, below the root."""
        return f"{self.collection}/{self.generation}"

    @cached_property
    def slices(self) -> list[Slice]:
        """The slices in order; one that waits for URLs does so until those of the whole are new."""
        return [self._looked_at(part) for part in self._parts]

    def _looked_at(self, part: Slice) -> Slice:
        package = self.packages.get(part.number)
        if package is None:
            return part
        if package.kind is Kind.ENDED:
            return replace(part, state=SliceState.ENDED)
        return replace(part, wants_urls=package.waits is not None and self._is_new(package.waits))

    def _is_new(self, waits: int) -> bool:
        return waits >= self.whole.version

    @property
    def open_ones(self) -> list[Slice]:
        """The slices that have not ended."""
        return [part for part in self.slices if part.state is SliceState.OPEN]

    @property
    def mark(self) -> str:
        """What tells its packages, as they are now, from all others; to be part of a name."""
        names = sorted(package.name for package in (self.whole, *self.packages.values()))
        return sha256("\n".join([self.cut, *names]).encode()).hexdigest()[:12]


def look(root: Path, collection: str) -> HandedOut | None:
    """Return how far a collection is, None where it was not handed out.

    Raises `DamagedPackage` where what lies there is none of this program's; `OSError`, too, where
    the root itself is not there: then the disk is away, and it is not known.
    """
    for _ in range(_LOOKS):
        generation = last_generation(root, collection)
        if generation is None:
            return None
        below = f"{collection}/{generation}"
        with suppress(FileNotFoundError):  # it has just given way to another, or is finished
            found = _counting(folders_in(root, below))
            if _WHOLE in found:
                return _put_together(root, collection, generation, found)
    raise DamagedPackage(root / below, "lacks what it should have")


def _counting(names: Iterable[str]) -> dict[tuple[Kind, int], Package]:
    """Return the packages that count: of the whole, and of each slice."""
    found: dict[tuple[Kind, int], Package] = {}
    for package in filter(None, map(read_package, names)):
        kind = Kind.WHOLE if package.kind is Kind.WHOLE else Kind.OPEN
        place = (kind, package.number)
        found[place] = max(found.get(place, package), package, key=_weight)
    return found


def _weight(package: Package) -> tuple[bool, int]:
    return package.kind is Kind.ENDED, package.version


def _put_together(
    root: Path, collection: str, generation: int, found: Mapping[tuple[Kind, int], Package]
) -> HandedOut:
    version, cut, parts = _read_cut(root, f"{collection}/{generation}")
    packages = {
        part.number: found[Kind.OPEN, part.number]
        for part in parts
        if (Kind.OPEN, part.number) in found
    }
    return HandedOut(root, collection, generation, version, cut, found[_WHOLE], packages, parts)


def last_generation(root: Path, collection: str) -> int | None:
    """Return the number of a collection's last hand-out, None where there is none.

    Raises `OSError`, as `look`.
    """
    try:
        names = folders_in(root, collection)
    except FileNotFoundError:
        if not root.is_dir():
            raise
        return None
    numbers = (read_generation(name) for name in names)
    return max((number for number in numbers if number is not None), default=None)


def folders_in(root: Path, below: str) -> list[str]:
    """Return the names of the folders in one below root."""
    with descent.opened_folder(root, below) as handle, os.scandir(handle) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def cut_bytes(version: str | None, cut: str | None, parts: Sequence[Slice]) -> bytes:
    """Return what `cut.json` holds."""
    slices = [(part.number, part.images, part.first_day, part.last_day) for part in parts]
    return json.dumps({"version": version, "cut": cut, "slices": slices}, indent=1).encode()


def _read_cut(root: Path, below: str) -> tuple[str, str, list[Slice]]:
    path = f"{below}/{CUT}"
    try:
        fields = json.loads(descent.read(root, path, STATE_BYTES * 16))
        parts = [_slice(*each) for each in fields["slices"]]
        return _matching(_VERSION, fields["version"]), _matching(_ID, fields["cut"]), parts
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DamagedPackage(root / path, "is not what this program writes there") from None


def _slice(number: Any, images: Any, first: Any, last: Any) -> Slice:
    return Slice(_count(number), _count(images), _text(first), _text(last))


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError
    return value


def _matching(form: re.Pattern[str], value: Any) -> str:
    if not form.fullmatch(_text(value)):
        raise ValueError
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
