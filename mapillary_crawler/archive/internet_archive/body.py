"""A local file while it is sent."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from mapillary_crawler.collection.outcome import ProjectError


class UnreadableFile(ProjectError):
    """A local file could not be read while it was sent; no trouble of archive.org's."""


class Body(io.FileIO):
    """A file that tells of the bytes that are read from it."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        super().__init__(path)
        self._advance = advance

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; raises `UnreadableFile`."""
        try:
            data = super().read(-1 if size is None else size) or b""
        except OSError as error:
            # No OSError: the library would take it for trouble with the network.
            raise UnreadableFile(f"{self.name!r} cannot be read: {error.strerror}") from None
        self._advance(len(data))
        return data
