"""How a run stops: at a signal, within seconds, in every phase."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from mapillary_crawler.collection.outcome import Outcome

#: Seconds after the first signal at which the process ends whatever it does: Python would
#: join a blocked worker thread for ever. Correctness rests on the ledger only.
_PATIENCE = 4.0
#: Seconds that the last words may take; what hangs may hang them, too.
_LAST_WORDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """Turns the first SIGINT, SIGTERM or SIGHUP into `stop`, and the second into an end at once.

    A second SIGHUP is nobody's impatience: where a terminal is closed, its shell sends one, and the
    system another. Under `nohup` there is none.

    `stop` is called in the signal handler and must only pass the word on. `last_words` is called,
    in a thread of its own, before the process is ended because it hangs.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._end: Callable[[], None] = end_now
        self._over = False
        self._watchdog: threading.Timer | None = None
        self.last_words: Callable[[], None] = lambda: None
        self.requested = False

    def forward_to(self, stop: Callable[[], None]) -> None:
        """Call another function from now on."""
        self._stop = stop

    def install(self) -> None:
        """Take the signals over; Scrapy's handlers are not installed."""
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        atexit.register(_ignore)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            if number != signal.SIGHUP or self._over:
                self._end()
            return
        self.requested = True
        if not self._over:
            self._watchdog = threading.Timer(_PATIENCE, self._end_hanging)
            self._watchdog.daemon = True
            self._watchdog.start()
            self._stop()

    def hand_over(self, end: Callable[[], None]) -> None:
        """Take the hurry away, once the run is over: a second signal calls `end` from now on."""
        self._over, self._end = True, end
        if self._watchdog:
            self._watchdog.cancel()

    def _end_hanging(self) -> None:
        """Say the last words, if that can be done, and end the process."""
        words = threading.Thread(target=self.last_words, daemon=True)
        words.start()
        words.join(_LAST_WORDS)
        end_now()


def _ignore() -> None:
    """Let no signal change what the run has come to: all that is left is Python's own end.

    Python would give the signals back to the system, which kills, and then take its time.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def end_now() -> None:
    """End the process this instant, as an interrupted run."""
    os._exit(Outcome.INTERRUPTED.exit_code)
