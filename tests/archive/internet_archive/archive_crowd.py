"""Items as many people put them on archive.org over the years, from a seed."""

from __future__ import annotations

import random
from typing import Any

from mapillary_crawler.collection.names import QUALITIES, escape

_NAMES = ("anna", "bo", "chris-1024", "dora-original", "Eve", "f-webp", "gus-vol02", "зоя", "h o")
_UPLOADERS = ("ann@example.org", "ben@example.org", "cleo@example.org")


def crowd(count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Return `count` items by identifier, as the metadata API has them.

    `sandbox` in each says what it really is: user, quality, webp, volume, images (None where
    the description does not say), or nothing for an item with an identifier of another kind.
    """
    chance = random.Random(seed)
    items: dict[str, dict[str, Any]] = {}
    while len(items) < count:
        username = f"{chance.choice(_NAMES)}{chance.randrange(count) or ''}"
        quality, webp = chance.choice(QUALITIES), chance.random() < 0.3
        base = f"mapillary-{escape(username)}-{quality}" + ("-webp" if webp else "")
        for volume in range(1, 1 + (chance.randint(2, 4) if chance.random() < 0.05 else 1)):
            identifier = base if volume == 1 else f"{base}-vol{volume:02d}"
            if identifier not in items and len(items) < count:
                items[identifier] = _item(
                    chance,
                    identifier,
                    username=username,
                    quality=quality,
                    webp=webp,
                    volume=volume,
                )
    for number in range(count // 1000):
        items.pop(chance.choice(list(items)))
        identifier = f"street-pictures-{number}"
        items[identifier] = _metadata(chance, identifier, "Contains 5 images in a box.")
    return items


def _item(
    chance: random.Random,
    identifier: str,
    *,
    username: str,
    quality: str,
    webp: bool,
    volume: int,
) -> dict[str, Any]:
    images = chance.choice((1, 999, chance.randrange(1000, 2_000_000), None))
    contains = "" if images is None else f"Contains {images:,} images in {quality}px resolution. "
    description = f"Street-level imagery from Mapillary user '{username}'. {contains}More text."
    item = _metadata(chance, identifier, description)
    item["sandbox"] = {
        "username": username,
        "quality": quality,
        "webp": webp,
        "volume": volume,
        "images": images,
    }
    return item


def _metadata(chance: random.Random, identifier: str, description: str) -> dict[str, Any]:
    home = chance.choice(("mapillary-images", ["mapillary-images", "data"], "opensource"))
    return {
        "item_size": chance.randrange(10**10),
        "files": [],
        "metadata": {
            "identifier": identifier,
            "mediatype": "data",
            "collection": home if chance.random() < 0.06 else "mapillary-images",
            "description": chance.choice((description, [description])),
            "mapillary_downloader": "0.12.0",
            "scanner": chance.choice(
                (["mapillary_downloader 0.12.0", "rip"], "mapillary_crawler 0.1.0")
            ),
            "uploader": chance.choice(_UPLOADERS),
        },
    }
