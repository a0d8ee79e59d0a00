"""How soon a resume of a large collection fetches, and what a listed row costs it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from bench import report
from bench.measured import run
from bench.places import RESULTS
from bench.tools import USERNAME, crawl_command, crawl_environment
from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.graph import api as graph_api
from mapillary_crawler.graph import rows as graph_rows
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import ListedRow, StoredFile
from mapillary_crawler.sandbox.process import Sandbox

_UNSETTLED = 1000
_PAGE = 2000
_COLLECTION = Collection(USERNAME, "256")


def resume(settled: int) -> None:
    """Print how long it takes until the first image request, and the cost of known rows."""
    users = [{"username": USERNAME, "images": _UNSETTLED}, {"username": "more", "images": settled}]
    RESULTS.mkdir(exist_ok=True)
    store = Path(tempfile.mkdtemp(prefix="resume-", dir=RESULTS))
    try:
        with Sandbox.running(users) as sandbox:
            ledger_path = store / ".incomplete" / _COLLECTION.name / LEDGER_PATH
            ledger_path.parent.mkdir(parents=True)
            _make(ledger_path, sandbox, settled)
            size = ledger_path.stat().st_size
            seconds = _first_request(sandbox, store)
            microseconds = _listing_again(ledger_path, sandbox, settled)
    finally:
        shutil.rmtree(store)
    report.line(
        f"Ledger with {settled:,} settled and {_UNSETTLED:,} unsettled rows, {size / 1e6:.0f} MB: "
        f"first image request after {seconds:.2f} s (wanted: 5 s)."
    )
    report.line(f"Listing again: {microseconds:.1f} µs per known row (wanted: 50 µs).")


def _make(path: Path, sandbox: Sandbox, settled: int) -> None:
    """Make the ledger of a crawl that was interrupted near its end."""
    ledger = Ledger(path)
    digest = hashlib.sha256().digest()
    cursor, listed = None, 0
    for rows in pages(sandbox, "more", settled):
        following = f"made{listed}"
        ledger.listing.commit(cursor, following, rows)
        numbers = range(listed + 1, listed + len(rows) + 1)
        ledger.images.save([StoredFile(n, "jpg", digest, digest, 15_000) for n in numbers])
        cursor, listed = following, listed + len(rows)
    (rows,) = pages(sandbox, USERNAME, _UNSETTLED)
    ledger.listing.commit(cursor, None, rows)
    ledger.listing.close()
    ledger.close()


def _first_request(sandbox: Sandbox, store: Path) -> float:
    """Return the seconds from the command's start to the first request for an image."""
    sandbox.reset()
    asked_at = 0.0

    def asked(_: int) -> bool:
        nonlocal asked_at
        if sandbox.counters()["requests"].get("cdn"):
            asked_at = time.time()
        return bool(asked_at)

    done = run("resume", crawl_command("256"), crawl_environment(sandbox, store), asked)
    if not asked_at:
        raise RuntimeError(f"no image was asked for; see {done.log}")
    return asked_at - done.began


def _listing_again(path: Path, sandbox: Sandbox, settled: int) -> float:
    """Return the microseconds of processor that a known row costs, from page to commit."""
    ledger = Ledger(path)
    ledger.listing.reopen()
    pages = list(_bodies(sandbox, "more", min(settled, 20_000)))
    started, rows, cursor = time.process_time(), 0, None
    for number, body in enumerate(pages):
        page = graph_api.read_page(json.loads(body))
        known = ledger.listing.known(
            [name for row in page.rows if (name := graph_rows.row_id(row))]
        )
        committed = ledger.listing.commit(cursor, f"again{number}", [], known=known)
        assert committed.new == 0
        cursor, rows = f"again{number}", rows + committed.known
    seconds = time.process_time() - started
    ledger.close()
    return seconds / rows * 1e6


def pages(sandbox: Sandbox, username: str, most: int) -> Iterator[list[ListedRow]]:
    """Yield a user's rows as the crawl would list them."""
    for body in _bodies(sandbox, username, most):
        page = graph_api.read_page(json.loads(body))
        rows = (graph_rows.listed_row(row, _COLLECTION) for row in page.rows)
        yield [row for row in rows if row is not None]


def _bodies(sandbox: Sandbox, username: str, most: int) -> Iterator[bytes]:
    """Yield a user's pages as the API sends them."""
    fields = (*graph_api.IMAGE_FIELDS, graph_api.thumb_field("256"))
    cursor: str | None = None
    for _ in range(0, most, _PAGE):
        url = graph_api.page_url(
            sandbox.url, Collection(username, "256"), fields, cursor=cursor, limit=_PAGE
        )
        headers = {"Authorization": f"OAuth {sandbox.token}"}
        with build_opener(ProxyHandler({})).open(Request(url, headers=headers)) as answer:  # noqa: S310
            body: bytes = answer.read()
        yield body
        page: dict[str, Any] = json.loads(body)
        cursor = graph_api.read_page(page).following
