"""One image of the catalogue."""

from __future__ import annotations

import struct
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import fields, hostile, identifiers, outing
from .photographs import WIDTHS

if TYPE_CHECKING:
    from collections.abc import Container

    from .catalogue import User
    from .photographs import Photograph

#: What is drawn for each image.
_CHOICES = ("sequence", "undated", "panorama", "photograph", "url", "page_url", "thumb", "share",
            "bad_url", "turned")  # fmt: skip


class Image:
    """One image: what it is called, when it was taken, what is known about it."""

    def __init__(self, user: User, index: int) -> None:
        self.user = user
        #: The place in the user's listing, 0 the newest.
        self.index = index
        #: The image's number among those of all users.
        self.number = user.first_number + index
        drawn = struct.unpack("<10I", identifiers.digest(user.seed, self.number, size=40))
        self._drawn: dict[str, float] = dict(
            zip(_CHOICES, (each / 2**32 for each in drawn), strict=True)
        )

    @property
    def seed(self) -> int:
        """The catalogue's seed."""
        return self.user.seed

    @cached_property
    def image_id(self) -> str:
        """The id as a string; "" if the row has none that can be used."""
        if self.index in self.user.nameless:
            return ""
        rank = self.user.hostile.get(self.index)
        if rank is not None and rank % 2 == 0:
            return hostile.name(rank // 2, self.number)
        return identifiers.image_id(self.seed, self.number)

    @property
    def shown_id(self) -> Any:
        """The id as the row has it; Ellipsis where it has none."""
        if self.index in self.user.nameless:
            return hostile.NO_ID[self.user.nameless[self.index] % len(hostile.NO_ID)]
        return int(self.image_id) if self.index in self.user.integer_ids else self.image_id

    @property
    def line(self) -> int:
        """The number of its sequence among the user's."""
        return self.index // self.user.specification.sequence_length

    @property
    def sequence(self) -> str | None:
        """The sequence id, or None."""
        rank = self.user.hostile.get(self.index)
        if rank is not None and rank % 2:
            return hostile.name(rank // 2, self.number)
        if self._drawn["sequence"] < self.user.specification.no_sequence:
            return None
        return identifiers.sequence_id(self.seed, self.user.first_number + self.line)

    @property
    def captured_at(self) -> int | None:
        """Milliseconds since 1970, or None where the image is undated."""
        if self._drawn["undated"] < self.user.specification.undated:
            return None
        return self.user.time(self.index)

    @property
    def panorama(self) -> bool:
        """Whether it is a 360° image."""
        special = self.user.specification
        drawn = outing.drawn(self, "panorama") if special.streets else self._drawn["panorama"]
        return drawn < special.panoramas

    @property
    def turned(self) -> bool:
        """Whether the original has an EXIF Orientation of 3 (seen in 13 of 400)."""
        return self._drawn["turned"] < 13 / 400

    @property
    def photograph(self) -> Photograph:
        """What the CDN's bodies of this image are made of."""
        pool = self.user.photographs
        choice = pool.panoramas if self.panorama else pool.flat
        if self.user.specification.streets:  # in their order, as one who walks sees them
            return choice[-1 - self.index % len(choice)]
        return choice[int(self._drawn["photograph"] * len(choice))]

    @property
    def dead(self) -> bool:
        """Whether it is listed but no longer exists."""
        return self.index in self.user.dead

    @property
    def share(self) -> float:
        """A number in [0, 1) of the image's own: which part of a jitter it gets."""
        return self._drawn["share"]

    @property
    def late(self) -> bool:
        """Whether it is listed only after `api.appear_after` requests."""
        return self.index in self.user.late

    @property
    def bad_url(self) -> Any:
        """What the API gives in place of this image's URLs, None if they are good."""
        drawn, rate = self._drawn["bad_url"], self.user.specification.bad_urls
        return hostile.URLS[int(drawn / rate * len(hostile.URLS))] if drawn < rate else None

    def has_url(self, quality: str, *, listed: bool = False) -> bool:
        """Whether the entity, or with `listed` the page, offers a URL at this quality."""
        special = self.user.specification
        if self._drawn["url"] < special.no_url:
            return False
        if listed and self._drawn["page_url"] < special.url_by_id_only:
            return False
        if self._drawn["thumb"] >= special.missing_thumbs:
            return True
        lacking = int(self._drawn["thumb"] / special.missing_thumbs * len(WIDTHS))
        return list(WIDTHS)[lacking] != quality

    def metadata(self) -> dict[str, Any]:
        """Return all fields but the URLs, absent ones left out."""
        return fields.metadata(self)

    def row(self, wanted: Container[str]) -> dict[str, Any]:
        """Return the wanted fields and the id as the API gives them, without URLs."""
        return {
            name: value for name, value in self.metadata().items() if name in wanted or name == "id"
        }
