"""The faults of the sandbox: their names, defaults and meaning.

A *rate* is 0 to 1 and is drawn anew for each request, from the seed: a retry can succeed. Where a
list is allowed instead, it holds image ids, and the fault then always strikes those images.
"""

# ruff: noqa: RUF009 - `_fault` is dataclasses.field with an explanation
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from .archive_answers import ODD
from .archive_s3 import REFUSALS
from .archive_tasks import REFUSING
from .errors import TOKEN

#: A rate, or the ids of the images it always strikes.
Selector = float | tuple[str, ...]
_NEVER = -1


def _fault(default: Any, meaning: str, choices: tuple[str, ...] = ()) -> Any:
    return dataclasses.field(default=default, metadata={"meaning": meaning, "choices": choices})


@dataclass(frozen=True, slots=True)
class SurfaceFaults:
    """Faults that api, cdn and archive have in common."""

    latency_ms: float = _fault(0.0, "every answer waits so long")
    jitter_ms: float = _fault(0.0, "and up to so much longer")
    slow: Selector = _fault(0.0, "rate of answers that wait slow_ms more")
    slow_ms: float = _fault(5000.0, "see slow")
    knee: int = _fault(0, "above so many requests at once, each one more adds knee_ms; 0 is off")
    knee_ms: float = _fault(50.0, "see knee")
    ceiling: int = _fault(0, "above so many requests at once the answer is 429; 0 is off")
    server_error: Selector = _fault(0.0, "rate of 500, 502 and 503")
    too_many: Selector = _fault(0.0, "rate of 429")
    retry_after: float = _fault(1.0, "seconds in the Retry-After of a 429; negative sends none")
    retry_after_date: bool = _fault(False, "Retry-After is an HTTP date")
    reset: Selector = _fault(0.0, "rate of connections reset before or within the answer")
    cut: Selector = _fault(0.0, "rate of bodies that end before their Content-Length")
    stall: Selector = _fault(0.0, "rate of requests that are never answered")
    stall_body: Selector = _fault(0.0, "rate of answers that stop half-way and stay open")
    no_length: Selector = _fault(0.0, "rate of answers without Content-Length")
    html: Selector = _fault(0.0, "rate of status 200 with a log-in page")
    redirect: Selector = _fault(0.0, "rate of 302 to a log-in page")
    clock: float = _fault(0.0, "seconds by which the Date of answers is ahead of this machine")
    down: bool = _fault(False, "every connection is reset")
    outage_after: int = _fault(_NEVER, "an outage begins after so many requests; -1 is never")
    outage_seconds: float = _fault(5.0, "and lasts so long")
    outage: str = _fault(
        "error",
        "how it shows",
        ("error", "too_many", "rate_limit", "reset", "stall", "redirect"),
    )


@dataclass(frozen=True, slots=True)
class ApiFaults(SurfaceFaults):
    """Faults of the Graph API."""

    rate_limited: Selector = _fault(0.0, "rate of 403 with code 4")
    temporary: Selector = _fault(0.0, "rate of 500 with code 2")
    query_timeout: Selector = _fault(0.0, "rate of 400 with code -2, is_transient false")
    unknown_error: Selector = _fault(0.0, "rate of 500 with code 1 and subcode 99")
    too_much: Selector = _fault(0.0, "rate of 'reduce the amount of data' that a retry clears")
    too_much_above: int = _fault(0, "'reduce the amount of data' above this limit; 0 is off")
    broken_json: Selector = _fault(0.0, "rate of answers cut short, Content-Length matching")
    deep_json: Selector = _fault(0.0, "rate of pages nested 100,000 deep")
    error_in_200: Selector = _fault(0.0, "rate of status 200 with an error envelope")
    silent_empty: Selector = _fault(0.0, "rate of status 200 without rows, as if nothing existed")
    echo_token: bool = _fault(False, "texts of rows hold the token")
    long_cursor: int = _fault(0, "characters of every cursor at least; 0 is off")
    refuse_token: str = _fault("", "the disguise in which every token is refused", ("", *TOKEN))
    token_dies_after: int = _fault(_NEVER, "the token dies after so many requests; -1 is never")
    token_death: str = _fault("stopped", "the disguise it then has", tuple(TOKEN))
    paging: str = _fault(
        "normal",
        "what follows the last row",
        ("normal", "extra_page", "bare", "cursors_only"),
    )
    empty_page: Selector = _fault(0.0, "rate of pages within a listing without rows but with next")
    duplicates: Selector = _fault(0.0, "rate of rows that come twice in a page")
    repeated_rows: int = _fault(0, "rows of the page before that each page begins with")
    no_computed_page: Selector = _fault(0.0, "rate of pages without any computed_geometry")
    cursor_epoch: int = _fault(0, "changing it makes all cursors issued before invalid")
    reject_cursors_after: int = _fault(
        _NEVER, "cursors issued before this many requests are then rejected; -1 is never"
    )
    vanish: Selector = _fault(0.0, "images that cease to exist, a rate or ids")
    vanish_after: int = _fault(0, "after so many requests")
    vanish_listed: bool = _fault(False, "they stay in the listing")
    appear_after: int = _fault(
        _NEVER, "the users' late and new images appear after so many requests; -1 is never"
    )
    batch: str = _fault("holes", "a dead id in /?ids= is left out, or all fails", ("holes", "fail"))
    batch_max: int = _fault(50, "more ids than this are refused; 0 is no bound")
    unknown_user: str = _fault("empty", "answer for an unknown user", ("empty", "error"))
    undated_in_windows: bool = _fault(False, "undated images are in every date window")


