"""What the encoders of another format than JPEG have in common."""

from __future__ import annotations

import signal
from typing import NamedTuple

#: How somebody, or the system for want of memory, ends a process: not the image's fault.
ENDED_BY = frozenset({-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGKILL})


class NotEncoded(Exception):
    """An image that stays a JPEG: a reason for the balance, and what happened."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class EncodeInterrupted(Exception):
    """The encoder ended, or did not start or end, for a reason that is not the image's."""


class Encoder(NamedTuple):
    """An encoder of this machine."""

    kind: str
    version: str
    #: The program; empty for a library.
    path: str = ""
