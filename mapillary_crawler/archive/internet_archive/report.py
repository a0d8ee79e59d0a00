"""Pure: figures as a person reads them, aligned and with thousands separated."""

from __future__ import annotations

from collections.abc import Sequence

from mapillary_crawler.archive.internet_archive.archived_item import HOME
from mapillary_crawler.archive.internet_archive.statistics import Count, Statistics
from mapillary_crawler.terminal.quantities import size


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return lines


def report(statistics: Statistics, *, users: bool) -> str:
    """Return the tables of `ia_stats`."""
    total = statistics.total
    parts = [
        aligned(
            [
                ("collections", f"{total.collections:,}"),
                ("items", f"{total.items:,}"),
                ("users", f"{len(statistics.users):,}"),
                ("images", f"{total.images:,}"),
                ("unique images", f"{statistics.unique_images:,}"),
                ("size", size(total.bytes)),
            ]
        ),
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
    rows = [(what, "collections", "items", "images", "size")]
    rows += [
        (
            name,
            f"{count.collections:,}",
            f"{count.items:,}",
            f"{count.images:,}",
            size(count.bytes),
        )
        for name, count in counts.items()
    ]
    return aligned(rows)


def _outside(statistics: Statistics) -> list[str]:
    rows = [(f"outside {HOME}, by uploader", "items", "images", "size")]
    for uploader, items in statistics.outside.items():
        count = Count()
        for item in items:
            count.add(item)
        rows.append((uploader, f"{count.items:,}", f"{count.images:,}", size(count.bytes)))
    return aligned(rows)
