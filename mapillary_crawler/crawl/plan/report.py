"""Pure: a plan as a person reads it."""

from __future__ import annotations

from mapillary_crawler.archive.internet_archive.presence import Presence
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.crawl.plan.contents import Plan, day
from mapillary_crawler.crawl.plan.estimate import Estimate
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.tables import Table

#: Cameras that are named.
_CAMERAS = 5


def overview(plan: Plan) -> list[str]:
    """Return what was listed."""
    extent, balance = plan.extent, plan.balance
    images = f"{extent.images:,}, {plan.kinds.panoramas:,} of them panoramas"
    if balance.outside:
        images += f"; {balance.outside:,} more lie outside the selection"
    captured = "without dates"
    if extent.first is not None:
        captured = f"{day(extent.first)} to {day(extent.last)}, on {extent.days:,} days"
        if extent.undated:
            captured += f"; {extent.undated:,} without a date"
    cameras = ", ".join(f"{name} {count:,}" for name, count in plan.kinds.cameras[:_CAMERAS])
    if more := len(plan.kinds.cameras) - _CAMERAS:
        cameras += f", and {more} more" if more > 0 else ""
    return [
        plan.collection.title,
        *_lines(("images", images), ("captured", captured),
                ("sequences", f"{extent.sequences:,}"), ("cameras", cameras)),
    ]  # fmt: skip


def sizes(plan: Plan) -> Table:
    """Return the estimated bytes of each quality."""
    table = Table(
        ("quality", "estimate", "an image", "sample", ""),
        frozenset({"estimate", "an image", "sample"}),
    )
    collection = plan.collection
    for quality, found in plan.estimates().items():
        chosen = quality == collection.quality
        note = _as_chosen(collection) if chosen else ""
        table.rows.append((quality, *_cells(found), note))
    return table


def _as_chosen(collection: Collection) -> str:
    if collection.jxl:
        return "as JPEG XL, chosen"
    return "as WebP, chosen" if collection.webp else "chosen"


def _cells(found: Estimate | None) -> tuple[str, str, str]:
    if found is None:
        return "unknown", "-", "0"
    error = f" ± {quantities.size(found.error)}" if found.error is not None else ""
    sample = f"{found.sample}"
    return f"{quantities.size(found.size)}{error}", quantities.size(found.mean), sample


def needs(plan: Plan, item_max_bytes: int, command: str) -> list[str]:
    """Return what the crawl needs, what is there already, and the command that goes on."""
    time = "unknown"
    if plan.seconds is not None and plan.sample.images_per_second is not None:
        speed = quantities.rate(plan.sample.images_per_second)
        time = f"{quantities.duration(plan.seconds)} if all come as the sample, {speed} images/s"
    saved = f"{plan.balance.saved:,} saved, {plan.left:,} to fetch"
    if plan.siblings:
        saved += f"; also here: {', '.join(plan.siblings)}"
    return _lines(
        ("disk", _disk(plan)),
        ("time", time),
        ("upload", _upload(plan, plan.items(item_max_bytes))),
        ("here", saved),
        ("crawl", command),
    )


def _disk(plan: Plan) -> str:
    """Return what the disk has to hold, and whether it can."""
    needed, free = (
        "unknown" if size is None else quantities.size(size) for size in (plan.disk, plan.free)
    )
    text = f"{needed} needed, {free} free"
    if plan.disk is not None and plan.free is not None and not plan.fits:
        text += f": it does not fit, {quantities.size(plan.disk - plan.free)} are missing"
    return text


def _upload(plan: Plan, items: int | None) -> str:
    if items == 0:
        return "none: a selection is not uploaded"
    text = "unknown" if items is None else f"{items} item{'s' * (items > 1)} on archive.org"
    if plan.presence is Presence.EXISTS:
        text += f"; {plan.collection.identifier} exists there already"
    elif plan.presence not in (None, Presence.ABSENT):
        text += f"; {plan.collection.identifier} {plan.presence.value}"
    return text


def _lines(*rows: tuple[str, str]) -> list[str]:
    return [f"  {name:<10} {text}" for name, text in rows]
