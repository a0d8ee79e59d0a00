"""JPEG XL in processes of their own: which encoder is installed, and a pool of its workers.

No Scrapy here. Threads of one process encode no faster than one; processes do, and one that
crashes, hangs or wants too much memory costs the image that it had.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Self

from PIL import Image

from mapillary_crawler.collection.limits import IMAGE_BYTES
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.image import jxl_worker
from mapillary_crawler.image.encoders import ENDED_BY, EncodeInterrupted, Encoder
from mapillary_crawler.image.jxl import JxlError, dimensions, verify, with_plain_metadata

#: Pixels of the largest picture that becomes JPEG XL: twice those of the service's largest known.
MAX_PIXELS = 120_000_000
#: Pixels beyond which pictures are decoded one at a time.
_LARGE_PIXELS = 30_000_000
#: Seconds that a decoder may take where nobody says otherwise; the largest pictures take ten.
SECONDS = 120.0
#: Memory that libjxl takes for each pixel, and address space (17.3 and 53 bytes measured); address
#: space of a worker without a picture.
BYTES_A_PIXEL, _ADDRESSES_A_PIXEL = 18, 80
_ADDRESSES = 1 << 30
#: Seconds that a process has to end whose pipes are closed.
_DYING = 1.0
#: What a worker needs of our environment.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LANG")

_CHOICES = ("auto", "pylibjxl", "cjxl")
_VERSION = "import pylibjxl; print('{major}.{minor}.{patch}'.format(**pylibjxl.version()))"
_INSTALL = "install the extra [jxl], as in: pip install 'mapillary_crawler[jxl]'"


class TooSlow(EncodeInterrupted):
    """There was no end within the time that it had."""


def installed_encoder(choice: str) -> Encoder:
    """Return the encoder for the setting JXL_ENCODER: auto, pylibjxl or cjxl.

    `auto` is pylibjxl where it works, otherwise cjxl. Starts either to ask for its version, so
    not for the reactor thread of a running crawl. Raises ValueError, one line, if the choice is
    none or not installed.
    """
    if choice not in _CHOICES:
        raise ValueError(f"JXL_ENCODER={choice!r}: allowed are {', '.join(_CHOICES)}")
    found = None if choice == "cjxl" else _pylibjxl()
    if found is None and choice != "pylibjxl":
        found = _cjxl()
    if found is None:
        missing = {"pylibjxl": "no working pylibjxl", "cjxl": "no working cjxl and djxl on PATH"}
        raise ValueError(
            f"JXL_ENCODER={choice}: {missing.get(choice, 'neither pylibjxl nor cjxl works here')}; "
            f"{_INSTALL}, or libjxl-tools, which has cjxl"
        )
    return found


def _pylibjxl() -> Encoder | None:
    version = _said([sys.executable, "-c", _VERSION])
    return Encoder("pylibjxl", f"libjxl {version}") if version else None


def _cjxl() -> Encoder | None:
    path = shutil.which("cjxl")
    if path is None or shutil.which("djxl") is None:
        return None
    words = (_said([path, "--version"]) or "").split()
    return Encoder("cjxl", words[1].removeprefix("v"), path) if len(words) > 1 else None


def _said(command: list[str]) -> str | None:
    """Return the first line that a command prints; None if it fails."""
    try:
        ran = subprocess.run(  # noqa: S603  this Python, or found on PATH, and no shell
            command,
            env=_environment(),
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return ran.stdout.partition("\n")[0].strip()


def _environment() -> dict[str, str]:
    """Return the environment of a worker: where its programs are, and no secret."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}


@lru_cache(maxsize=1)
def _sample() -> bytes:
    packed = BytesIO()
    Image.new("RGB", (8, 8)).save(packed, "JPEG")
    return packed.getvalue()


