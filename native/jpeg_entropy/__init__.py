"""Says whether a JPEG is whole by walking its entropy-coded data; see walk.h."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec

_library = find_spec("jpeg_entropy._walk")
if _library is None:
    raise ImportError("jpeg_entropy has no library")
try:
    _walk = ctypes.CDLL(_library.origin).jpeg_is_whole
except (OSError, AttributeError) as error:  # another machine's, or half of one
    raise ImportError(f"jpeg_entropy has no library that can be used: {error}") from error
_walk.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
_walk.restype = ctypes.c_int


def is_whole(body: bytes) -> bool:
    """Say that libjpeg would decode a JPEG without a warning; False: that cannot be said.

    Warnings of application segments, an unknown version of JFIF say, do not count. Takes a third
    to two thirds of the time that decoding takes (docs/performance.md), without the GIL.
    """
    return bool(_walk(body, len(body)))
