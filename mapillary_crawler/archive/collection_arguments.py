"""The arguments of the crawl that makes a collection, as its ledger has them."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.ledger.schema import LedgerTooNew
from mapillary_crawler.terminal.program import program_name


def collection_arguments(folder: Path) -> dict[str, str]:
    """Return the user, the quality, the kind and the selection; raises `ArgumentRefused`."""
    try:
        with closing(read_ledger(folder)) as ledger:
            facts = ledger.facts
            username, quality = facts.get("username"), facts.get("quality")
            webp, jxl = facts.get("webp"), facts.get("jxl")
            selection = facts.get("selection")
    except (sqlite3.Error, LedgerTooNew) as error:
        raise ArgumentRefused(f"the ledger of {folder} cannot be read: {error}") from None
    if not isinstance(username, str) or not isinstance(quality, str):
        raise ArgumentRefused(f"the ledger of {folder} does not say whose images it has")
    given = {"username": username, "quality": quality, "webp": "1" if webp else "0"}
    if jxl:
        given["jxl"] = "1"
    return given | _selection(selection if isinstance(selection, dict) else {})


def crawl_command(given: Mapping[str, str]) -> str:
    """Return what is typed for a crawl with these arguments."""
    words = ["crawl", "user"]
    for pair in given.items():
        words += ["-a", "=".join(pair)]
    return f"{program_name()} {shlex.join(words)}"


def _selection(fact: dict[str, Any]) -> dict[str, str]:
    """Return a selection as arguments say it."""
    said = {name: fact[name] for name in ("start", "end") if fact.get(name)}
    for argument, name in (("bbox", "bbox"), ("sequence", "sequences")):
        if fact.get(name):
            said[argument] = ",".join(map(str, fact[name]))
    return said
