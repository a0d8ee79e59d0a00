"""What the viewer's page is made of: the files of the package, and no others, by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

#: The front end, and what it shows that other rooms have: outlines of land.
FOLDER = Path(__file__).with_name("static")
LAND = Path(__file__).parents[1] / "page" / "land.bin"

_TYPES = {
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


class Asset(NamedTuple):
    """A file with its type and its tag."""

    body: bytes
    type: str
    tag: str


class Static:
    """The files of a folder, and `further` ones, read once: an address never opens a file."""

    def __init__(self, folder: Path = FOLDER, further: Sequence[Path] = (LAND,)) -> None:
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        files |= {path.name: path for path in further}
        self._assets = {
            name: _asset(path)
            for name, path in files.items()
            if path.suffix in _TYPES and path.is_file()
        }

    def find(self, name: str) -> Asset | None:
        """Return a file by its path below the folder."""
        return self._assets.get(name)


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
