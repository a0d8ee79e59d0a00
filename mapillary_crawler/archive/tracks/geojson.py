"""Pure: lines as GeoJSON (RFC 7946).

The same lines make the same bytes: sorted keys, compact, a feature a row, five decimals (1.1 m).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, groupby

from mapillary_crawler.archive.tracks.lines import Line, moment

_DECIMALS = 5
_PLACE = "[%.5f,%.5f]"


def feature_collection(lines: Iterable[Line]) -> Iterator[bytes]:
    """Yield the rows of a FeatureCollection with a feature a line."""
    yield b'{"features":['
    between = "\n"
    for line in lines:
        yield f"{between}{_feature(line)}".encode()
        between = ",\n"
    yield b'\n],"type":"FeatureCollection"}\n'


def _feature(line: Line) -> str:
    places = [place for place, _ in groupby(_places(line))]
    if len(places) == 1:
        geometry = f'{{"coordinates":{places[0]},"type":"Point"}}'
    else:
        kind = "LineString" if line.part else "MultiPoint"
        geometry = f'{{"coordinates":[{",".join(places)}],"type":"{kind}"}}'
    properties = {
        "camera": line.camera or None,
        "first": None if line.first is None else moment(line.first),
        "images": line.images,
        "last": None if line.last is None else moment(line.last),
        "sequence": line.sequence or None,
    }
    return f'{{"geometry":{geometry},"properties":{_json(properties)},"type":"Feature"}}'


def _places(line: Line) -> list[str]:
    """Return longitude and latitude of each point; what rounds to zero has no sign."""
    text = "\n".join([_PLACE] * len(line)) % tuple(chain.from_iterable(line.places()))
    if "0.0000" in text:  # perhaps a number that JSON writes with an exponent
        return [_json([_rounded(x), _rounded(y)]) for x, y in line.places()]
    for _ in range(_DECIMALS - 1):
        text = text.replace("0,", ",").replace("0]", "]")
    return text.split("\n")


def _rounded(degrees: float) -> float:
    return round(degrees, _DECIMALS) + 0.0


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
