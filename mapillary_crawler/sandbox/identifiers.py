"""Reversible names: a number becomes an image id or a sequence id, and back, without a table.

All arithmetic is a multiplication modulo a constant it shares no factor with, so a user of a
million images costs no memory and an id asked for by a client is found at once.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#: How many images the ids can tell apart.
_IMAGES = 9 * 10**14
_IMAGE_FACTOR = 314_159_265_358_979
_IMAGE_INVERSE = pow(_IMAGE_FACTOR, -1, _IMAGES)
_SEQUENCES = 2**126
_SEQUENCE_FACTOR = 0x2545F4914F6CDD1D9E3779B97F4A7C15
_SEQUENCE_INVERSE = pow(_SEQUENCE_FACTOR, -1, _SEQUENCES)
#: Graph API: ids are decimal strings of 15 to 17 digits, many above 2^53.
_FORMS = ((10**14, 1), (10**15, 9), (2 * 10**16, 77))


def digest(*parts: object, size: int = 64) -> bytes:
    """Return `size` (at most 64) bytes that depend on the parts alone."""
    return blake2b(repr(parts).encode(), digest_size=size).digest()


def draw(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts alone."""
    return int.from_bytes(digest(*parts, size=8)) / 2**64


def image_id(seed: int, number: int) -> str:
    """Return the decimal id of the image with this number (0 ≤ number < 9·10^14)."""
    mixed = (number * _IMAGE_FACTOR + _offset(seed, _IMAGES)) % _IMAGES
    first, step = _FORMS[mixed % len(_FORMS)]
    return str(first + mixed * step)


def image_number(seed: int, name: str) -> int | None:
    """Return the number behind an image id, or None if `image_id` never made it."""
    if not (name.isascii() and name.isdigit() and 15 <= len(name) <= 17):
        return None
    value = int(name)
    for first, step in _FORMS:
        mixed, rest = divmod(value - first, step)
        if rest == 0 and 0 <= mixed < _IMAGES:
            number = (mixed - _offset(seed, _IMAGES)) * _IMAGE_INVERSE % _IMAGES
            if image_id(seed, number) == name:
                return number
    return None


def sequence_id(seed: int, number: int) -> str:
    """Return the 22 base64url characters of a sequence; every eighth begins with `-` or `_`."""
    mixed = (number * _SEQUENCE_FACTOR + _offset(seed, _SEQUENCES)) % _SEQUENCES
    first = "-_"[number // 8 % 2] if number % 8 == 3 else _ALPHABET[mixed % 62]
    # 18 bytes are 24 characters; the first three hold the 18 bits that are always zero.
    return first + urlsafe_b64encode(mixed.to_bytes(18)).decode()[3:]


def sequence_number(seed: int, name: str) -> int | None:
    """Return the number behind a sequence id, or None if `sequence_id` never made it."""
    if len(name) != 22:
        return None
    mixed = int.from_bytes(decode("AAA" + name[1:]))
    number = (mixed - _offset(seed, _SEQUENCES)) * _SEQUENCE_INVERSE % _SEQUENCES
    return number if sequence_id(seed, number) == name else None


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes behind base64url without padding, b"" if it is none."""
    try:
        return urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (Base64Error, UnicodeEncodeError):
        return b""


def _offset(seed: int, modulus: int) -> int:
    return (seed * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 0x1B873593CC9E2D51) % modulus
