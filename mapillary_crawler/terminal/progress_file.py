"""`.crawl/progress.json`: how far a run is, for monitors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

PROGRESS_PATH = Path(".crawl/progress.json")


class ProgressFile:
    """Replaced as a whole each time, so a reader never sees half of it.

    Follows the collection from `folder` to `destination`. It is news, not a record: where
    it cannot be written, the crawl goes on.
    """

    def __init__(self, folder: Path, destination: Path) -> None:
        self._folders = (folder, destination)

    def write(self, fields: dict[str, Any]) -> None:
        """Write the file where the collection is now."""
        content = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
        for folder in self._folders:
            path = folder / PROGRESS_PATH
            with suppress(OSError):
                if path.parent.is_dir():
                    # Beside the collection, on its file system, since staging and store may be on
                    # two; not within it, since the finish copies whatever it finds there.
                    _replace(path, content, folder.with_name(f".progress-{folder.name}"))
                    return


def _replace(path: Path, content: str, writing: Path) -> None:
    try:
        writing.write_text(content, encoding="utf-8")
        writing.replace(path)
    finally:
        writing.unlink(missing_ok=True)


def read_progress(folders: Iterable[Path]) -> dict[str, Any]:
    """Return the last figures of a run on a collection, wherever that is now.

    `folders` are looked at in their order; nothing is returned where none has a file that can
    be read.
    """
    for folder in folders:
        with suppress(OSError, ValueError, RecursionError):
            fields = json.loads((folder / PROGRESS_PATH).read_text(encoding="utf-8"))
            if isinstance(fields, dict):
                return fields
    return {}
