"""`GET /images`: the listing of a user, newest first, by cursor."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from . import errors, fields, identifiers
from .answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .answer import Request
    from .catalogue import User
    from .faults import ApiFaults
    from .image import Image
    from .weather import Chance

#: Graph API: the most rows of a page, and how many come without `limit`.
PAGE = 2000
#: Graph API: greatest area of a bounding box in square degrees.
_AREA = 0.010


class BadRequestError(Exception):
    """A parameter the API refuses; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins; opaque to clients."""

    position: int
    #: Cursors of another epoch are rejected.
    epoch: int = 0
    #: Empty pages already served at this position.
    empty: int = 0

    def encode(self, seed: int) -> str:
        """Return the text that clients send back."""
        data = struct.pack(">QQB", self.position, self.epoch, self.empty)
        return "QVFI" + identifiers.encode(data + identifiers.digest(seed, data, size=22))

    @classmethod
    def decode(cls, text: str, seed: int) -> Cursor | None:
        """Return the cursor, None if it was never issued."""
        data = identifiers.decode(text.removeprefix("QVFI"))[:17]
        if len(data) < 17:
            return None
        cursor = cls(*struct.unpack(">QQB", data))
        return cursor if cursor.encode(seed) == text else None


@dataclass(frozen=True, slots=True)
class Search:
    """A checked request for a page."""

    user: User
    limit: int
    start: int | None
    end: int | None
    cursor: Cursor


def parse(request: Request, user: User, seed: int) -> Search:
    """Check the parameters of a listing; BadRequestError carries the refusal."""
    after = request.query.get("after")
    cursor = Cursor.decode(after, seed) if after else Cursor(0)
    if cursor is None:
        raise BadRequestError(errors.INVALID_PARAMETER.answer(parameter="after"))
    start, end = (_time(request, f"{each}_captured_at") for each in ("start", "end"))
    return Search(user, parse_limit(request), start, end, cursor)


def parse_limit(request: Request) -> int:
    """Return the number of rows asked for, at most a full page."""
    text = request.query.get("limit", str(PAGE))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise BadRequestError(errors.INVALID_PARAMETER.answer(parameter="limit"))
    return min(int(text), PAGE) or PAGE


def _time(request: Request, name: str) -> int | None:
    """Return milliseconds since 1970 of an ISO 8601 parameter, None where it is not given."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return round(time.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadRequestError(errors.INVALID_PARAMETER.answer(parameter=name)) from None


class Listing:
    """Serves the pages of searches."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance

    @property
    def faults(self) -> ApiFaults:
        """The faults in force."""
        return self.chance.faults.api

    def epoch(self, requests: int) -> int:
        """Return the epoch of cursors after this many requests."""
        turn = self.faults.reject_cursors_after
        return self.faults.cursor_epoch + (0 <= turn < requests)

    def page(
        self, search: Search, requests: int, is_listed: Callable[[Image], bool]
    ) -> tuple[list[Image], Cursor | None, Cursor]:
        """Return the images of a page, the cursor of the next page if any, and `after`.

        BadRequestError if the cursor is no longer good after this many requests.
        """
        position, cursor = search.cursor.position, search.cursor
        faults, epoch = self.faults, self.epoch(requests)
        if cursor not in (Cursor(0), replace(cursor, epoch=epoch)):
            raise BadRequestError(errors.INVALID_PARAMETER.answer(parameter="after"))
        if (
            position
            and not cursor.empty
            and self.chance.strikes("api", "empty_page", search.user.name, position)
        ):
            again = Cursor(position, epoch, 1)
            return [], again, again
        following = self._from(search, position, is_listed)
        images = list(islice(following, search.limit))
        position = images[-1].index + 1 if images else position
        after = Cursor(position, epoch)
        more = len(images) == search.limit and (
            faults.paging == "extra_page" or next(following, None) is not None
        )
        return self._repeated(search, images, is_listed), after if more else None, after

    def _from(
        self, search: Search, position: int, is_listed: Callable[[Image], bool]
    ) -> Iterator[Image]:
        """Iterate over the listed images within the window, from a place on."""
        user = search.user
        first, stop = user.window(search.start, search.end)
        windowed = search.start is not None or search.end is not None
        if windowed and self.faults.undated_in_windows:
            for image in map(user.image, range(position, user.size)):
                undated = image.captured_at is None
                if is_listed(image) and (undated or first <= image.index < stop):
                    yield image
            return
        for image in map(user.image, range(max(first, position), stop)):
            if is_listed(image) and not (windowed and image.captured_at is None):
                yield image

    def _repeated(
        self, search: Search, images: list[Image], is_listed: Callable[[Image], bool]
    ) -> list[Image]:
        """Add the rows that come twice, from this page and from the one before."""
        position, count = search.cursor.position, self.faults.repeated_rows
        before = [search.user.image(place) for place in range(max(0, position - count), position)]
        twice = [
            image
            for image in images
            if self.chance.strikes("api", "duplicates", image.image_id, "row")
        ]
        return [image for image in before if is_listed(image)] + images + twice

    def paging(
        self, request: Request, following: Cursor | None, after: Cursor, token_in_query: bool
    ) -> dict[str, Any] | None:
        """Return the `paging` object of a page, None where it is left out."""
        if following is None and self.faults.paging == "bare":
            return None
        seed = self.chance.seed
        text = after.encode(seed).ljust(self.faults.long_cursor, "A")
        paging: dict[str, Any] = {"cursors": {"before": Cursor(0).encode(seed), "after": text}}
        if following is not None and self.faults.paging != "cursors_only":
            query = {key: value for key, value in request.query.items() if key != "after"}
            if not token_in_query:
                query.pop("access_token", None)
            paging["next"] = f"{request.origin}/images?{urlencode({**query, 'after': text})}"
        return paging


def in_box(request: Request, images: Iterator[Image], limit: int) -> list[Image]:
    """Return the images of a bounding box: cut off silently, without a cursor."""
    try:
        west, south, east, north = map(float, request.query["bbox"].split(","))
    except ValueError:
        raise BadRequestError(errors.INVALID_PARAMETER.answer(parameter="bbox")) from None
    area = (east - west) * (north - south)
    if not area < _AREA:
        raise BadRequestError(errors.AREA.answer(area=area))
    found: list[Image] = []
    for image in images:
        longitude, latitude = fields.position(image)
        if west <= longitude <= east and south <= latitude <= north:
            found.append(image)
        # The cap is fuzzy: answers of 1,879 and more rows were seen to be cut off.
        if len(found) >= min(limit, 1938):
            break
    return found