@dataclass(frozen=True, slots=True)
class CdnFaults(SurfaceFaults):
    """Faults of the image CDN."""

    lifetime: float = _fault(30 * 86400.0, "seconds a URL lives, less a jitter under one percent")
    hosts: tuple[str, ...] = _fault((), "loopback names that URLs have in turn")
    expired: Selector = _fault(0.0, "rate of URLs given out that have expired already")
    altered: Selector = _fault(0.0, "rate of URLs given out whose signature is wrong")
    forbidden: Selector = _fault(0.0, "rate of 403 though the URL is good")
    not_found: Selector = _fault(0.0, "rate of 404 though the image exists")
    empty: Selector = _fault(0.0, "rate of empty bodies with status 200")
    truncated: Selector = _fault(0.0, "rate of JPEGs cut short, Content-Length matching")
    truncated_closed: Selector = _fault(0.0, "the same with an end marker (FFD9)")
    zero_filled: Selector = _fault(0.0, "rate of JPEGs whose second half is zeros")
    zero_filled_closed: Selector = _fault(0.0, "the same with an end marker (FFD9)")
    damaged: Selector = _fault(0.0, "images whose JPEG is damaged at the source, for ever")
    no_end: Selector = _fault(0.0, "images whose JPEG has no end marker, for ever")
    other_format: Selector = _fault(0.0, "images that are a PNG, GIF, WebP or AVIF, for ever")
    placeholder: Selector = _fault(0.0, "images for which one and the same PNG is served")
    absurd: Selector = _fault(0.0, "images whose JPEG claims 65,500 x 65,500 pixels, for ever")
    endless: Selector = _fault(0.0, "images whose body is endless_bytes long, for ever")
    endless_bytes: int = _fault(200_000_000, "see endless")
    gone_status: int = _fault(404, "status for dead and vanished images: 404, 410, 200 serves them")


