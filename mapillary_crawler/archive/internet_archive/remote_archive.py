"""archive.org by way of a process of its own, for a process that cannot have its library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from mapillary_crawler.archive.internet_archive.body import UnreadableFile
from mapillary_crawler.archive.internet_archive.options import Options
from mapillary_crawler.archive.internet_archive.trouble import (
    BadDigest,
    CredentialsMissing,
    Denied,
    NoKeys,
    SlowDown,
    Trouble,
    Unavailable,
)
from mapillary_crawler.collection.outcome import ArgumentRefused, ProjectError, RunStopped

_PROGRAM = "mapillary_crawler.archive.internet_archive.carrier"
#: Secrets that are none of archive.org's.
_NOT_PASSED = ("MAPILLARY_TOKEN", "MAPILLARY_QUEUE")
#: Seconds that the process has to end by itself.
_ENDING = 1.0
_PLAIN = {
    kind.__name__: kind
    for kind in (ArgumentRefused, CredentialsMissing, NoKeys, Trouble, UnreadableFile)
}
_PASSING = {kind.__name__: kind for kind in (Unavailable, SlowDown, BadDigest)}


class RemoteArchive:
    """What `ArchiveOrg` is, asked over a pipe by one thread at a time.

    The process is started when it is first needed, and again if it has died. `advance` hears of
    the bytes of a file that were sent. After `kill`, by whatever thread, all raises `RunStopped`.
    """

    def __init__(self, options: Options, advance: Callable[[int], None] = lambda _: None) -> None:
        self._options = options
        self._advance = advance
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = self._asking = False

    def check_keys(self) -> None:
        """Raise `CredentialsMissing` or `ArgumentRefused` where nothing can be sent; no request."""
        self._running()

    def metadata(self, identifier: str) -> dict[str, Any]:
        """Return what the metadata API says of an item now; nothing for an absent one."""
        found: dict[str, Any] = self._ask("metadata", identifier=identifier)
        return found

    def tasks(self, identifier: str) -> dict[str, int]:
        """Return how many tasks of an item stand how."""
        counts: dict[str, int] = self._ask("tasks", identifier=identifier)
        return counts

    def is_overloaded(self) -> bool:
        """Say whether S3 takes no uploads now."""
        return bool(self._ask("is_overloaded"))

    def put(
        self,
        identifier: str,
        name: str,
        body: BinaryIO,
        *,
        metadata: Mapping[str, Sequence[str]],
        headers: Mapping[str, str],
    ) -> None:
        """Put a file into an item; the other process opens the file by the name of `body`."""
        self._ask(
            "put",
            path=os.path.abspath(body.name),  # noqa: PTH100  links stay as they are
            identifier=identifier,
            name=name,
            metadata={tag: list(values) for tag, values in metadata.items()},
            headers=dict(headers),
        )

    def set_metadata(self, identifier: str, values: Mapping[str, str]) -> None:
        """Replace tags of an item that is there."""
        self._ask("set_metadata", identifier=identifier, values=dict(values))

    def kill(self) -> None:
        """End what is being asked, with the process, from any thread."""
        self._killed = True
        if (process := self._process) and self._asking:
            _kill(process)

    def resume(self) -> None:
        """Let it be asked again after `kill`."""
        self._killed = False

    def close(self) -> None:
        """End the process once nothing is asked any more."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING)
        _kill(process)
        process.wait()

    def _ask(self, do: str, **asked: Any) -> Any:
        self._asking = True
        try:
            if self._killed:
                raise RunStopped
            return self._answer(self._running(), do=do, **asked)
        finally:
            self._asking = False

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process, started and with a session; raises what that raises."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        # In a session of its own, so that Ctrl-C and a closed terminal reach the crawl alone.
        try:
            self._process = process = subprocess.Popen(  # noqa: S603  this program's own
                # Without -P, Python would look for modules in the working folder first.
                [sys.executable, "-P", "-m", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:  # too many processes, perhaps
            raise Unavailable(
                f"the process that speaks to archive.org cannot be started: {error.strerror}"
            ) from None
        if self._killed:  # while it was being started
            _kill(process)
        options = self._options
        try:
            self._answer(
                process, do="open", url=options.url, s3_url=options.s3_url, timeout=options.timeout
            )
        except ProjectError:
            self.close()
            raise
        return process

    def _answer(self, process: subprocess.Popen[bytes], **request: Any) -> Any:
        """Return what a request comes to; raises the trouble that it comes to."""
        answer = self._answered(process, request)
        if answer is not None:
            if "trouble" in answer:
                raise trouble_of(**answer)
            return answer["done"]
        if self._killed:
            raise RunStopped
        _kill(process)
        code = process.wait()
        if code > 0:
            raise Trouble(f"the process that speaks to archive.org ended with {code}")
        raise Unavailable(f"the process that speaks to archive.org was ended by signal {-code}")

    def _answered(
        self, process: subprocess.Popen[bytes], request: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the answer to a request, None where the process ends before."""
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError, ConnectionResetError, ValueError):  # closed, or a line cut
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            while line := process.stdout.readline():
                answer: dict[str, Any] = json.loads(line)
                if "read" not in answer:
                    return answer
                self._advance(answer["read"])
        return None


def trouble_of(trouble: str, words: str, **more: Any) -> ProjectError:
    """Return the error that the other process has told of."""
    if trouble in _PASSING:
        return _PASSING[trouble](words, more.get("retry_after"))
    if trouble == Denied.__name__:
        return Denied(words, more["status"], explained=more["explained"])
    return _PLAIN.get(trouble, Trouble)(words)


def _environment() -> dict[str, str]:
    """Return the environment: where the program and the keys are, and no secret of others."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    return kept | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
