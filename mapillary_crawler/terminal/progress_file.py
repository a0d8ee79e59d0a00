"""`.crawl/progress.json`: how far a run is, for monitors."""

from __future__ import annotations

import json
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
        self._folder = folder
        self._destination = destination

    def write(self, fields: dict[str, Any]) -> None:
        """Write the file where the collection is now."""
        # Beside the collection, since the finish copies whatever it finds within.
        writing = self._folder.with_name(f".progress-{self._folder.name}")
        content = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
        with suppress(OSError):
            for folder in (self._folder, self._destination):
                path = folder / PROGRESS_PATH
                if path.parent.is_dir():
                    writing.write_text(content, encoding="utf-8")
                    writing.replace(path)
                    break
        with suppress(OSError):
            writing.unlink(missing_ok=True)
