"""Pure: how many images were taken in which month, a row of bars for each year."""

from __future__ import annotations

from collections.abc import Mapping

from mapillary_crawler.archive.page.text import count

#: Years that have a row at most: those with the most images.
MOST_YEARS = 40
NAMES = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")  # fmt: skip
_WIDTH, _HEIGHT, _LEAST = 10, 30, 1.5
#: From the first year to the last: indigo, teal, green, amber, red.
_COLOURS = ((79, 99, 184), (31, 143, 166), (58, 160, 104), (214, 154, 36), (212, 85, 63))


def rows(months: Mapping[str, int]) -> str:
    """Return the rows of a table: year, bars, images."""
    years: dict[str, dict[int, int]] = {}
    for month, images in sorted(months.items()):
        years.setdefault(month[:4], {})[int(month[5:7])] = images
    largest = max(months.values(), default=0)
    shown = sorted(sorted(years, key=lambda year: -sum(years[year].values()))[:MOST_YEARS])
    coloured = zip(shown, colours(len(shown)), strict=True)
    return "".join(_row(year, colour, years[year], largest) for year, colour in coloured)


def left_out(months: Mapping[str, int]) -> int:
    """Return how many years have no row."""
    return max(0, len({month[:4] for month in months}) - MOST_YEARS)


def heads() -> str:
    """Return the first letters of the months."""
    return "".join(f"<span>{name[0]}</span>" for name in NAMES)


def colours(years: int) -> list[str]:
    """Return a colour for each of some years."""
    steps = len(_COLOURS) - 1
    return [_between(number * steps / max(1, years - 1)) for number in range(years)]


def _between(place: float) -> str:
    index = min(int(place), len(_COLOURS) - 2)
    share = place - index
    pairs = zip(_COLOURS[index], _COLOURS[index + 1], strict=True)
    return "#" + "".join(f"{round(one + share * (other - one)):02x}" for one, other in pairs)


def _row(year: str, colour: str, months: Mapping[int, int], largest: int) -> str:
    images = sum(months.values())
    most = max(months, key=lambda month: (months[month], -month))
    said = f"{year}: {count(images, 'image')}, most of them in {NAMES[most - 1]}"
    bars = "".join(_bar(year, month, months[month], largest) for month in sorted(months))
    return (
        f'<tr><th scope="row">{year}</th><td>'
        f'<svg viewBox="0 0 {12 * _WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{said}"><g fill="{colour}" data-year="{year}">{bars}</g></svg></td>'
        f"<td>{images:,}</td></tr>\n"
    )


def _bar(year: str, month: int, images: int, largest: int) -> str:
    height = max(_LEAST, round(_HEIGHT * images / largest, 1))
    return (
        f'<rect x="{(month - 1) * _WIDTH + 1}" y="{_HEIGHT - height:g}" width="{_WIDTH - 2}" '
        f'height="{height:g}" data-month="{year}-{month:02d}">'
        f"<title>{NAMES[month - 1]} {year}: {count(images, 'image')}</title></rect>"
    )
