"""The program of the processes that make JPEG XL of JPEGs and JPEGs of JPEG XL.

    python -m mapillary_crawler.image.jxl_worker pylibjxl
    python -m mapillary_crawler.image.jxl_worker cjxl CJXL DJXL FOLDER

It says that it is ready, then answers requests from standard input, one after another, until that
ends. A library in C that reads what strangers send may crash, hang or want all memory: here that
costs one image. Once nobody can ask any more it ends at once, whatever is being done.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, NamedTuple, Protocol

#: A request: what is to be done, the effort of an encoder, the bytes that follow. An answer:
#: whether it was done, and the bytes that follow, which are the reason where it was not.
REQUEST, ANSWER = struct.Struct(">cBQ"), struct.Struct(">cQ")
ENCODE, DECODE = b"E", b"D"
READY, DONE, FAILED = b"R", b"O", b"F"

#: The name by which djxl knows what it is to write; it is a link to its output.
JPEG_NAME = "as.jpg"


class Failed(Exception):
    """The library or the program says that it cannot."""


class Codec(Protocol):
    """What turns one into the other; raises `Failed`."""

    def encode(self, jpeg: bytes, effort: int) -> bytes:
        """Return a JPEG XL that gives back the JPEG."""

    def decode(self, jxl: bytes) -> bytes:
        """Return the JPEG that a JPEG XL was made of."""


class _Library:
    """pylibjxl, in one thread: processes are what computes at once."""

    def __init__(self) -> None:
        import pylibjxl  # noqa: PLC0415  takes 0.3 s, and is optional

        self._jxl = pylibjxl.JXL(threads=1, pool_size=1)

    def encode(self, jpeg: bytes, effort: int) -> bytes:
        return self._asked(lambda: self._jxl.jpeg_to_jxl(jpeg, effort=effort))

    def decode(self, jxl: bytes) -> bytes:
        return self._asked(lambda: self._jxl.jxl_to_jpeg(jxl))

    def _asked(self, ask: Callable[[], bytes]) -> bytes:
        try:
            return bytes(ask())
        except Exception as error:
            raise Failed(f"{type(error).__name__}: {error}") from error


class _Programs:
    """cjxl and djxl, which of old want files to read, and of djxl's a name to write to."""

    def __init__(self, cjxl: str, djxl: str, folder: str) -> None:
        self._cjxl, self._djxl = cjxl, djxl
        self._jpeg = str(Path(folder) / JPEG_NAME)

    def encode(self, jpeg: bytes, effort: int) -> bytes:
        options = ["--lossless_jpeg=1", "-e", str(effort), "--num_threads=0", "--quiet"]
        return _run([self._cjxl, "/dev/stdin", "/dev/stdout", *options], jpeg)

    def decode(self, jxl: bytes) -> bytes:
        return _run([self._djxl, "/dev/stdin", self._jpeg, "--num_threads=0", "--quiet"], jxl)


def _run(command: list[str], body: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.seek(0)
        ran = subprocess.run(  # noqa: S603  found on PATH, and no shell
            command, stdin=file, capture_output=True, check=False
        )
    if ran.returncode:
        line = ran.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Failed(f"exit {ran.returncode}: {line[:200]}")
    return ran.stdout


class _Request(NamedTuple):
    what: bytes
    effort: int
    body: bytes


def _read(source: BinaryIO) -> _Request | None:
    head = source.read(REQUEST.size)
    if len(head) < REQUEST.size:
        return None
    what, effort, size = REQUEST.unpack(head)
    body = source.read(size)
    return _Request(what, effort, body) if len(body) == size else None


def _answer(requests: SimpleQueue[_Request], codec: Codec, answers: BinaryIO) -> None:
    while True:
        request = requests.get()
        try:
            if request.what == ENCODE:
                status, body = DONE, codec.encode(request.body, request.effort)
            else:
                status, body = DONE, codec.decode(request.body)
        except (Failed, OSError, MemoryError) as error:
            status, body = FAILED, str(error).encode() or type(error).__name__.encode()
        del request
        answers.write(ANSWER.pack(status, len(body)) + body)
        answers.flush()


def main(kind: str, *programs: str) -> None:
    """Serve until standard input ends."""
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    codec: Codec = _Library() if kind == "pylibjxl" else _Programs(*programs)
    requests: SimpleQueue[_Request] = SimpleQueue()
    threading.Thread(target=_answer, args=(requests, codec, answers), daemon=True).start()
    answers.write(READY)
    answers.flush()
    while request := _read(sys.stdin.buffer):
        requests.put(request)
    if os.getpgrp() == os.getpid():  # with a program that is running
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
