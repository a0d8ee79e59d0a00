"""Further pictures in a JPEG, and where they lie: its multi-picture format.

Pure (CIPA DC-007). An application segment 2 lists the pictures of the file with their lengths
and their offsets, counted from the TIFF header in that segment. Whoever changes the length of
what stands between has to move them.
"""

from __future__ import annotations

import struct

#: What the segment's payload begins with; its TIFF header follows.
IDENTIFIER = b"MPF\0"

_HEADER = len(IDENTIFIER)
_DIRECTORY_ENTRY = 12
#: Tag and type of the list, which has 16 bytes a picture (DC-007 5.2.3.3).
_LIST, _UNDEFINED = 0xB002, 7
_PICTURE, _ATTRIBUTES = 16, 4
_LONGEST = 2**32


def moved(payload: bytes, *, to_scan: int, shift: int, growth: int) -> bytes:
    """Return the payload for a file that was changed in front of its first scan.

    `to_scan`: bytes from the beginning of the payload to the first scan as it was; pictures
    behind it are `shift` bytes further away now. The first picture, which holds the segment, is
    longer by `growth`. What makes no sense stays as it is.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(payload[_HEADER : _HEADER + 4])
    if order is None:
        return payload
    changed = bytearray(payload)
    try:
        for at in _pictures(payload, order):
            length, offset = struct.unpack_from(f"{order}LL", payload, at)
            if offset == 0:
                length += growth
            elif offset >= to_scan - _HEADER:
                offset += shift
            if 0 <= length < _LONGEST and 0 <= offset < _LONGEST:
                struct.pack_into(f"{order}LL", changed, at, length, offset)
    except struct.error:
        return payload
    return bytes(changed)


def _pictures(payload: bytes, order: str) -> range:
    """Return where length and offset of each picture stand; raises struct.error."""
    (directory,) = struct.unpack_from(f"{order}L", payload, _HEADER + 4)
    directory += _HEADER
    (entries,) = struct.unpack_from(f"{order}H", payload, directory)
    for entry in range(entries):
        at = directory + 2 + entry * _DIRECTORY_ENTRY
        tag, kind, count, place = struct.unpack_from(f"{order}HHLL", payload, at)
        if (tag, kind) == (_LIST, _UNDEFINED):
            first = _HEADER + place + _ATTRIBUTES
            return range(first, min(first + count, len(payload)), _PICTURE)
    return range(0)
