"""What became of the users of `scrapy archive`: of each, and of all so far."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mapillary_crawler.archive.on_archive_org import OnArchiveOrg
from mapillary_crawler.archive.status import ARCHIVED, Overview, look_at
from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.layout import slice_folder
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.collection.places import Places
from mapillary_crawler.terminal import json_lines
from mapillary_crawler.terminal.progress import Phase
from mapillary_crawler.terminal.progress_file import read_progress

#: Exit codes of crawls that the same command goes on with.
GOES_ON = frozenset({3, 4, 6, 7, 10})


@dataclass(frozen=True, slots=True)
class UserEnd:
    """How a user's crawl ended.

    `code` is its exit code, negative the signal that ended it, None if it was not started;
    `skipped` says that none was needed, `is_here` that the collection is finished in the store;
    `archive_org` is None where no upload has begun.
    Times are in seconds since 1970.
    """

    username: str
    collection: str
    code: int | None
    skipped: bool = False
    is_here: bool = False
    balance: Balance | None = None
    archive_org: OnArchiveOrg | None = None
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def words(self) -> str:
        """How it ended, in a few words; one that ended well with nothing here is elsewhere."""
        if self.code is None:
            return "not started"
        if self.skipped:
            return "archived before"
        if self.code == 0 and not self.is_here:
            return Outcome.ALREADY_ARCHIVED.words
        if self.code < 0:
            return f"killed by signal {-self.code}"
        codes = (outcome for outcome in Outcome if outcome.exit_code == self.code)
        words = next(codes, Outcome.ERROR).words.partition(",")[0]
        return f"{words} ({self.code})" if self.code else words

    @property
    def needs_attention(self) -> bool:
        """Whether it is to be named, and not only counted."""
        return self.code is not None and not (self.code == 0 and self.is_here)

    def fields(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "username": self.username,
            "collection": self.collection,
            "outcome": self.words,
            "exit_code": self.code,
            "skipped": self.skipped,
            "finished": self.is_here,
            "started_at": json_lines.moment(self.started_at),
            "ended_at": json_lines.moment(self.ended_at),
            "archive_org": self.archive_org.fields() if self.archive_org else None,
            **json_lines.counts(self.balance),
        }


#: A user, and the number of a slice where it is one.
Crawl = tuple[str, int | None]


def counted(ends: Collection[str], *, goes_on: bool) -> str:
    """Return how many users ended in which words, the most frequent first, and what follows."""
    said = [f"{count:,} {words}" for words, count in Counter(ends).most_common()]
    line = f"{len(ends):,} user{'s' * (len(ends) != 1)}: {', '.join(said)}"
    return f"{line}; run the same command again" if goes_on else line


def _whole_number(value: Any) -> int:
    return value if isinstance(value, int) else 0


class UserEnds:
    """Notes the users' ends as they come; `collections` are the names of theirs, in order."""

    def __init__(self, collections: Mapping[str, str], places: Places) -> None:
        self._collections = collections
        self._places = places
        self._began = time.monotonic()
        self._started: dict[str, float] = {}
        self._running: set[Crawl] = set()
        #: Images and bytes that slices have saved whose crawl has ended, by user and number.
        self._of_slices: dict[Crawl, tuple[int, int]] = {}
        self.ended: dict[str, UserEnd] = {}

    @property
    def usernames(self) -> Collection[str]:
        """The users, in order."""
        return self._collections.keys()

    def folders(self, username: str, number: int | None = None) -> tuple[Path, ...]:
        """Return where a user's collection may be, in staging, then in the store; or a slice."""
        name = self._collections[username]
        if number is not None:
            return (slice_folder(self._places.staging / name, number),)
        return self._places.staging / name, self._places.store / name

    def start(self, username: str) -> None:
        """Note that a user's crawl begins."""
        self._started[username] = time.time()

    def end(self, username: str, code: int) -> UserEnd:
        """Note how a user's crawl ended, and look at what is there now."""
        name, overview = self._collections[username], Overview("", "")
        with suppress(ArgumentRefused):
            overview = look_at(self._places.find(name), self._places)
        started = self._started.get(username)
        self.ended[username] = UserEnd(
            username=username,
            collection=name,
            code=code,
            skipped=started is None,
            is_here=overview.state == ARCHIVED,
            balance=overview.balance,
            archive_org=overview.archive_org,
            started_at=started,
            ended_at=time.time(),
        )
        return self.ended[username]

    def is_uploading(self, username: str) -> bool:
        """Say whether a crawl that runs has all images here, and is at its upload alone.

        It says so itself, in what it writes for monitors; what an earlier run left there is older.
        """
        fields = read_progress(self.folders(username))
        began = json_lines.moment(self._started.get(username, time.time()))
        is_of_this_run = str(fields.get("started_at")) >= str(began)
        return is_of_this_run and fields.get("phase") == Phase.UPLOADING

    def run_now(self, running: Iterable[Crawl]) -> tuple[int, int]:
        """Note what is being crawled; return images and bytes that all others have saved.

        What is said to be running as a whole is the sum of its slices, which are then no others.
        """
        now = set(running)
        for username, number in self._running - now:
            if number is not None:
                fields = read_progress(self.folders(username, number))
                saved = fields.get("saved"), fields.get("bytes_saved")
                self._of_slices[username, number] = tuple(map(_whole_number, saved))  # type: ignore[assignment]
        self._running = now
        total = self.total()
        others = [
            saved
            for (username, number), saved in self._of_slices.items()
            if username not in self.ended and not now & {(username, None), (username, number)}
        ]
        images = total.saved + sum(saved for saved, _ in others)
        return images, total.bytes_saved + sum(size for _, size in others)

    def all(self) -> list[UserEnd]:
        """Return the ends of all users in their order, of those not started too."""
        return [
            self.ended.get(username) or UserEnd(username, name, None)
            for username, name in self._collections.items()
        ]

    def total(self) -> Balance:
        """Return the sum of the balances."""
        balances = [end.balance for end in self.ended.values() if end.balance]
        return Balance(
            **{
                field.name: sum(getattr(balance, field.name) for balance in balances)
                for field in fields(Balance)
            }
        )

    def counted(self) -> str:
        """Return how many crawls ended in which way, the most frequent first, and what follows."""
        goes_on = any(end.code is None or end.code in GOES_ON for end in self.all())
        return counted([end.words for end in self.all()], goes_on=goes_on)

    def fields(self, exit_code: int) -> dict[str, Any]:
        """Return the sum as JSON can hold it."""
        return {
            "username": None,
            "users": len(self._collections),
            "outcomes": dict(Counter(end.words for end in self.all()).most_common()),
            "exit_code": exit_code,
            **json_lines.counts(self.total()),
        }

    def seconds_left(self) -> float | None:
        """Return how long the rest takes if it takes as long as what was crawled so far."""
        crawled = sum(not end.skipped for end in self.ended.values())
        if not crawled:
            return None
        left = len(self._collections) - len(self.ended)
        return (time.monotonic() - self._began) / crawled * left
