"""Items of archive.org made of folders, and answers about them, without a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.finish.meta import read_metadata
from mapillary_crawler.archive.finish.tags import Metadata
from mapillary_crawler.archive.internet_archive.trouble import Denied


class Items:
    """What archive.org has: answers by identifier, and bodies by item and name."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.bodies: dict[tuple[str, str], bytes] = {}
        #: What was read, in order: item, name, bytes.
        self.reads: list[tuple[str, str, int]] = []

    def put(
        self, item: str, folder: Path, wanted: Callable[[str], bool] = lambda _: True
    ) -> dict[str, Any]:
        """Put files of a folder into an item, as a collection's upload does; return its answer."""
        if item not in self.answers:
            self.make(item, read_metadata(folder))
        answer = self.answers[item]
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith(".") and wanted(path.name):
                self.add(item, path.name, path.read_bytes())
        return answer

    def make(self, item: str, metadata: Metadata) -> None:
        """Make an item without files."""
        tags = {tag: each if len(each) > 1 else each[0] for tag, each in metadata.items()}
        metadata_of = {"identifier": item, "uploader": "us@example.org", **tags}
        self.answers[item] = {"metadata": metadata_of, "files": []}

    def add(self, item: str, name: str, body: bytes) -> None:
        """Put a file into an item, in the place of one of that name."""
        self.drop(item, name)
        self.bodies[item, name] = body
        entry = {
            "name": name,
            "size": str(len(body)),
            "md5": hashlib.md5(body).hexdigest(),
            "mtime": "1717200000",
        }
        self.answers[item]["files"].append(entry)

    def drop(self, item: str, name: str) -> None:
        """Take a file out of an item."""
        files = self.answers[item]["files"]
        files[:] = [entry for entry in files if entry["name"] != name]
        self.bodies.pop((item, name), None)

    def entry(self, item: str, name: str) -> dict[str, Any]:
        """Return what the answer says of a file."""
        return next(each for each in self.answers[item]["files"] if each["name"] == name)

    # As `Ranges`

    def metadata(self, item: str) -> dict[str, Any]:
        return self.answers.get(item, {})

    def read(self, item: str, name: str, start: int, size: int) -> bytes:
        self.reads.append((item, name, size))
        body = self.bodies.get((item, name))
        if body is None or start + size > len(body):
            raise Denied("archive.org has no such file", 404)
        return body[start : start + size]
