"""Pure: what several plans come to, from the fields of each (`Plan.fields`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mapillary_crawler.collection.names import QUALITIES
from mapillary_crawler.terminal import quantities

#: Fields that are added up, whole numbers all.
_ADDED = ("images", "outside", "panoramas", "saved", "gone", "unavailable", "left")
#: The same, None where it is so for one of the plans.
_KNOWN = ("disk_needed", "seconds", "items")


def total(plans: Sequence[Mapping[str, Any]], *, users: int) -> dict[str, Any]:
    """Return the sum of plans as JSON can hold it; what one of them does not know is null.

    `users` is how many were asked for; those archived already, or without images, have no plan.
    Free room is that of the last plan: they share a disk.
    """
    needed = _sum(plans, "disk_needed")
    free = plans[-1]["disk_free"] if plans else None
    return {
        "username": None,
        "users": users,
        "planned": len(plans),
        **{name: sum(plan[name] for plan in plans) for name in _ADDED},
        "bytes": {
            quality: _bytes([plan["bytes"][quality] for plan in plans]) for quality in QUALITIES
        },
        **{name: _sum(plans, name) for name in _KNOWN},
        "disk_free": free,
        "fits": None if needed is None or free is None else needed <= free,
    }


def _sum(plans: Sequence[Mapping[str, Any]], name: str) -> int | None:
    values = [plan[name] for plan in plans]
    return None if None in values else sum(values)


def _bytes(estimates: Sequence[Mapping[str, Any] | None]) -> dict[str, int | None] | None:
    """Return the sum of estimates; their errors are of samples that know nothing of each other."""
    if not estimates or None in estimates:
        return None
    known = [estimate for estimate in estimates if estimate is not None]
    errors = [estimate["error"] for estimate in known]
    error = None if None in errors else round(math.hypot(*errors))
    return {"size": sum(estimate["size"] for estimate in known), "error": error}


def lines(total: Mapping[str, Any], quality: str) -> list[str]:
    """Return the sum as a person reads it."""
    without = total["users"] - total["planned"]
    users = f"{total['planned']:,} planned" + f", {without:,} without a plan" * bool(without)
    estimate = total["bytes"][quality]
    size = "unknown"
    if estimate is not None:
        error = estimate["error"]
        size = quantities.size(estimate["size"])
        size += f" ± {quantities.size(error)}" if error is not None else ""
    needed, free = total["disk_needed"], total["disk_free"]
    disk = "unknown" if needed is None else quantities.size(needed)
    disk += f" needed, {'unknown' if free is None else quantities.size(free)} free"
    if total["fits"] is False:
        disk += f": it does not fit, {quantities.size(needed - free)} are missing"
    seconds = total["seconds"]
    time = "unknown" if seconds is None else quantities.duration(seconds)
    rows = (
        ("users", users),
        ("images", f"{total['images']:,}; {total['saved']:,} saved, {total['left']:,} to fetch"),
        ("size", f"{size} at {quality}"),
        ("disk", disk),
        ("time", f"{time}, one after another"),
    )
    return ["", "in all", *(f"  {name:<10} {text}" for name, text in rows)]
