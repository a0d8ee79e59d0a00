"""Which images exist: everything about an image follows from seed, user and index.

Pure. Nothing is held per image, so a user of ten million costs what a user of ten does. Index 0 is
the newest image of a user. The tests read the same catalogue that the server answers from.
"""

from __future__ import annotations

from bisect import bisect_left
from random import Random
from typing import TYPE_CHECKING, Any

from . import identifiers, outing
from .image import Image
from .photographs import Photographs
from .users import UserSpecification

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: Numbers each user has for its images, and for its sequences.
_RANGE = 10**10
_DAY = 86_400_000


class Catalogue:
    """All users of a sandbox, by name and by id."""

    def __init__(
        self, users: Iterable[Mapping[str, Any]], seed: int = 0, photos: Path | None = None
    ) -> None:
        """Check the entries of the USERS file; ValueError names what is wrong with one."""
        self.seed = seed
        self.photographs = Photographs(photos)
        specifications = [UserSpecification.from_mapping(entry) for entry in users]
        self.users = [
            User(seed, position, each, self.photographs)
            for position, each in enumerate(specifications)
        ]
        self._by_name = {each.name: each for each in self.users}
        if len(self._by_name) < len(self.users):
            raise ValueError("two users have the same username")

    def user(self, name: str) -> User:
        """Return the user of exactly this name; KeyError if there is none."""
        return self._by_name[name]

    def find_user(self, name: str) -> User | None:
        """Return the user of exactly this name or of this numeric id, None if there is none."""
        by_identity = (each for each in self.users if each.identity == name)
        return self._by_name.get(name) or next(by_identity, None)

    def by_number(self, number: int) -> Image | None:
        """Return the image with this number."""
        position, index = divmod(number, _RANGE)
        if position < len(self.users) and index < self.users[position].size:
            return self.users[position].image(index)
        return None

    def find(self, image_id: str) -> Image | None:
        """Return the image with this id, dead or not."""
        for user in self.users:
            if image_id in user.named:
                return user.image(user.named[image_id])
        number = identifiers.image_number(self.seed, image_id)
        image = None if number is None else self.by_number(number)
        return image if image and image.image_id == image_id else None

    def sequence(self, name: str) -> Iterator[Image]:
        """Iterate over the images of a sequence in its own order, which is not that of time."""
        number = identifiers.sequence_number(self.seed, name)
        position, line = divmod(_RANGE * len(self.users) if number is None else number, _RANGE)
        if position < len(self.users):
            user = self.users[position]
            length = user.specification.sequence_length
            places = range(line * length, min(user.size, (line + 1) * length))
            for index in sorted(places, key=lambda place: place ^ 1, reverse=True):
                image = user.image(index)
                if image.sequence == name:
                    yield image

    def body(self, image: Image, quality: str) -> bytes:
        """Return exactly the bytes the CDN serves for the image without faults."""
        name = image.image_id or str(image.number)
        return self.photographs.body(image.photograph, quality, name, image.turned)


class User:
    """One user: a listing of `size` images, newest first."""

    def __init__(
        self, seed: int, position: int, specification: UserSpecification, photographs: Photographs
    ) -> None:
        self.seed = seed
        self.specification = specification
        self.name = specification.username
        self.size = specification.images
        self.photographs = photographs
        self.first_number = position * _RANGE
        #: Graph API: numeric id of the creator.
        self.identity = str(100_000_000_000_000 + seed % 1000 * 1000 + position)
        self._newest = specification.newest_ms
        self._step = max(2, int(specification.days * _DAY / max(1, self.size)))
        places = Random(f"{seed} {self.name}")
        #: Longitude and latitude around which the images lie.
        self.place = places.uniform(-170, 170), places.uniform(-60, 65)
        rest = list(self._chosen(places))
        self.dead = self._take(rest, specification.dead)
        self.hostile = self._take(rest, specification.hostile)
        self.nameless = self._take(rest, specification.nameless)
        self.integer_ids = self._take(rest, specification.integer_ids)
        new = range(min(specification.new, self.size))
        self.late = dict.fromkeys((*new, *self._take(rest, specification.late)), 0)
        self.named = {self.image(index).image_id: index for index in self.hostile}

    def _chosen(self, random: Random) -> list[int]:
        special = self.specification
        count = special.dead + special.hostile + special.nameless + special.integer_ids
        count += special.late
        population = range(min(special.new, self.size), self.size)
        if count > len(population):
            raise ValueError(f"user {self.name!r}: {count} special images of {self.size}")
        return random.sample(population, count)

    @staticmethod
    def _take(rest: list[int], count: int) -> dict[int, int]:
        """Return index to rank of the next `count` chosen images."""
        return {rest.pop(): rank for rank in range(count)}

    def image(self, index: int) -> Image:
        """Return the image at this place of the listing, 0 ≤ index < size."""
        return Image(self, index)

    def images(self, *, late: bool = False) -> Iterator[Image]:
        """Iterate over the images that are listed, newest first; `late` adds those yet to come."""
        for index in range(self.size):
            if late or index not in self.late:
                yield Image(self, index)

    def time(self, index: int) -> int:
        """Return the capture time in ms at a place of the listing; never rises with the index."""
        special = self.specification
        if special.streets:
            return outing.time(self, index, self._newest, int(special.days * _DAY))
        run = index - index % 8
        if special.equal_times and identifiers.draw(self.seed, self.name, run, "equal") < (
            special.equal_times
        ):
            index = run
        elif special.odd_values:
            odd = max(1, int(self.size * special.odd_values / 10))
            if index < odd or index >= self.size - odd:
                return 2_147_483_647_000 - index if index < odd else 0
        jitter = int(identifiers.draw(self.seed, self.name, index, "time") * (self._step // 2))
        time = self._newest - index * self._step - jitter
        # Many cameras know whole seconds only; the step leaves room, so the order stays.
        whole = self._step >= 2000 and index // special.sequence_length % 2
        return time - time % 1000 if whole else time

    def window(self, start: int | None, end: int | None) -> tuple[int, int]:
        """Return the places [first, stop) whose capture time is within start and end, inclusive."""
        places = range(self.size)
        first = 0 if end is None else bisect_left(places, -end, key=lambda at: -self.time(at))
        if start is None:
            return first, self.size
        return first, bisect_left(places, 1 - start, key=lambda at: -self.time(at))