@dataclass(frozen=True, slots=True)
class ArchiveFaults(SurfaceFaults):
    """Faults of archive.org; lists hold paths of S3, `/identifier/name`, if not said otherwise."""

    slow_down: Selector = _fault(0.0, "rate of uploads answered with 503 SlowDown")
    over_limit: int = _fault(1, "answers of check_limit that then say 'over'")
    bad_digest: Selector = _fault(0.0, "rate of uploads damaged on their way: 400 BadDigest")
    forbidden: Selector = _fault(0.0, "rate of uploads refused with 403")
    refusal: str = _fault("", "why every upload is refused", ("", *REFUSALS))
    odd_answer: str = _fault("", "how the metadata API is wrong about items", ("", *ODD))
    odd_answer_after: int = _fault(0, "after so many of its answers")
    reset_in_upload: Selector = _fault(0.0, "rate of uploads reset while their body is sent")
    task_seconds: float = _fault(0.0, "seconds until an accepted file is in its item")
    task_jitter: float = _fault(0.0, "and up to so many more")
    task_error: Selector = _fault(0.0, "rate of accepted files whose task fails for ever")
    tasks_paused: bool = _fault(False, "no task is done")
    tasks_hidden: bool = _fault(False, "metadata say nothing of tasks")
    tasks_api: str = _fault("", "how the Tasks API refuses to say anything", ("", *REFUSING))
    lost: Selector = _fault(0.0, "rate of accepted files that never come into their item")
    altered: Selector = _fault(0.0, "rate of accepted files that come with another md5")
    replaced: Selector = _fault(0.0, "rate of accepted files that somebody replaces later")
    replaced_after: int = _fault(1, "after so many answers about the item with the true md5")
    taken_after: int = _fault(0, "an item is somebody else's after so many uploads; 0 is never")
    dark_after: int = _fault(0, "an item is made dark after so many uploads; 0 is never")
    write_seconds: float = _fault(0.0, "seconds until an accepted metadata write is carried out")
    write_refused: Selector = _fault(
        0.0, "rate of metadata writes refused with 403; lists hold /metadata/identifier"
    )
    write_error: Selector = _fault(0.0, "rate of accepted ones whose task fails for ever")
    write_lost: Selector = _fault(0.0, "rate of accepted ones that change nothing")
    range_ignored: Selector = _fault(
        0.0, "rate of ranges answered with all; lists hold /download/identifier/name"
    )
    redirect_downloads: bool = _fault(False, "downloads are redirected to the item's server")


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults in force."""

    api: ApiFaults = dataclasses.field(default_factory=ApiFaults)
    cdn: CdnFaults = dataclasses.field(default_factory=CdnFaults)
    archive: ArchiveFaults = dataclasses.field(default_factory=ArchiveFaults)

    def merged(self, changes: Any) -> Self:
        """Return these faults with `{"api": {...}, …}` merged in; ValueError on a wrong one."""
        if not isinstance(changes, dict):
            raise ValueError('faults are {"api": {...}, "cdn": {...}, "archive": {...}}')  # noqa: TRY004
        surfaces = {}
        for surface, values in changes.items():
            if surface not in {"api", "cdn", "archive"} or not isinstance(values, dict):
                raise ValueError(f"faults are for api, cdn and archive, not {surface!r}")
            known = {each.name: each for each in dataclasses.fields(getattr(self, surface))}
            checked = {}
            for name, value in values.items():
                if name not in known:
                    raise ValueError(f"no fault {surface}.{name}, there is: {', '.join(known)}")
                checked[name] = _checked(f"{surface}.{name}", known[name], value)
            surfaces[surface] = dataclasses.replace(getattr(self, surface), **checked)
        return dataclasses.replace(self, **surfaces)


def _checked(name: str, known: dataclasses.Field[Any], value: Any) -> Any:
    """Return the value in the type of the default."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    listed = isinstance(value, list) and all(isinstance(each, str) for each in value)
    choices = known.metadata["choices"]
    good = False
    match known.default:
        case bool():
            good = isinstance(value, bool)
        case str():
            good = isinstance(value, str) and (not choices or value in choices)
        case int():
            good = number and int(value) == value
        case float() if known.type == "Selector":
            good = listed or (number and 0 <= value <= 1)
        case float():
            good = number
        case tuple():
            good = listed
    if not good:
        allowed = f", allowed: {', '.join(choices)}" if choices else ""
        raise ValueError(f"fault {name} cannot be {value!r}{allowed}")
    return tuple(value) if listed else value


def explanation() -> list[tuple[str, str, str]]:
    """Return (surface.name, default, meaning) of every fault, for the command's help."""
    common = {each.name for each in dataclasses.fields(SurfaceFaults)}
    tables = (
        ("*", SurfaceFaults),
        ("api", ApiFaults),
        ("cdn", CdnFaults),
        ("archive", ArchiveFaults),
    )
    return [
        (f"{surface}.{each.name}", str(each.default), _meaning(each))
        for surface, table in tables
        for each in dataclasses.fields(table)
        if surface == "*" or each.name not in common
    ]


def _meaning(each: dataclasses.Field[Any]) -> str:
    choices = each.metadata["choices"]
    allowed = f" ({', '.join(filter(None, choices))})" if choices else ""
    return f"{each.metadata['meaning']}{allowed}"
