"""Rows between the ledger of a whole and that of a slice, by SQL alone.

Images, pages and tars have the whole's numbers in a slice, but for the tars that it makes: those
are known by their names. Each way changes one ledger, in one transaction, and reads the other.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Slice, SliceMismatch, Source, State
from mapillary_crawler.ledger.slices import BEGUN, CUT, OF_CUT, RENEWED, WITNESSES

#: Images of the whole by which a slice without any of its own sees whether others come.
_WITNESSES = 3
_UNSETTLED = "number, url, expires, fresh, retry_at, attempts, error, had_url, without_url"
_DAMAGE = "number, sha256, requests, fresh_urls, first_run, last_run"
#: What is settled of an image, but for its tar.
_SETTLED = (
    "state", "extension", "sha256_served", "sha256_stored", "size", "offset", "bare", "sha256_jpeg",
)  # fmt: skip
_IMAGES = f"number, id, page, row, captured_at, day, sequence, round, piece, {', '.join(_SETTLED)}"
#: What is known of a tar, but for its number and its name.
_TAR = ("day", "part", "images", "bytes", "sha256", "md5", "state", "item")
_TARS = f"name, {', '.join(_TAR)}"
#: Facts that a slice has of the whole.
_FACTS = (
    "username", "quality", "webp", "jxl", "selection", "tar", "page", "tar_max_bytes",
    "encoder", "encoder_versions", "extensions", "versions", "runs", "listing_closed_at",
    "listing_ended", RENEWED,
)  # fmt: skip
#: Facts that are lists, to which slices add.
_LISTS = ("versions", "encoder_versions", *(source.value for source in Source))

_OF_DAYS = "day BETWEEN ?1 AND ?2"
_OF_IMAGES = "number IN (SELECT number FROM main.images)"
#: What of each table of the whole belongs to a slice, by its first and its last day.
_OF_SLICE = (
    ("images", _IMAGES, _OF_DAYS),
    ("days", "day, state", _OF_DAYS),
    ("pieces", f"number, {_TARS}", _OF_DAYS),
    ("samples", "day, number, jpeg", _OF_DAYS),
    ("pages", "number, rows", "number IN (SELECT page FROM main.images)"),
    ("unsettled", _UNSETTLED, _OF_IMAGES),
    ("damage", _DAMAGE, _OF_IMAGES),
    # For which images a body came that is perhaps a placeholder: those of other slices count, too.
    ("other_formats", "sha256, number", "TRUE"),
    ("facts", "name, value", f"name IN {_FACTS!r}"),
)


def fill(ledger: Ledger, whole: Path, part: Slice) -> None:
    """Give an empty ledger the rows that a slice has of the whole, whose ledger's path is given.

    Raises `SliceMismatch` where these are not as many as when it was cut.
    """
    database = ledger.database
    with database.attached(whole, "whole"), database.transaction():
        for table, columns, condition in _OF_SLICE:
            days = (part.first_day, part.last_day) if condition == _OF_DAYS else ()
            database.execute(
                f"INSERT INTO main.{table} ({columns}) "
                f"SELECT {columns} FROM whole.{table} WHERE {condition}",
                days,
            )
        balance = ledger.images.balance()
        _ensure_all(part, balance.listed, whole)
        ledger.members.make_index()
        cut = _fact(database, "whole", CUT)
        witnesses = database.execute(
            "SELECT (SELECT id FROM whole.images "
            f"WHERE images.day = days.day AND state = {State.SAVED:d} LIMIT 1) AS one "
            f"FROM whole.days WHERE one IS NOT NULL LIMIT {_WITNESSES:d}"
        )
        ledger.facts.set(
            **{
                OF_CUT: {**cut, "number": part.number},
                BEGUN: asdict(balance),
                WITNESSES: [str(image_id) for (image_id,) in witnesses],
            }
        )


def ensure_of_cut(ledger: Ledger, path: Path, whole: Path, part: Slice) -> None:
    """Raise `SliceMismatch` where a ledger, in `path`, is no slice's of this cut of the whole."""
    with ledger.database.attached(whole, "whole"):
        cut = _fact(ledger.database, "whole", CUT)
    _ensure_of_cut(ledger.facts.get(OF_CUT), cut, part, path)


def _ensure_of_cut(found: Any, cut: Any, part: Slice, path: Path) -> None:
    if cut is None or found != {**cut, "number": part.number}:
        raise SliceMismatch(
            f"{path} is not the ledger of slice {part.number} of this cut, but of an earlier one, "
            f"say, whose whole is lost; move {path.parent.parent} away, and its images are fetched "
            "again"
        )


