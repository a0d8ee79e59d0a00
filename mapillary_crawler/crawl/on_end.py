"""The command of ON_END: run once a run is over, told of it, and kept from what is secret."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.terminal.quoting import one_line

logger = logging.getLogger(__name__)

#: Seconds after which the command is ended, with all that it has started.
SECONDS = 60.0
#: Seconds that its last lines may take to be read.
_LAST_LINES = 1.0
#: What the log gets of its output: lines, and bytes of a line.
_MOST_LINES, _LINE_BYTES = 1000, 500
#: What it gets of this process's environment, besides `LC_…`; the last four are for notifications
#: of a desktop.
_PASSED = (
    "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ",
    "USER", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR",
)  # fmt: skip
_COUNTS = (
    "listed", "saved", "damaged", "bare", "gone", "unavailable", "failed", "left", "accepted",
    "outside", "nameless", "bytes_saved", "vanished",
)  # fmt: skip


def read_on_end(settings: Mapping[str, Any]) -> list[str]:
    """Return the command's words, none where there is no command; raises `ArgumentRefused`."""
    try:
        return shlex.split(str(settings["ON_END"] or ""))
    except ValueError as error:
        raise ArgumentRefused(f"ON_END is no command: {error}") from None


def is_to_be_told(opened: OpenCollection, outcome: Outcome) -> bool:
    """Say whether a run is one whose end the command hears of: that of a crawl, and of no part."""
    is_part = opened.slice_number is not None or outcome is Outcome.CUT
    return not (opened.plan or is_part)


def variables(opened: OpenCollection, outcome: Outcome) -> dict[str, str]:
    """Return what the command is told of a run that is over."""
    collection = opened.collection
    told = {
        "USERNAME": collection.username,
        "QUALITY": collection.quality,
        "WEBP": f"{collection.webp:d}",
        "COLLECTION": collection.name,
        "FOLDER": str(opened.place),
        "OUTCOME": outcome.reason,
        "EXIT_CODE": str(outcome.exit_code),
        **{count.upper(): str(getattr(opened.balance, count)) for count in _COUNTS},
    }
    return {f"MAPILLARY_{name}": value for name, value in told.items()}


class OnEnd:
    """Runs the command, whose output is logged and whose failure is a warning, no more."""

    def __init__(self, command: Sequence[str], told: Mapping[str, str]) -> None:
        self._command = command
        passed = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED or name.startswith("LC_")
        }
        self._environment = {**passed, **told}
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(self, seconds: float = SECONDS) -> None:
        """Run it, at most so many seconds; what it leaves in its process group ends with it."""
        try:
            process = self._process = subprocess.Popen(  # noqa: S603  the user's own, without a shell
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            logger.warning("ON_END cannot be run: %s: %s", self._command[0], why)
            return
        if self._ended:  # while it was being started
            self.end()
        assert process.stdout is not None
        reader = threading.Thread(target=_log, args=(process.stdout,), daemon=True)
        reader.start()
        took_too_long = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            took_too_long = True
        _kill(process)
        code = process.wait()
        reader.join(_LAST_LINES)
        if took_too_long:
            logger.warning("ON_END took more than %g s, and was ended", seconds)
        elif code:
            how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
            logger.warning("ON_END ended %s", how)

    def end(self) -> None:
        """End it now (in a signal handler)."""
        self._ended = True
        if self._process is not None:
            _kill(self._process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # of a group that is gone
        os.killpg(process.pid, signal.SIGKILL)


def _log(output: IO[bytes]) -> None:
    """Log what the command says, as far as a log should hold it."""
    count = 0
    with output:
        while line := output.readline(_LINE_BYTES):
            count += 1
            if count <= _MOST_LINES:
                logger.info("ON_END: %s", one_line(line.decode(errors="replace"), _LINE_BYTES))
    if count > _MOST_LINES:
        logger.info("ON_END: %d more lines", count - _MOST_LINES)
