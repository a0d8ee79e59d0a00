"""`.crawl/progress.json`: how far a run is, for monitors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import PROGRESS_PATH, progress_writing
from mapillary_crawler.collection.limits import STATE_BYTES


class ProgressFile:
    """Replaced as a whole each time, so a reader never sees half of it.

    Follows the collection from `folder` to `destination`. It is news, not a record: where
    it cannot be written, the crawl goes on. Who is not alone to write it says under which name,
    instead of the folder's, it is made.
    """

    def __init__(self, folder: Path, destination: Path, *, writing: str = "") -> None:
        self._folders = (folder, destination)
        self._writing = writing

    def write(self, fields: dict[str, Any]) -> None:
        """Write the file where the collection is now."""
        content = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
        for folder in self._folders:
            with suppress(OSError):
                if (folder / PROGRESS_PATH).parent.is_dir():
                    # Beside the collection, on its file system, since staging and store may be on
                    # two; not within it, since the finish copies whatever it finds there.
                    name = self._writing or folder.name
                    writing = progress_writing(folder.with_name(name)).name
                    _replace(folder, content.encode(), writing)
                    return


def _replace(folder: Path, content: bytes, writing: str) -> None:
    with (
        descent.opened_folder(folder.parent) as beside,
        descent.parent(folder, str(PROGRESS_PATH)) as (state, name),
    ):
        try:
            with os.fdopen(descent.create_file(beside, writing), "wb") as file:
                file.write(content)
            os.rename(writing, name, src_dir_fd=beside, dst_dir_fd=state)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(writing, dir_fd=beside)


def read_progress(folders: Iterable[Path]) -> dict[str, Any]:
    """Return the last figures of a run on a collection, wherever that is now.

    `folders` are looked at in their order; nothing is returned where none has a file that can
    be read.
    """
    for folder in folders:
        with suppress(OSError, ValueError, RecursionError):
            fields = json.loads(descent.read(folder, str(PROGRESS_PATH), STATE_BYTES))
            if isinstance(fields, dict):
                return fields
    return {}
