"""Collections made through the ledger, without a crawl, and what a finish makes of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from mapillary_crawler.archive.finish.finishing import Finished, finish_collection
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection, capture_day, member_path, sequence_part
from mapillary_crawler.graph.rows import listed_row
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Bare, State, StoredFile
from mapillary_crawler.ledger.thread import LedgerHere

ANN = Collection("ann")
NOON = 1_705_320_000_123  # 2024-01-15 12:00:00.123 UTC
DAY = 86_400_000


@dataclass(frozen=True)
class Picture:
    """An image as the service has it, and what the crawl came to."""

    image_id: Any
    captured_at: int | None = NOON
    sequence: str | None = "seq"
    body: bytes = b"a picture"
    state: State = State.SAVED
    extension: str = "jpg"
    bare: str | None = None
    sha256_jpeg: bytes | None = None

    @property
    def path(self) -> str:
        day, sequence = capture_day(self.captured_at), sequence_part(self.sequence)
        return member_path(day, sequence, str(self.image_id), self.extension)

    @property
    def row(self) -> dict[str, Any]:
        """The listed row, as the Graph API gives it."""
        fields = {
            "id": self.image_id, "captured_at": self.captured_at, "sequence": self.sequence,
            "geometry": {"type": "Point", "coordinates": [13.4, 52.5]},
        }  # fmt: skip
        return {name: value for name, value in fields.items() if value is not None}


def jpeg(
    width: int = 400, height: int = 300, colour: str = "teal", orientation: int | None = None
) -> bytes:
    """Return a real JPEG whose left half is black."""
    picture = Image.new("RGB", (width, height), colour)
    picture.paste("black", (0, 0, width // 2, height))
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    packed = io.BytesIO()
    picture.save(packed, "JPEG", exif=exif)
    return packed.getvalue()


def pictures(days: int = 3, a_day: int = 6, size: int = 3000, seed: int = 1) -> list[Picture]:
    """Return images of all kinds: several days, undated, without a sequence, gone, damaged."""
    generator = random.Random(seed)
    made = [
        Picture(
            image_id=str(10**14 + generator.randrange(10**15)),
            captured_at=NOON + day * DAY + number * 1000,
            sequence=generator.choice(["AbC-1", "abc_2", "Zz", None]),
            body=generator.randbytes(generator.randrange(1, size)),
        )
        for day in range(days)
        for number in range(a_day)
    ]
    odd = [
        replace(made[0], image_id="99", body=jpeg(), captured_at=NOON - 1),
        Picture("7", captured_at=None, body=b"no date"),
        Picture("odd id/../ü", captured_at=None, sequence=None, body=b"odd"),
        Picture("0", captured_at=0, sequence="../..", body=b"1970"),
        Picture(12345678901234567, body=b"an id that came as a number"),
        Picture("31", captured_at=NOON + DAY, body=b"\xff\xd8 cut", state=State.DAMAGED),
        Picture("32", captured_at=NOON + DAY, state=State.GONE),
        Picture("34", captured_at=NOON, body=b"PNG", extension="png", bare=Bare.OTHER_FORMAT),
        Picture("35", captured_at=None, body=b"no place", bare=Bare.NO_PLACE),
        Picture("33", captured_at=None, state=State.UNAVAILABLE),
    ]
    return made + odd


def add(
    folder: Path, some: Sequence[Picture], collection: Collection = ANN, *, seed: int | None = None
) -> None:
    """List and store images; with a seed, in a random order and in random batches."""
    some = list(some)
    ledger = Ledger(_ledger_folder(folder))
    try:
        if ledger.listing.position().closed:
            ledger.listing.reopen()
        listed = [listed_row(picture.row, collection) for picture in some]
        assert all(listed)
        known = ledger.images.listed()
        ledger.listing.commit(None, None, listed)  # type: ignore[arg-type]
        numbered = list(enumerate(some, known + 1))
        if seed is not None:
            random.Random(seed).shuffle(numbered)
        for first in range(0, len(numbered), 64):
            settle(folder, ledger, numbered[first : first + 64])
        ledger.listing.close()
    finally:
        ledger.close()


def settle(folder: Path, ledger: Ledger, some: Iterable[tuple[int, Picture]]) -> None:
    """Bring images, by their numbers, into the states that the crawl came to; files too."""
    stored = []
    for number, picture in some:
        if picture.state in (State.SAVED, State.DAMAGED):
            stored.append(store(folder, number, picture))
        elif picture.state is not State.UNSETTLED:
            ledger.images.settle([number], picture.state)
    ledger.images.save(stored)


def store(folder: Path, number: int, picture: Picture) -> StoredFile:
    """Write an image's file, and return what the ledger is to have of it."""
    path = folder / picture.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.body)
    if picture.captured_at is not None:
        os.utime(path, ns=(picture.captured_at * 1_000_000,) * 2)
    return StoredFile(
        number=number,
        extension=picture.extension,
        sha256_served=hashlib.sha256(b"served" + picture.body).digest(),
        sha256_stored=hashlib.sha256(picture.body).digest(),
        size=len(picture.body),
        damaged=picture.state is State.DAMAGED,
        bare=picture.bare,
        sha256_jpeg=picture.sha256_jpeg,
    )


def _ledger_folder(folder: Path) -> Path:
    path = folder / LEDGER_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def finish(
    folder: Path,
    store: Path,
    collection: Collection = ANN,
    *,
    tar: bool = True,
    tar_max_bytes: int = 10_240 * 2,
    accept_failed: bool = False,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
) -> Finished:
    """Finish a collection and close its ledger, whatever happens."""
    ledger = Ledger(folder / LEDGER_PATH)
    try:
        return finish_collection(
            LedgerHere(ledger),
            collection,
            folder,
            store / collection.name,
            tar=tar,
            tar_max_bytes=tar_max_bytes,
            accept_failed=accept_failed,
            stop=stop,
            say=say,
        )
    finally:
        ledger.close()


def deterministic_set(folder: Path) -> dict[str, bytes]:
    """Return the files that are the same for the same service state, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.relative_to(folder).parts[0] not in (".crawl", "__ia_thumb.jpg")
        and not path.name.startswith("download.log.")
    }


def made_in_one(folder: Path, some: Sequence[Picture]) -> dict[str, bytes]:
    """Return what one process makes of images, in a folder for it."""
    add(folder / ANN.name, some)
    return deterministic_set(finish(folder / ANN.name, folder / "store").destination)


def members(folder: Path) -> dict[str, bytes]:
    """Return the members of all tars by name."""
    found = {}
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                assert member.name not in found
                found[member.name] = content.read()
    return found


def manifest(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a manifest."""
    content = (folder / name).read_bytes()
    text = gzip.decompress(content) if name.endswith(".gz") else content
    return [json.loads(line) for line in text.splitlines()]


def saved(some: Iterable[Picture]) -> dict[str, bytes]:
    """Return the images that are to be in the collection, by member."""
    return {
        picture.path: picture.body
        for picture in some
        if picture.state in (State.SAVED, State.DAMAGED)
    }
