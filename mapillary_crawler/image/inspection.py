"""The judge: whether a body is a whole image, and how large its picture is.

The crawl, `verify` and `adopt` share it. Its answer is a `Verdict`; no exception of a decoder
leaves it. Work is limited by what the header says, before anything decodes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mapillary_crawler.image import jpeg
from mapillary_crawler.image import walk as slow_walk
from mapillary_crawler.image.encoders import EncodeInterrupted, NotEncoded
from mapillary_crawler.image.jpeg_stream import (
    Stream,
    StreamError,
    TooManySegments,
    read_frame,
    read_stream,
)
from mapillary_crawler.image.other_formats import OtherFormatError, decode, other_format

_Walk = Callable[[bytes], bool]
_native_walk: _Walk | None
try:
    from jpeg_entropy import is_whole

    _native_walk = is_whole
except ImportError:  # it takes a C compiler to install it: without it, libjpeg decodes every file
    _native_walk = None

#: Pixels of the largest picture that is decoded; the service's largest known has 60 million.
PIXELS = 250_000_000
#: Scans of a picture, and pixels times scans, as in native/jpeg_entropy/walk.h; encoders write a
#: dozen scans at most.
_SCANS, _PIXELS_OF_SCANS = 500, 2_000_000_000
#: How long a picture is compared to its width, at most, where its row does not say so.
_ANY_RATIO = 4.0
#: Pixels beyond which pictures are decoded one at a time: a progressive one costs up to six
#: bytes a pixel at any scale, also where a body of a few bytes only claims to be so large.
_LARGE_PIXELS = 64_000_000
_large = threading.Lock()
#: Side of the reduced picture that is decoded, in pixels: libjpeg scales while it decodes.
_REDUCED = 64
#: Colour spaces that libjpeg cannot turn into grey.
_FOUR_INKS = frozenset({"CMYK", "YCCK"})
#: Seconds that the walk in Python may take, a net: 4 MB take six.
_CLOCK = 300


def has_native_walk() -> bool:
    """Say whether `native/` is installed, and pictures need not be decoded to be judged."""
    return _native_walk is not None


class State(StrEnum):
    """What a judge may say of a body."""

    WHOLE = "whole"
    #: All its pixels are there; the end marker is not, or zeros stand before it.
    NO_END = "without its end marker"
    DAMAGED = "damaged"
    #: What there is decodes, but coefficients are missing: it ends between two scans.
    CUT = "cut"
    #: It would cost more than any picture of the service; nothing was decoded.
    REFUSED = "refused"
    #: No verdict: the machine was at fault, not the body.
    NOT_JUDGED = "not judged"
    #: It does not start as an image does: a page of HTML, text, nothing at all.
    NO_IMAGE = "no image"


class NotAnImage(ValueError):
    """The body does not start as an image does."""


class DamagedImage(ValueError):
    """The body is damaged, cut, or beyond what is decoded, though it starts as an image."""


class NotJudged(Exception):
    """The body could not be judged, which says nothing of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; `reason` says why it is not whole, or what is odd about it."""

    state: State
    reason: str
    #: Pixels, 0 where they are not known.
    width: int
    height: int
    #: Of the body.
    sha256: bytes
    #: Of the format that it is in, if it is whole.
    extension: str = "jpg"

    @property
    def has_all_pixels(self) -> bool:
        """Say whether nothing of the picture is missing."""
        return self.state in (State.WHOLE, State.NO_END)

    @property
    def is_damaged(self) -> bool:
        """Say whether the body is to be treated as damaged at the source, if it stays so."""
        return self.state in _DAMAGED

    def check(self) -> None:
        """Raise `NotAnImage`, `DamagedImage` or `NotJudged` unless it has all pixels."""
        if self.is_damaged:
            raise DamagedImage(self.reason)
        if self.state is State.NO_IMAGE:
            raise NotAnImage(self.reason)
        if self.state is State.NOT_JUDGED:
            raise NotJudged(self.reason)


_DAMAGED = frozenset({State.DAMAGED, State.CUT, State.REFUSED})


class _Found(Exception):
    """Ends a judgement, since the body is not whole."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


def most_pixels(quality: str, width: object, height: object) -> int:
    """Return how many pixels an image may have: twice what its quality and its row allow.

    Thumbs are as wide as their quality says, and have the ratio of the row's `width` and `height`
    (Graph API: image fields), either of which may be the longer side.
    """
    if quality == "original":
        return PIXELS
    ratio = _ANY_RATIO
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        ratio = max(width, height) / min(width, height)
    return int(min(PIXELS, 2 * int(quality) ** 2 * ratio))