def renew(ledger: Ledger, whole: Path) -> None:
    """Take the URLs into a slice's ledger that were renewed in the whole's since it was made.

    Those that expire later than its own: URLs alone, and nothing else of the rows.
    """
    database = ledger.database
    with database.attached(whole, "whole"), database.transaction():
        renewed = _fact(database, "whole", RENEWED) or 0
        if renewed > ledger.slices.renewed:
            theirs = "FROM whole.unsettled AS theirs WHERE theirs.number = unsettled.number"
            database.execute(
                f"UPDATE main.unsettled SET (url, expires) = (SELECT url, expires {theirs}), "
                f"had_url = 1, attempts = 0, without_url = 0 WHERE EXISTS (SELECT 1 {theirs} "
                "AND theirs.url IS NOT NULL "
                "AND (unsettled.url IS NULL OR theirs.expires > unsettled.expires))"
            )
            ledger.slices.set_has_urls(renewed)


def merge(ledger: Ledger, path: Path, part: Slice, *, has_ended: bool = True) -> None:
    """Take the rows of a slice, whose closed ledger's path is given, back into that of the whole.

    Once: where that is done nothing happens. `has_ended` says whether it had. Raises
    `SliceMismatch` where it is not that slice's, or not whole.
    """
    database, slices = ledger.database, ledger.slices
    with database.attached(path, "slice"), database.transaction():
        if part not in slices.unmerged():
            return
        _ensure_of_cut(_fact(database, "slice", OF_CUT), ledger.facts.get(CUT), part, path)
        same = database.value(
            "SELECT count(*) FROM slice.images AS theirs JOIN main.images AS ours "
            "USING (number, id, day)"
        )
        _ensure_all(part, same, path)
        _merge_tars(database, part)
        _merge_images(database)
        _merge_facts(ledger)
        slices.set_merged(part.number, has_ended=has_ended)


def _ensure_all(part: Slice, images: int, path: Path) -> None:
    if images != part.images:
        raise SliceMismatch(
            f"slice {part.number} was cut with {part.images:,} images, {path} has {images:,} of "
            "them; nothing is lost, but please report this"
        )


def _merge_tars(database: Database, part: Slice) -> None:
    """Take the tars of a slice's days as they are there."""
    database.execute(
        f"DELETE FROM main.pieces WHERE {_OF_DAYS} "
        "AND name NOT IN (SELECT name FROM slice.pieces WHERE day IS NOT NULL)",
        (part.first_day, part.last_day),
    )
    changes = ", ".join(f"{column} = excluded.{column}" for column in _TAR)
    database.execute(
        f"INSERT INTO main.pieces ({_TARS}) SELECT {_TARS} FROM slice.pieces "
        f"WHERE day IS NOT NULL ON CONFLICT (name) DO UPDATE SET {changes}"
    )


def _merge_images(database: Database) -> None:
    """Take what has become of a slice's images; what failed is unsettled here, with its error."""
    settled = ", ".join(_SETTLED)
    tar = (
        "(SELECT ours.number FROM slice.pieces AS of_slice "
        "JOIN main.pieces AS ours USING (name) WHERE of_slice.number = theirs.piece)"
    )
    database.execute(  # by their numbers: not a look at all images of the whole for each slice
        f"UPDATE main.images SET ({settled}, piece) = (SELECT {settled}, {tar} "
        "FROM slice.images AS theirs WHERE theirs.number = images.number) "
        "WHERE number IN (SELECT number FROM slice.images)"
    )
    for table, columns in (("unsettled", _UNSETTLED), ("damage", _DAMAGE)):
        database.execute(
            f"DELETE FROM main.{table} WHERE number IN (SELECT number FROM slice.images)"
        )
        database.execute(
            f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM slice.{table}"
        )
    for table, columns in (
        ("other_formats", "sha256, number"),
        ("samples", "day, number, jpeg"),
    ):
        database.execute(
            f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM slice.{table}"
        )
    database.execute(
        "UPDATE main.days SET state = theirs.state FROM slice.days AS theirs "
        "WHERE theirs.day = days.day"
    )


def _merge_facts(ledger: Ledger) -> None:
    """Count the runs of all slices, and take what they have added to lists."""
    facts = ledger.facts
    runs = _fact(ledger.database, "slice", "runs") or 0
    facts.set(runs=max(facts.get("runs", 0), runs))
    for name in _LISTS:
        theirs = _fact(ledger.database, "slice", name) or []
        ours = facts.get(name, [])
        if set(theirs) - set(ours):
            facts.set(**{name: sorted({*ours, *theirs})})


def _fact(database: Database, of: str, name: str) -> Any:
    """Return a fact of the ledger that is attached as `of`, None where it has none."""
    found = database.value(f"SELECT value FROM {of}.facts WHERE name = ?", (name,))
    return None if found is None else json.loads(found)
