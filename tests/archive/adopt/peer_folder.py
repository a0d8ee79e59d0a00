"""Folders as mapillary_downloader 0.12 leaves them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

#: What that tool lists; its thumb_…_url is left out, since it expires.
FIELDS = (
    "id", "captured_at", "compass_angle", "computed_compass_angle", "geometry",
    "computed_geometry", "altitude", "computed_altitude", "is_pano", "sequence", "camera_type",
    "camera_parameters", "make", "model", "exif_orientation", "computed_rotation", "height",
    "width",
)  # fmt: skip
META = {
    "title": "Mapillary images by someone",
    "scanner": "mapillary_downloader 0.12.0 https://bitplane.net/dev/python/mapillary_downloader/",
    "mapillary_downloader": "0.12.0",
}


class PeerFolder:
    """A folder that is filled file by file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.lines: list[bytes] = []
        self._members: dict[str, list[tuple[str, bytes, float]]] = defaultdict(list)

    def list(self, *rows: dict[str, Any]) -> None:
        """Add rows to its metadata."""
        self.lines += [json.dumps(row).encode() for row in rows]

    def save(self, member: str, body: bytes, *, time: float = 0, part: int = 0) -> None:
        """Add a member to the tar of its day."""
        day = member.split("/", maxsplit=1)[0]
        name = f"{day}.{part}.tar" if part else f"{day}.tar"
        self._members[name].append((member, body, time))

    def write(self, *, complete: bool = True, gz: bool = True) -> Path:
        """Write all of it and return the folder."""
        for name, members in self._members.items():
            with tarfile.open(self.path / name, "w", format=tarfile.GNU_FORMAT) as tar:
                for member, body, time in members:
                    entry = tarfile.TarInfo(member)
                    entry.size, entry.mtime = len(body), int(time)
                    tar.addfile(entry, io.BytesIO(body))
        lines = [*self.lines, b'{"__complete__": true}'] if complete else self.lines
        text = b"".join(line + b"\n" for line in lines)
        if gz:
            (self.path / "metadata.jsonl.gz").write_bytes(gzip.compress(text))
        else:
            (self.path / "metadata.jsonl").write_bytes(text)
        (self.path / "progress.json").write_text("{}")
        (self.path / "__ia_thumb__.jpg").write_bytes(b"thumb")
        (self.path / "download.log.20240101-120000").write_text("https://x/?access_token=MLY|1|a\n")
        for tag, value in META.items():
            (self.path / ".meta" / tag).mkdir(parents=True)
            (self.path / ".meta" / tag / "0").write_text(value)
        return self.path