def judge(body: bytes, most: int = PIXELS, *, walk: bool = True) -> Verdict:
    """Read an image to its last bit; `most`: pixels that it may have.

    One in another format is decoded as `other_formats` says, and whole or no image.

    The walk of native/ is asked first, unless `walk` says not to. What it does not show whole is
    decoded by libjpeg-turbo at reduced scale, its warnings being errors, since libjpeg fills what
    is missing with grey. It gets neither application segments nor stray bytes before the first
    scan, of which it would warn, too. Where TurboJPEG does not take a picture, the walk has the
    last word, in Python where native/ is absent. Bytes after the end marker are no fault. Works
    without the GIL.
    """
    judgement = _Judgement(body, most)
    return judgement.verdict(lambda: judgement.of_jpeg(_native_walk if walk else None))


def judge_webp(body: bytes, most: int = PIXELS) -> Verdict:
    """Decode a WebP at full size, of an animated one the first frame."""
    judgement = _Judgement(body, most)
    return judgement.verdict(judgement.of_webp)


def judge_file(body: bytes, extension: str, *, walk: bool = True) -> Verdict:
    """Judge what lies in a file of that extension; it must be what that says."""
    if extension == "webp":
        return judge_webp(body)
    verdict = judge(body, walk=walk)
    if verdict.has_all_pixels and verdict.extension != extension:
        reason = f"it is a {verdict.extension.upper()}, not what its extension says"
        return replace(verdict, state=State.NO_IMAGE, reason=reason)
    return verdict


def judge_jxl(
    body: bytes, jpeg_of: Callable[[bytes], bytes], *, walk: bool = True
) -> tuple[Verdict, bytes]:
    """Judge the JPEG that a JPEG XL gives back by `jpeg_of`; return the checksum of it, too.

    The checksum is empty where none comes back.
    """
    sha256 = hashlib.sha256(body).digest()
    try:
        source = jpeg_of(body)
    except NotEncoded as error:
        reason = f"no JPEG comes back: {error}"
        return Verdict(State.DAMAGED, reason, 0, 0, sha256, "jxl"), b""
    except EncodeInterrupted as error:
        return Verdict(State.NOT_JUDGED, f"not judged: {error}", 0, 0, sha256, "jxl"), b""
    verdict = judge_file(source, "jpg", walk=walk)
    return replace(verdict, sha256=sha256, extension="jxl"), verdict.sha256


class _Judgement:
    """One body before the judge."""

    def __init__(self, body: bytes, most_pixels: int) -> None:
        self._body = body
        self._most_pixels = most_pixels
        self._size = 0, 0
        self._extension = "jpg"

    def verdict(self, find: Callable[[], State]) -> Verdict:
        """Return what `find` returns or raises, whatever that is."""
        try:
            state, reason = find(), ""
        except _Found as found:
            state, reason = found.state, found.reason
        except Exception as error:  # noqa: BLE001  no memory, no process: nothing is known
            state, reason = State.NOT_JUDGED, f"not judged: {type(error).__name__}: {error}"
        sha256 = hashlib.sha256(self._body).digest()
        return Verdict(state, reason, *self._size, sha256, self._extension)

    def of_jpeg(self, walk: _Walk | None) -> State:
        """Judge a JPEG; raises `_Found` unless it is whole."""
        body = self._body
        if not body.startswith(jpeg.START):
            return self._of_other_format()
        try:
            frame = read_frame(body)
            with self._turn(frame.width, frame.height):
                if walk is not None and walk(body):  # it limits scans as it reads them
                    return State.WHOLE
                stream = read_stream(body)
                _limit_scans(stream)
                _judge_stream(stream, walk)
        except TooManySegments as error:
            raise _Found(State.REFUSED, str(error)) from None
        except StreamError as error:
            raise _Found(State.DAMAGED, str(error)) from None
        return State.WHOLE

    def _of_other_format(self) -> State:
        extension = other_format(self._body)
        if extension is None:
            raise _Found(State.NO_IMAGE, _what_it_is(self._body))
        try:
            self._size = decode(self._body, extension, self._most_pixels)
        except OtherFormatError as error:
            raise _Found(State.NO_IMAGE, str(error)) from None
        self._extension = extension
        return State.WHOLE

    def of_webp(self) -> State:
        """Judge a WebP; raises `_Found` unless it is whole."""
        with self._turn(*_webp_size(self._body)):
            try:
                # Pillow's class has a size guard of its own, below what a crawl accepts.
                from PIL import _webp  # noqa: PLC0415  a Pillow without WebP can still crawl

                whole = _webp.WebPAnimDecoder(self._body).get_next() is not None
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  Pillow's decoders raise many kinds
                text = f"no whole WebP: {type(error).__name__}: {error}"
                raise _Found(State.DAMAGED, text) from None
        if not whole:
            raise _Found(State.DAMAGED, "no whole WebP: its picture cannot be decoded")
        return State.WHOLE

    def _turn(self, width: int, height: int) -> AbstractContextManager[object]:
        """Return what a picture of that size is to be decoded in; raises `_Found`."""
        self._size = width, height
        if width * height > self._most_pixels:
            text = f"absurd dimensions, {width} x {height} pixels, {self._most_pixels:,} at most"
            raise _Found(State.REFUSED, text)
        return _large if width * height > _LARGE_PIXELS else nullcontext()


