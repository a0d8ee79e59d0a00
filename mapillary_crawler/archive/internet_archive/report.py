"""Pure: figures as a person reads them, aligned and with thousands separated."""

from __future__ import annotations

from mapillary_crawler.archive.internet_archive.archived_item import HOME
from mapillary_crawler.archive.internet_archive.statistics import Count, Statistics
from mapillary_crawler.terminal.quantities import size
from mapillary_crawler.terminal.tables import Table

_AMOUNTS = ("items", "images", "size")


def report(statistics: Statistics, *, users: bool) -> str:
    """Return the tables of `ia_stats`."""
    total = statistics.total
    parts = [
        Table(
            ("what", "count"),
            frozenset({"count"}),
            [
                ("collections", f"{total.collections:,}"),
                ("items", f"{total.items:,}"),
                ("users", f"{len(statistics.users):,}"),
                ("images", f"{total.images:,}"),
                ("unique images", f"{statistics.unique_images:,}"),
                ("size", size(total.bytes)),
            ],
            headed=False,
        ).lines(),
        _counts("quality", statistics.qualities),
    ]
    if statistics.outside:
        parts.append(_outside(statistics))
    if users:
        parts.append(_counts("user", statistics.users))
    notes = []
    if statistics.uncounted:
        notes.append(f"{statistics.uncounted:,} items do not say how many images they have.")
    if statistics.foreign:
        notes.append(
            f"{len(statistics.foreign):,} items have other identifiers and are not counted."
        )
    parts.append(notes)
    return "\n\n".join("\n".join(part) for part in parts if part)


def _counts(what: str, counts: dict[str, Count]) -> list[str]:
    table = Table((what, "collections", *_AMOUNTS), frozenset({"collections", *_AMOUNTS}))
    for name, count in counts.items():
        table.rows.append((name, f"{count.collections:,}", *_amounts(count)))
    return table.lines()


def _outside(statistics: Statistics) -> list[str]:
    table = Table((f"outside {HOME}, by uploader", *_AMOUNTS), frozenset(_AMOUNTS))
    for uploader, items in statistics.outside.items():
        count = Count()
        for item in items:
            count.add(item)
        table.rows.append((uploader, *_amounts(count)))
    return table.lines()


def _amounts(count: Count) -> tuple[str, str, str]:
    return f"{count.items:,}", f"{count.images:,}", size(count.bytes)
