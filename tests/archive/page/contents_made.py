"""Contents of pages, made up: walks through towns in several years, cameras, pictures."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mapillary_crawler.archive.finish.pictures import reduced
from mapillary_crawler.archive.finish.views import page_of
from mapillary_crawler.archive.page.contents import PageContents, Picture
from mapillary_crawler.archive.tracks.lines import Point
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.ledger.records import ImageRecord, State
from tests.archive.finish.made import jpeg
from tests.archive.tracks.made import line_of

_TOWNS = ((13.19, 55.70), (18.06, 59.33), (13.40, 52.52))
_CAMERAS = ("Apple iPhone 7", "GoPro HERO9 Black", "BlackVue DR900S")


def walk(rng: random.Random, images: int, start: int = 0, towns: int = 3) -> list[Point]:
    """Return the points of a walk through a town: straight on, and a turn at times."""
    longitude, latitude = rng.choice(_TOWNS[:towns])
    longitude, latitude = longitude + rng.gauss(0, 0.03), latitude + rng.gauss(0, 0.02)
    heading = rng.random() * math.tau
    points = []
    for number in range(images):
        heading += rng.choice((-1.57, 1.57, 3.14)) if rng.random() < 0.03 else rng.gauss(0, 0.02)
        longitude += 1e-4 * math.cos(heading)
        latitude += 6e-5 * math.sin(heading)
        points.append(Point(longitude, latitude, None, start + 2000 * number))
    return points


def contents(
    sequences: int = 60,
    pictures: int = 16,
    username: str = "alice",
    *,
    towns: int = 3,
    **fields: Any,
) -> PageContents:
    """Return what a page says of a user with some sequences; more fields replace made ones."""
    rng = random.Random(3)
    made = PageContents(Collection(username), Balance(), tar=True)
    census = made.census
    starts = []
    for number in range(sequences):
        year, month, on = rng.randrange(2015, 2026), rng.randrange(1, 13), rng.randrange(1, 28)
        moment = datetime(year, month, on, 9, tzinfo=UTC)
        start = int(moment.timestamp() * 1000)
        points = walk(rng, rng.randrange(2, 300), start, towns)
        name = f"sequence{number}"
        made.tracks.add(line_of(points, name))
        day = f"{moment:%Y-%m-%d}"
        census.days[day] += len(points)
        census.cameras[rng.choice(_CAMERAS)] += len(points)
        census.sequences += 1
        starts.append((day, points[0]))
    census.placed = census.images
    census.panoramas = census.images // 20
    balance = Balance(saved=census.images, gone=3, bytes_saved=census.images * 450_000)
    chosen = sorted(starts)[:: max(1, sequences // max(1, pictures))][:pictures]
    shown = tuple(picture(*each, number) for number, each in enumerate(chosen))
    return replace(made, **{"balance": balance, "pictures": shown, **fields})


def picture(day: str, point: Point, number: int, image_id: str | None = None) -> Picture:
    """Return a picture of a day."""
    colour = f"hsl({number * 40 % 360}, 35%, 55%)"
    small = reduced(jpeg(colour=colour))
    assert small
    image = ImageRecord(
        number=number + 1, image_id=image_id or str(10**15 + number), state=State.SAVED,
        captured_at=point.captured_at, day=day, sequence="s", extension="jpg", sha256_served=None,
        sha256_stored=bytes(32), size=48_213, tar=f"{day}.tar", offset=1536, page=1, row=1,
    )  # fmt: skip
    return Picture(image, small, (point.longitude, point.latitude))


def written(made: PageContents) -> str:
    """Return the page."""
    return page_of(made).decode()