def _limit_scans(stream: Stream) -> None:
    """Raise `_Found` where scans would cost too much; all are counted before any is decoded."""
    width, height, scans = stream.frame.width, stream.frame.height, len(stream.scans)
    most = min(_SCANS, _PIXELS_OF_SCANS // (width * height))
    if scans > most:
        text = f"{scans} scans of {width} x {height} pixels, {most} at most"
        raise _Found(State.REFUSED, text)


def _judge_stream(stream: Stream, walk: _Walk | None) -> None:
    """Judge what the walk did not show whole in the file as it is; raises `_Found`."""
    fault = _fault(stream.needed, walk)
    zeros = fault is not None and any(
        _fault(needed, walk) is None for needed in stream.without_zeros()
    )
    if fault is not None and not zeros:
        raise _Found(State.DAMAGED, fault)
    if not stream.is_complete():
        raise _Found(State.CUT, "it ends between two scans: coefficients are missing")
    if not stream.ended:
        raise _Found(State.NO_END, "its end marker is missing")
    if zeros:
        raise _Found(State.NO_END, "zeros stand before its end marker")


def decoder() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what decodes a JPEG and what reads its header; raises `ImportError`.

    Loaded by who needs it: numpy comes with it, a tenth of a crawl's start, and few files need it.
    """
    from simplejpeg import (  # type: ignore[attr-defined]  # noqa: PLC0415
        decode_jpeg,
        decode_jpeg_header,
    )

    return decode_jpeg, decode_jpeg_header


def _fault(needed: bytes, walk: _Walk | None) -> str | None:
    """Return what is wrong with a picture, None if nothing is."""
    decode_jpeg, decode_jpeg_header = decoder()
    try:
        *_, colours, _ = decode_jpeg_header(needed, strict=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  simplejpeg does not know all answers of its library
        return _last_word(needed, walk)
    try:
        decode_jpeg(
            needed,
            colorspace="CMYK" if colours in _FOUR_INKS else "GRAY",
            fastdct=True,
            fastupsample=True,
            min_height=_REDUCED,
            min_width=_REDUCED,
            strict=True,
        )
    except ValueError as error:
        if "nsufficient memory" in str(error) or "emory allocation" in str(error):
            raise MemoryError(str(error)) from None
        return str(error)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  the same
        return _last_word(needed, walk)
    return None


def _last_word(needed: bytes, walk: _Walk | None) -> str | None:
    """Return as `_fault` does what the walk finds, where TurboJPEG cannot say."""
    if walk(needed) if walk is not None else _walk_apart(needed):
        return None
    return "its codes do not give a whole picture"


def _walk_apart(needed: bytes) -> bool:
    """Walk in Python, in a process that can be killed; raises what says nothing of the body."""
    ran = subprocess.run(  # noqa: S603  this program's own
        [sys.executable, "-S", "-m", slow_walk.__name__],
        input=needed,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_CLOCK,
        check=False,
    )
    if ran.returncode not in (0, slow_walk.NOT_SHOWN):
        raise ChildProcessError(f"the walk ended with {ran.returncode}")
    return ran.returncode == 0


def _webp_size(body: bytes) -> tuple[int, int]:
    """Return width and height in pixels by the first chunk (RFC 9649); raises `_Found`."""
    kind, start = body[12:16], body[20:30]
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP" and len(start) == 10:
        if kind == b"VP8 ":
            width, height = (int.from_bytes(start[at : at + 2], "little") for at in (6, 8))
            return width & 0x3FFF, height & 0x3FFF
        if kind == b"VP8L":
            bits = int.from_bytes(start[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8X":
            width, height = (int.from_bytes(start[at : at + 3], "little") for at in (4, 7))
            return width + 1, height + 1
    raise _Found(State.DAMAGED, "no whole WebP: it does not start as one")


def _what_it_is(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    return "an HTML page" if start.startswith(b"<") else "no image"
