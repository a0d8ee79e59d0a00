"""Pure: how large the image of a quality is, and how long it may take."""

from __future__ import annotations

#: Bytes an image has at first guess, and copies of them that are held.
EXPECTED_BYTES = {"256": 25_000, "1024": 200_000, "2048": 700_000, "original": 4_000_000}
COPIES = 2
#: Seconds that a transfer may take at first; each further attempt has as many more.
SECONDS = {"256": 20, "1024": 30, "2048": 45, "original": 120}
#: Megabytes of a body beyond reason: many may come at once, so DOWNLOAD_MAXSIZE alone is too much.
_MOST_MEGABYTES = {"256": 2, "1024": 12, "2048": 32, "original": 128}


def most_bytes(quality: str, download_maxsize: int) -> int:
    """Return the bytes at which a transfer of an image is ended."""
    return min(_MOST_MEGABYTES[quality] << 20, download_maxsize)
