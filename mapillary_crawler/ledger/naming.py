"""A new ledger has its name once it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.durable import sync_folder
from mapillary_crawler.collection.layout import beside_ledger, ledger_files


@contextmanager
def named_once_made(path: Path, unfinished: Path) -> Iterator[None]:
    """Let a ledger be made as `unfinished`; it gets its name, `path`, if the block ends well.

    What a kill has left under both names goes; it is closed within the block. Raises `OSError`.
    """
    descent.unlink_all(unfinished.parent, ledger_files(unfinished.name))
    yield
    descent.unlink_all(path.parent, beside_ledger(path.name))
    unfinished.rename(path)
    sync_folder(path.parent)
