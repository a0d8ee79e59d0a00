"""Pure: what files are called, and the folders that they lie in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mapillary_crawler.collection.names import (
    capture_time,
    escape,
    sequence_folder,
    sequence_name,
)
from mapillary_crawler.collection.outcome import ArgumentRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapillary_crawler.ledger.records import ImageRecord

Layout = Literal["sequence", "day", "flat"]
#: What a name may be made of, with an example of each.
FIELDS = {
    "id": "1234567890",
    "time": "20190310-194522",
    "ms": "123",
    "day": "2019-03-10",
    "sequence": "AbCdEf",
}
#: What every disk takes in a name.
_LITERAL = re.compile(r"[A-Za-z0-9 _+=@,.-]*")
_FIELD = re.compile(r"\{([a-z]*)\}")
#: Characters that a template may add to what its fields are.
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Naming:
    """A layout of folders, and a template of names: `{time}_{id}`; raises `ArgumentRefused`."""

    layout: Layout = "sequence"
    template: str = "{id}"

    def __post_init__(self) -> None:
        literals = _FIELD.sub("", self.template)
        unknown = sorted(set(_FIELD.findall(self.template)) - set(FIELDS))
        if unknown or not _LITERAL.fullmatch(literals) or len(literals) > _LONGEST:
            raise ArgumentRefused(
                f"--name {self.template!r} cannot be: a name is made of "
                f"{', '.join(f'{{{name}}}' for name in FIELDS)} and up to {_LONGEST} letters, "
                "digits, blanks and _+=@,.-"
            )
        if "{id}" not in self.template:
            raise ArgumentRefused(
                f"--name {self.template!r} lacks {{id}}, without which names would meet"
            )
        if self.template.startswith((".", " ")):
            raise ArgumentRefused(f"--name {self.template!r}: a dot or a blank cannot come first")

    def path(
        self, image: ImageRecord, fields: Callable[[], Mapping[str, Any]], extension: str
    ) -> str:
        """Return where an image goes; its fields are asked for only where they matter.

        Images without a sequence lie beside the folders of sequences.
        """
        sequence = ""
        if self.layout == "sequence" or "{sequence}" in self.template:
            sequence = sequence_name(fields().get("sequence")) or image.sequence
            sequence = sequence_folder(sequence) if sequence else ""
        name = _FIELD.sub(lambda found: _field(found[1], image, sequence), self.template)
        folder = {"sequence": sequence, "day": image.day, "flat": ""}[self.layout]
        return f"{folder}/{name}.{extension}" if folder else f"{name}.{extension}"


def _field(name: str, image: ImageRecord, sequence: str) -> str:
    """Return what stands for a field in an image's name."""
    if name == "id":
        return _id(image.image_id)
    if name == "sequence":
        return sequence or "no-sequence"
    if name == "day":
        return image.day
    captured_at = capture_time(image.captured_at)
    if captured_at is None:
        return "000" if name == "ms" else "unknown-date"
    if name == "ms":
        return f"{captured_at % 1000:03d}"
    return datetime.fromtimestamp(captured_at // 1000, UTC).strftime("%Y%m%d-%H%M%S")


def _id(image_id: str) -> str:
    """Return an id as a part of a name; no two meet, on disks that know no capitals neither.

    Graph API: ids are decimal. Those of strangers that have capitals get 16 hex of their sha256.
    """
    part = escape(image_id)
    if part == part.lower():
        return part
    return f"{part}-{hashlib.sha256(image_id.encode()).hexdigest()[:16]}"
