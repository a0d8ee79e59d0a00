"""`index.html` and `sequences.geojson`: what people and maps look at, from the ledger alone.

The saved images go by once, whatever is made of them; memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mapillary_crawler.archive.finish.manifests import record, remove_piece
from mapillary_crawler.archive.finish.samples import take_samples
from mapillary_crawler.archive.finish.tags import Contents
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.archive.page import resources
from mapillary_crawler.archive.page.census import Census
from mapillary_crawler.archive.page.contents import MOST_SAMPLES, PageContents, Picture
from mapillary_crawler.archive.page.html import page
from mapillary_crawler.archive.page.tracks import Tracks
from mapillary_crawler.archive.saved_images import check, check_taken, fields_of
from mapillary_crawler.archive.tracks.geojson import feature_collection
from mapillary_crawler.archive.tracks.lines import Line, lines
from mapillary_crawler.archive.tracks.sequences import stretches_of
from mapillary_crawler.collection.durable import WholeFile
from mapillary_crawler.collection.layout import PAGE, TRACKS, VIEWS
from mapillary_crawler.image.fields import camera_position
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ImageRecord


def write_views(work: Work, contents: Contents) -> None:
    """Write both, unless the collection is to have none (`page=0`); from then on it has them."""
    if work.ledger.wait_for(lambda ledger: ledger.facts.get("page")) is False:
        for name in VIEWS:
            remove_piece(work, name)
        return
    take_samples(work)
    census, tracks = Census(), Tracks()
    stretches = census.counted(stretches_of(work.ledger))
    with WholeFile(work.folder / TRACKS, work.scratch) as file:
        for row in feature_collection(_kept(lines(stretches), census, tracks)):
            work.check_stop()
            file.write(row)
    record(work, file)
    pictures = work.ledger.wait_for(_pictures)
    shown = PageContents(
        contents.collection, contents.balance, contents.tar, census, tracks, pictures
    )
    with WholeFile(work.folder / PAGE, work.scratch) as file:
        file.write(page_of(shown))
    record(work, file)


def page_of(contents: PageContents) -> bytes:
    """Return the page as it is written."""
    style, script = (resources.read(name).decode() for name in ("page.css", "page.js"))
    return page(contents, style, script, resources.read("land.bin")).encode()


def _kept(found: Iterable[Line], census: Census, tracks: Tracks) -> Iterator[Line]:
    """Yield lines that go into a page, too."""
    for line in found:
        census.placed += line.placed
        tracks.add(line)
        yield line


def _pictures(ledger: Ledger) -> tuple[Picture, ...]:
    """Return the pictures of the page, and remember which they are: those stay."""
    kept = ledger.facts.get("page_samples")
    days = chosen_days(ledger.samples.days(), kept if isinstance(kept, list) else [])
    ledger.facts.set(page=True, page_samples=days)
    return tuple(
        Picture(image, jpeg, (position.longitude, position.latitude) if position else None)
        for image, jpeg in map(_checked, ledger.samples.of(days))
        for position in (camera_position(fields_of(ledger, image)),)
    )


def _checked(sample: tuple[ImageRecord, bytes]) -> tuple[ImageRecord, bytes]:
    """Return a sample whose image is one; raises `Refused`."""
    check(sample[0])
    check_taken(sample[0].day, sample[0].sequence)
    return sample


def chosen_days(days: Sequence[str], kept: Sequence[str], most: int = MOST_SAMPLES) -> list[str]:
    """Return the days whose pictures a page has: those it had, then others, evenly spaced."""
    chosen = [day for day in days if day in kept][:most]
    others = [day for day in days if day not in chosen]
    room = min(most - len(chosen), len(others))
    spread = (others[(2 * step + 1) * len(others) // (2 * room)] for step in range(room))
    return sorted([*chosen, *spread])
