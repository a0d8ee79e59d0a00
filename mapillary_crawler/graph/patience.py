"""Pure: how long the API is waited for, and how much it is asked for at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from mapillary_crawler.collection.outcome import Outcome, ProjectError
from mapillary_crawler.graph.answers import Meaning
from mapillary_crawler.graph.api import PAGE_ROWS, PAGE_ROWS_LEAST
from mapillary_crawler.graph.backoff import full_jitter, half_jitter
from mapillary_crawler.terminal.quantities import duration

#: What is asked for: pages of a listing, or images by their ids.
PAGES, IMAGES = "pages", "images"
#: Seconds of back-off after an error, and after a rate limit: base and cap.
_RETRY = (0.5, 60.0)
_PAUSE = (5.0, 300.0)
#: Seconds to wait for a first answer of the run at all: a wrong token looks like an outage.
_FIRST_ANSWER = 300.0
#: Pages that succeed before the page grows again.
_PAGES_TO_GROW = 8


class OutOfPatience(ProjectError):
    """The API stayed away for too long; the message says how long, and what may be wrong."""

    outcome = Outcome.SERVICE_AWAY


@dataclass
class Patience:
    """The waiting of one run; fed with every answer, says how long to wait.

    Times are seconds on any clock that only goes forward.
    """

    longest: float
    random: Random = field(default_factory=Random)
    #: Answers of the run that could be used.
    answers: int = 0
    #: Rows to ask for in a page (Graph API: at most 2000).
    page_rows: int = PAGE_ROWS
    _failures: Counter[str] = field(default_factory=Counter)
    _failing_since: float | None = None
    _good_pages: int = 0

    def succeeded(self) -> None:
        """Note an answer that could be used."""
        self.answers += 1
        self._failures.clear()
        self._failing_since = None

    def page_succeeded(self) -> None:
        """Note a page that came whole: after some of them, ask for more again."""
        self.succeeded()
        self._good_pages += 1
        if self._good_pages >= _PAGES_TO_GROW:
            self._good_pages = 0
            self.page_rows = min(PAGE_ROWS, self.page_rows * 2)

    def failed(
        self,
        meaning: Meaning,
        message: str,
        *,
        now: float,
        subject: str = PAGES,
        asked_to_wait: float | None = None,
    ) -> float:
        """Note an answer that could not be used and return how many seconds to wait.

        `subject` is what was asked for: pages and images back off each by themselves, and
        only pages become smaller. `asked_to_wait` is the server's Retry-After. Raises
        `OutOfPatience`.
        """
        if self._failing_since is None:
            self._failing_since = now
        away = now - self._failing_since
        # Who asks to wait has answered, and has nothing against the token.
        answers = self.answers or meaning is Meaning.PAUSE or bool(asked_to_wait)
        if away >= (self.longest if answers else min(self.longest, _FIRST_ANSWER)):
            hint = "" if answers else "; it has not answered once, so the token may be wrong"
            raise OutOfPatience(f"the API gave no usable answer for {away:.0f} s: {message}{hint}")
        least = asked_to_wait or 0.0
        if least > self.longest - away:
            raise OutOfPatience(
                f"the API asks to wait for {duration(least)}, longer than the patience that is "
                f"left (API_PATIENCE {self.longest:.0f} s): {message}"
            )
        too_large = subject == PAGES and meaning is Meaning.ASK_FOR_LESS
        if too_large and self.page_rows > PAGE_ROWS_LEAST:
            # Waiting is no remedy here, asking for less is: the back-off begins anew.
            self._good_pages = self._failures[subject] = 0
            self.page_rows = max(PAGE_ROWS_LEAST, self.page_rows // 2)
            return max(full_jitter(0, *_RETRY, self.random), least)
        failures = self._failures[subject]
        self._failures[subject] += 1
        if meaning is Meaning.PAUSE:
            return max(half_jitter(failures, *_PAUSE, self.random), least)
        return max(full_jitter(failures, *_RETRY, self.random), least)
