"""The figures of `ia_stats`: for people, aligned and with thousands separated, and as JSON."""

from __future__ import annotations

import json
import time
from typing import Any

from mapillary_crawler.archive.internet_archive.archived_item import HOME
from mapillary_crawler.archive.internet_archive.cache import Found
from mapillary_crawler.archive.internet_archive.statistics import Count, Statistics, statistics
from mapillary_crawler.terminal.quantities import age, size
from mapillary_crawler.terminal.tables import Table, columns_of_output

_AMOUNTS = ("items", "images", "size")


def as_text(found: Found, *, users: bool) -> str:
    """Return when the search was and its figures as tables; `users` adds those of each user."""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.fetched_at))
    tables = report(statistics(found.items), users=users)
    return (
        f"Mapillary on archive.org as of {when} ({age(time.time() - found.fetched_at)})\n\n{tables}"
    )


def as_json(found: Found, *, users: bool) -> str:
    """Return the same as JSON, counts and bytes as numbers."""
    figures = statistics(found.items)
    answer: dict[str, Any] = {
        "fetched_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.fetched_at)),
        "age_seconds": int(max(0.0, time.time() - found.fetched_at)),
        **figures.as_json(),
    }
    if users:
        answer["by_user"] = figures.users_as_json()
    return json.dumps(answer, indent=2, ensure_ascii=False)


def report(figures: Statistics, *, users: bool) -> str:
    """Return figures as tables."""
    total = figures.total
    parts = [
        Table(
            ("what", "count"),
            frozenset({"count"}),
            [
                ("collections", f"{total.collections:,}"),
                ("items", f"{total.items:,}"),
                ("users", f"{len(figures.users):,}"),
                ("images", f"{total.images:,}"),
                ("unique images", f"{figures.unique_images:,}"),
                ("size", size(total.bytes)),
            ],
            headed=False,
        ).lines(columns_of_output()),
        _counts("quality", figures.qualities),
    ]
    if figures.outside:
        parts.append(_outside(figures))
    if users:
        parts.append(_counts("user", figures.users))
    notes = []
    if figures.uncounted:
        notes.append(f"{figures.uncounted:,} items do not say how many images they have.")
    if figures.foreign:
        notes.append(f"{len(figures.foreign):,} items have other identifiers and are not counted.")
    parts.append(notes)
    return "\n\n".join("\n".join(part) for part in parts if part)


def _counts(what: str, counts: dict[str, Count]) -> list[str]:
    table = Table((what, "collections", *_AMOUNTS), frozenset({"collections", *_AMOUNTS}))
    for name, count in counts.items():
        table.rows.append((name, f"{count.collections:,}", *_amounts(count)))
    return table.lines(columns_of_output())


def _outside(figures: Statistics) -> list[str]:
    table = Table((f"outside {HOME}, by uploader", *_AMOUNTS), frozenset(_AMOUNTS))
    for uploader, items in figures.outside.items():
        count = Count()
        for item in items:
            count.add(item)
        table.rows.append((uploader, *_amounts(count)))
    return table.lines(columns_of_output())


def _amounts(count: Count) -> tuple[str, str, str]:
    return f"{count.items:,}", f"{count.images:,}", size(count.bytes)