class _Worker:
    """One process, which has the memory that a picture of so many pixels takes and no more."""

    def __init__(self, command: list[str]) -> None:
        # In a session of its own, so that Ctrl-C reaches us alone, and it ends with its children.
        self._process = subprocess.Popen(  # noqa: S603  this program's own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        self._is_ready = False
        #: It has answered before.
        self.is_used = False
        #: We have ended it.
        self.ended = False

    def limit(self, pixels: int) -> None:
        """Set what memory it may have from now on."""
        if sys.platform == "linux":
            most = _ADDRESSES + _ADDRESSES_A_PIXEL * pixels
            with suppress(OSError):  # it has ended
                _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_AS)
                if hard != resource.RLIM_INFINITY:  # a lower one is the user's
                    most = min(most, hard)
                resource.prlimit(self._process.pid, resource.RLIMIT_AS, (most, hard))

    def ask(self, what: bytes, body: bytes, effort: int = 0) -> bytes:
        """Return the answer; raises `JxlError`, and `EncodeInterrupted` where it did not decide."""
        try:
            answer = self._answer(what, body, effort)
        except (BrokenPipeError, ConnectionResetError, ValueError):  # closed, by the last of them
            answer = None
        if answer is not None:
            self.is_used = True
            return answer
        ended = self.ended
        code = self.close(_DYING)
        if ended or code in ENDED_BY:
            raise EncodeInterrupted("interrupted")
        if not self._is_ready:
            raise EncodeInterrupted(f"the encoder did not start: exit {code}")
        raise JxlError("encoder-failed", f"the encoder ended with {code}")

    def _answer(self, what: bytes, body: bytes, effort: int) -> bytes | None:
        """Return the answer, None where the process ended before."""
        sink, source = self._process.stdin, self._process.stdout
        assert sink is not None
        assert source is not None
        self._is_ready = self._is_ready or source.read(1) == jxl_worker.READY
        if not self._is_ready:
            return None
        sink.write(jxl_worker.REQUEST.pack(what, effort, len(body)))
        sink.write(body)
        sink.flush()
        head = source.read(jxl_worker.ANSWER.size)
        if len(head) < jxl_worker.ANSWER.size:
            return None
        status, size = jxl_worker.ANSWER.unpack(head)
        if size > IMAGE_BYTES or status not in (jxl_worker.DONE, jxl_worker.FAILED):
            raise JxlError("encoder-failed", "what the encoder gives is no answer")
        answer = source.read(size)
        if len(answer) < size:
            return None
        if status == jxl_worker.FAILED:
            raise JxlError("encoder-failed", answer.decode(errors="replace")[:200])
        return answer

    def is_sane(self) -> bool:
        """Say whether the process still gives back a JPEG that has nothing wrong with it."""
        sample = _sample()
        try:
            made = self.ask(jxl_worker.ENCODE, sample, 1)
            return self.ask(jxl_worker.DECODE, made) == sample
        except (JxlError, EncodeInterrupted):
            return False

    @property
    def is_ended(self) -> bool:
        """Whether the process has ended and was waited for."""
        return self._process.returncode is not None

    def kill(self) -> None:
        """End the process with all that it has started."""
        if self._process.poll() is None:
            self.ended = True
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self, grace: float = 0) -> int:
        """Wait for the end of the process, but not for long; return how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        return code


class Codec:
    """Workers of an encoder, as many as ask at once; for any thread, used as a context.

    What it raises of an image is a `JxlError`; of the machine, an `EncodeInterrupted`. A worker
    that fails is asked for what is known; one that fails then, too, is ended and, if it had worked
    before, does not have the last word: what one image has left in it must not cost another.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self._large = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._ended = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(self, source: bytes, *, effort: int, pixels: int, seconds: float = SECONDS) -> bytes:
        """Return a JPEG XL that is proven to give back the JPEG `source`, bit by bit.

        Its EXIF and XMP can be read without unpacking. Raises `JxlError` also where it is not
        smaller.
        """

        def work(worker: _Worker) -> bytes:
            made = with_plain_metadata(worker.ask(jxl_worker.ENCODE, source, effort), source)
            verify(made, source)
            if worker.ask(jxl_worker.DECODE, made) != source:
                raise JxlError("not-identical", "the JPEG that comes back is another")
            return made

        if pixels > MAX_PIXELS:
            raise JxlError("too-large", f"{pixels:,} pixels")
        made = self._done(work, pixels, seconds)
        if len(made) >= len(source):
            raise JxlError("not-smaller", f"{len(made)} bytes of {len(source)}")
        return made

    def decode(self, file: bytes, *, seconds: float = SECONDS) -> bytes:
        """Return the JPEG that a JPEG XL gives back, whoever made it."""
        width, height = dimensions(file)
        if width * height > MAX_PIXELS:
            raise JxlError("too-large", f"{width} x {height} pixels")
        pixels = width * height
        with self._large if pixels > _LARGE_PIXELS else nullcontext():
            return self._done(lambda worker: worker.ask(jxl_worker.DECODE, file), pixels, seconds)

    def kill(self) -> None:
        """End the workers that are running and begin no more."""
        with self._lock:
            self._ended = True
            workers = list(self._all)
        for worker in workers:
            worker.kill()

    def close(self) -> None:
        """End all workers and wait for those that nobody uses."""
        self.kill()
        with self._lock:
            idle, self._idle = self._idle, []
            folder, self._folder = self._folder, None
        for worker in idle:
            self._end(worker)
        if folder:
            folder.cleanup()

    def _done(self, work: Callable[[_Worker], bytes], pixels: int, seconds: float) -> bytes:
        worker = self._take()
        if worker.is_used:
            try:
                return self._try(work, worker, pixels, seconds)
            except JxlError:
                if not worker.is_ended:
                    raise
            worker = self._new()
        return self._try(work, worker, pixels, seconds)

    def _try(
        self, work: Callable[[_Worker], bytes], worker: _Worker, pixels: int, seconds: float
    ) -> bytes:
        too_slow = threading.Event()

        def end() -> None:
            too_slow.set()
            worker.kill()

        clock = threading.Timer(seconds, end)
        clock.daemon = True
        clock.start()
        is_good = False
        try:
            worker.limit(pixels)
            made = work(worker)
            is_good = True
        except JxlError:
            is_good = worker.is_sane()
            raise
        except EncodeInterrupted:
            if too_slow.is_set():
                raise TooSlow(f"no end of the encode after {seconds:g} s") from None
            raise
        finally:
            clock.cancel()
            self._put_back(worker, is_good=is_good)
        return made

    def _take(self) -> _Worker:
        """Return a worker that is free, or a new one; raises `EncodeInterrupted`."""
        with self._lock:
            if self._idle and not self._ended:
                return self._idle.pop()
        return self._new()

    def _new(self) -> _Worker:
        try:
            worker = _Worker(self._command())
        except OSError as error:  # no process, or no memory for one
            raise EncodeInterrupted(f"no encoder: {error}") from error
        with self._lock:
            self._all.add(worker)
            ended = self._ended
        if ended:  # since it was asked for
            self._end(worker)
            raise EncodeInterrupted("interrupted")
        return worker

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", jxl_worker.__name__, self._encoder.kind]
        if self._encoder.kind == "pylibjxl":
            return command
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="mapillary-jxl-")
                (Path(self._folder.name) / jxl_worker.JPEG_NAME).symlink_to("/dev/stdout")
            folder = self._folder.name
        djxl = shutil.which("djxl")
        if djxl is None:
            raise FileNotFoundError("djxl is not on PATH any more")
        return [*command, self._encoder.path, djxl, folder]

    def _put_back(self, worker: _Worker, *, is_good: bool) -> None:
        with self._lock:
            if is_good and not self._ended:
                self._idle.append(worker)
                return
        self._end(worker)

    def _end(self, worker: _Worker) -> None:
        worker.kill()
        worker.close()
        with self._lock:
            self._all.discard(worker)


class Decoder:
    """Gives back the JPEGs of JPEG XLs, by whichever decoder there is; used as a context.

    It is looked for when the first one is asked for. For any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codec: Codec | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what decodes."""
        if self._codec:
            self._codec.close()

    def __call__(self, jxl: bytes) -> bytes:
        """Return a JPEG; raises what `Codec` raises, and `Refused` where there is no decoder."""
        with self._lock:
            if self._codec is None:
                try:
                    self._codec = Codec(installed_encoder("auto"))
                except ValueError:
                    raise Refused(
                        Outcome.REFUSED, f"JPEG XL cannot be read here; {_INSTALL}"
                    ) from None
        return self._codec.decode(jxl)
