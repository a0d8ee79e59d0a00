"""The program of the process by which a crawl speaks to archive.org.

    python -m mapillary_crawler.archive.internet_archive.carrier

Its library patches sockets, which no crawl can have. It answers requests from standard input, one
JSON object a line, one after another (`remote_archive.py` asks them). The keys are read here, and
cross the pipe in no direction. Once nobody can ask any more it ends at once, whatever it sends:
what a crawl has sent that was killed is the next run's to find out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, cast

from mapillary_crawler.archive.internet_archive.body import Body, UnreadableFile
from mapillary_crawler.archive.internet_archive.session import ArchiveOrg
from mapillary_crawler.archive.internet_archive.trouble import Denied, Trouble, Unavailable
from mapillary_crawler.collection.outcome import ProjectError

#: Seconds between two words about a file that is being sent.
_SAY = 1.0


class Carrier:
    """Answers requests; `output` gets a line for each, and lines about what is being sent."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._archive: ArchiveOrg

    def answer(self, request: dict[str, Any]) -> None:
        """Do what is asked, and say what it came to."""
        try:
            self._say(done=self._done(**request))
        except ProjectError as error:
            self._say(**told(error))
        except Exception as error:  # noqa: BLE001  not its words: they may hold a key
            self._say(trouble="Trouble", words=f"unexpected error: {type(error).__name__}")

    def _done(self, do: str, **asked: Any) -> Any:
        match do:
            case "open":
                self._archive = ArchiveOrg(**asked)
                return None
            case "put":
                return self._put(**asked)
            case "metadata" | "tasks" | "is_overloaded" | "set_metadata":
                return getattr(self._archive, do)(**asked)
        raise Trouble(f"{do!r} is nothing that can be asked")

    def _put(self, path: str, **asked: Any) -> None:
        read, said = 0, time.monotonic()

        def advance(size: int) -> None:
            nonlocal read, said
            read += size
            if time.monotonic() - said >= _SAY:
                self._say(read=read)
                read, said = 0, time.monotonic()

        try:
            body = Body(Path(path), advance)
        except OSError as error:
            raise UnreadableFile(f"{path} cannot be read: {error.strerror}") from None
        with body:
            self._archive.put(body=cast("BinaryIO", body), **asked)
        self._say(read=read)

    def _say(self, **line: Any) -> None:
        self._output.write(json.dumps(line).encode() + b"\n")
        self._output.flush()


def told(error: ProjectError) -> dict[str, Any]:
    """Return an error as a line holds it; `remote_archive.trouble_of` reads it."""
    line: dict[str, Any] = {"trouble": type(error).__name__, "words": str(error)}
    if isinstance(error, Unavailable):
        line["retry_after"] = error.retry_after
    if isinstance(error, Denied):
        line |= {"status": error.status, "explained": error.explained}
    return line


def _read(requests: SimpleQueue[dict[str, Any]]) -> None:
    """Hand requests on, and end the process with whoever asks them."""
    try:
        for line in sys.stdin.buffer:
            requests.put(json.loads(line))
    finally:  # also where a kill has cut a line
        os._exit(0)


def main() -> None:
    """Answer until the end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the crawl's to decide upon
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints
    requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    carrier = Carrier(output)
    while True:
        try:
            carrier.answer(requests.get())
        except BrokenPipeError:
            os._exit(0)


if __name__ == "__main__":
    main()
