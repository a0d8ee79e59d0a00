"""The queue: which unsettled images are due, and what an attempt came to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.pages import Pages
from mapillary_crawler.ledger.records import FAILED_BEFORE, DueImage, FailedAttempt, State
from mapillary_crawler.ledger.way import Way

#: Requests, fresh URLs and runs after which a damaged body is believed to be the source's.
_DAMAGE_REQUESTS, _DAMAGE_FRESH_URLS, _DAMAGE_RUNS = 3, 2, 2
#: Images remembered because they have got URLs: those of two pages.
_RENEWED = 4000


_DUE = (
    "SELECT unsettled.number, id, url, expires, fresh, had_url, without_url, attempts, "
    "captured_at, day, sequence, page, row FROM unsettled JOIN images USING (number)"
)


class Queue:
    """Unsettled images by the time they are due.

    What is drawn is remembered here, in memory, until its outcome is reported, so
    nothing is drawn twice and a crash forgets it.
    """

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages
        self._drawn: set[int] = set()
        self._way = Way(database)
        self._renewed: deque[int] = deque(maxlen=_RENEWED)

    @property
    def drawn(self) -> int:
        """How many images are on their way."""
        return len(self._drawn)

    def start_run(self) -> None:
        """Make every unsettled image due, its attempts zero and its URL an old one.

        Those that failed in an earlier run come last: they may be many, and fail again. A URL
        that failed is not tried again in another run: it may be the URL that is bad, or its
        host, for as long as it has not expired.
        """
        self._way.begin()
        self._renewed.clear()
        with self._database.transaction():
            self._database.execute(
                f"UPDATE unsettled SET retry_at = iif(error IS NULL, 0, {FAILED_BEFORE}), "
                "attempts = 0, fresh = 0, url = iif(attempts > 0, NULL, url), "
                "expires = iif(attempts > 0 AND had_url, 0, expires) "
                "WHERE retry_at > 0 OR attempts > 0 OR fresh > 0"
            )

    def draw(self, now: float, limit: int, *, by_day: bool = False) -> list[DueImage]:
        """Return up to `limit` images that are due and not on their way, oldest due first.

        With `by_day`, once all are listed, what was never tried comes in the order of the days,
        and what failed behind it.
        """
        drawn = self._draw(self._way.next(limit, self._drawn)) if by_day else []
        if len(drawn) < limit:
            rows = self._database.execute(
                "SELECT number FROM unsettled WHERE retry_at <= ? ORDER BY retry_at, number "
                "LIMIT ?",
                (now, limit + len(self._drawn)),
            )
            due = [number for (number,) in rows if number not in self._drawn]
            drawn += self._draw(due[: limit - len(drawn)])
        return drawn

    def draw_next(
        self, now: float, limit: int, *, by_day: bool, only_renewed: bool
    ) -> list[DueImage]:
        """Return up to `limit` images for a feeder: what has got its URL since, else by `draw`.

        With `only_renewed` nothing else.
        """
        renewed = self.draw_renewed(now, limit)
        return renewed if renewed or only_renewed else self.draw(now, limit, by_day=by_day)

    def draw_renewed(self, now: float, limit: int) -> list[DueImage]:
        """Return up to `limit` images that have got URLs since they were drawn last."""
        numbers: list[int] = []
        while self._renewed and len(numbers) < limit:
            numbers.append(self._renewed.popleft())
        return self._draw(numbers, now)

    def draw_these(self, numbers: Sequence[int]) -> list[DueImage]:
        """Return those of some images that are wanted and not on their way, due or not."""
        return self._draw(sorted(numbers))

    def draw_missing(
        self, day: str, first: str, last: str, now: float, limit: int
    ) -> list[DueImage]:
        """Return up to `limit` of a day's wanted images, from one member key to another.

        Those that are due, whether they were tried before or not, and not on their way.
        """
        numbers = self._way.due(day, first, last, now, limit + len(self._drawn))
        return self._draw([number for number in numbers if number not in self._drawn][:limit])

    def _draw(self, numbers: Sequence[int], now: float = math.inf) -> list[DueImage]:
        """Return those of some images that are wanted, due and not on their way, in their order."""
        if not numbers:
            return []
        marks = ",".join("?" * len(numbers))
        rows = self._database.execute(
            f"{_DUE} WHERE unsettled.number IN ({marks}) AND retry_at <= ?", (*numbers, now)
        )
        wanted = [row for row in rows if row[0] not in self._drawn]
        wanted.sort(key=lambda row: row[-2:])  # so that each slice of a page is unpacked once
        found = {row[0]: self._image(row) for row in wanted}
        self._drawn.update(found)
        return [found[number] for number in dict.fromkeys(numbers) if number in found]

    def _image(self, row: tuple[Any, ...]) -> DueImage:
        (number, image_id, url, expires, fresh, had_url, without_url, attempts, captured_at, day,
         sequence, *place) = row  # fmt: skip
        return DueImage(
            number=number,
            image_id=image_id,
            url=url,
            expires=expires,
            fresh=bool(fresh),
            had_url=bool(had_url),
            without_url=without_url,
            attempts=attempts,
            captured_at=captured_at,
            day=day,
            sequence=sequence,
            metadata=self._pages.metadata(*place),
        )

    def put_back(self, numbers: Iterable[int]) -> None:
        """Forget that images were drawn; nothing else about them changed."""
        self.came_back(numbers)
        self._way.begin()

    def came_back(self, numbers: Iterable[int]) -> None:
        """Note that it is known what came of images that were drawn."""
        self._drawn.difference_update(numbers)

    def waiting(self) -> int:
        """Return how many images are still to be settled in this run, on their way or not."""
        unsettled: int = self._database.value(
            f"SELECT images FROM balance WHERE state = {State.UNSETTLED:d}"
        )
        given_up: int = self._database.value(
            "SELECT count(*) FROM unsettled WHERE retry_at = ?", (math.inf,)
        )
        return unsettled - given_up

    def at_rest(self) -> bool:
        """Say whether nothing is on its way and nothing becomes due any more in this run."""
        return not self._drawn and self.next_due() in (None, math.inf)

    def next_due(self) -> float | None:
        """Return when the next image that is not on its way is due, None if there is none."""
        rows = self._database.execute(
            "SELECT number, retry_at FROM unsettled ORDER BY retry_at, number LIMIT ?",
            (len(self._drawn) + 1,),
        )
        return next((due for number, due in rows if number not in self._drawn), None)

    def expired(self, at: float) -> int:
        """Return how many unsettled images had a URL that is expired by then, or dropped.

        Listing again brings none for those that were listed without one.
        """
        count: int = self._database.value(
            "SELECT count(*) FROM unsettled WHERE fresh = 0 AND expires <= ?", (at,)
        )
        return count

    def fail(self, failures: Sequence[FailedAttempt]) -> None:
        """Record failed attempts and put the images back."""
        with self._database.transaction():
            self._database.executemany(
                "UPDATE unsettled SET error = ?1, retry_at = ?2, attempts = attempts + ?3, "
                "url = iif(?4, NULL, url), expires = iif(?4 AND had_url, 0, expires), "
                "without_url = without_url + ?5 WHERE number = ?6",
                (
                    (failure.error, failure.retry_at, failure.counts, failure.drop_url,
                     failure.without_url, failure.number)
                    for failure in failures
                ),
            )  # fmt: skip
        self.came_back(failure.number for failure in failures)

    def renew(self, urls: dict[int, tuple[str, int | None]]) -> None:
        """Give images URLs that the service was asked for, and put them back, due at once."""
        with self._database.transaction():
            self._database.executemany(
                "UPDATE unsettled SET url = ?, expires = ?, fresh = 1, retry_at = 0, "
                "had_url = 1, without_url = 0 "
                "WHERE number = ?",
                ((url, expires, number) for number, (url, expires) in urls.items()),
            )
        self.came_back(urls)
        self.renewed(urls)

    def renewed(self, numbers: Iterable[int]) -> None:
        """Note that images have got URLs, so that they come first, the last of them if many."""
        self._renewed.extend(numbers)

    def is_noted(self, number: int, sha256: bytes) -> bool:
        """Say whether a damaged body was noted before, and the same bytes as these."""
        found = self._database.value(
            "SELECT 1 FROM damage WHERE number = ? AND sha256 = ?", (number, sha256)
        )
        return found is not None

    def damaged(self, number: int, sha256: bytes, *, fresh: bool, run: int) -> bool:
        """Note a damaged body, and say whether the damage is the source's.

        It is when three requests, with at least two fresh URLs, in two runs, brought
        the same bytes.
        """
        with self._database.transaction():
            self._database.execute(
                "DELETE FROM damage WHERE number = ? AND sha256 <> ?", (number, sha256)
            )
            self._database.execute(
                "INSERT INTO damage VALUES (?1, ?2, 1, ?3, ?4, ?4) ON CONFLICT DO UPDATE SET "
                "requests = requests + 1, fresh_urls = fresh_urls + ?3, last_run = ?4",
                (number, sha256, fresh, run),
            )
        requests, fresh_urls, first, last = self._database.execute(
            "SELECT requests, fresh_urls, first_run, last_run FROM damage WHERE number = ?",
            (number,),
        ).fetchone()
        return bool(
            requests >= _DAMAGE_REQUESTS
            and fresh_urls >= _DAMAGE_FRESH_URLS
            and last - first >= _DAMAGE_RUNS - 1
        )
