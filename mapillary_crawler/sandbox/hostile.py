"""Values that trip programs: seen in reality (odd), of a wrong type, or meant to do harm."""

from __future__ import annotations

import json
import math
from typing import Any

#: Ids and sequences that leave a folder or break a file name; `{}` is the image's number.
NAMES = (
    "../../{}",
    "/{}",
    "..\\{}",
    "{}/..",
    "./{}/a/b",
    ".{}",
    "-{}",
    "{}\0",
    "{}\n{}",
    "\x1b[2J{}",
    "{} \u202egpj",
    "\ud800{}",
    "_u{}_",
    "é{}",
    "CON{}",
    "{}.tar",
    "%2e%2e%2f{}",
    "{}?a=b&c#d",
    "{}," + "9" * 50,
    "{}" + "x" * 300,
    "{}" + "ü" * 5000,
)
#: Rows without a usable id; the first stands for a row that has no id at all.
NO_ID: tuple[Any, ...] = (..., None, "", [], {}, True, 1.5, ["1"])
#: What stands in for a field of another type.
_WRONG: tuple[Any, ...] = (
    None,
    "",
    "text",
    True,
    -1,
    2**70,
    1e300,
    math.nan,
    math.inf,
    [],
    {},
    [[[[[[1]]]]]],
    {"type": "Point", "coordinates": ["a", None]},
    {"type": "Point", "coordinates": [math.nan, 91.0]},
    {"type": "Point", "coordinates": []},
    "../../x",
    "a\0b",
    "\ud83d",
    json.loads("[" * 500 + "]" * 500),
    "x" * 100_000,
)
#: What stands where a URL should be.
URLS = (
    "not a url",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://[",
    "//localhost/image",
    "http://127.0.0.1:0/m1/v/t6/x",
    ["http://127.0.0.1/"],
    7,
    True,
    {"url": "http://127.0.0.1/"},
)
#: Fields that may get a wrong type; ids and URLs have faults of their own.
_FIELDS = ("captured_at", "geometry", "computed_geometry", "altitude", "compass_angle",
           "sequence", "is_pano", "width", "height", "make", "creator", "camera_parameters",
           "merge_cc")  # fmt: skip
#: Values seen in reality (Graph API: bad values), besides the capture times of `User.time`.
_ODD: tuple[dict[str, Any], ...] = (
    {"altitude": 4294967281},
    {"altitude": 0.0},
    {"altitude": -12.4},
    {"compass_angle": 0.0},
    {"compass_angle": -1},
    {"compass_angle": 360.0},
    {"altitude": 48.419, "computed_altitude": 2.776},
    {"merge_cc": 4.5e18},
    {"geometry": {"type": "Point", "coordinates": [0, 0]}},
    {"geometry": {"type": "Point", "coordinates": [179.99999999999, -0.0]}},
    {"computed_geometry": {"type": "Point", "coordinates": [13.1, 52.5, 0]}},
    {"exif_orientation": 6},
    {"make": "", "model": " "},
    {"make": "Łódź Kamera 🎥", "model": 'X"\\<&>'},
    {"camera_parameters": []},
    {"camera_type": "unknown"},
    {"organization": {"id": "1805883732926354"}},
    {"width": 11000, "height": 5500},
)


def name(kind: int, number: int) -> str:
    """Return a hostile id or sequence that no other number has."""
    return NAMES[kind % len(NAMES)].replace("{}", str(number))


def set_odd_value(row: dict[str, Any], kind: int) -> None:
    """Put one value of reality's odd ones into the row."""
    row.update(_ODD[kind % len(_ODD)])


def echo(row: dict[str, Any], token: str) -> None:
    """Put a token into the texts of a row that end up in files, paths and manifests."""
    row |= {name: f"{row[name]} {token}" for name in ("make", "model", "sequence") if name in row}
    if "creator" in row:
        row["creator"] = {"username": token, f"OAuth {token}": token.replace("|", "%7C")}


def set_wrong_type(row: dict[str, Any], kind: int) -> None:
    """Put a value of a wrong type into one field of the row."""
    field, value = kind % len(_FIELDS), kind // len(_FIELDS)
    row[_FIELDS[field]] = _WRONG[value % len(_WRONG)]
