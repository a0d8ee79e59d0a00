"""Pure: a collection as one HTML file that asks nobody for anything.

Its policy allows no request at all, its own style and script by their checksums, and pictures that
are part of it. Whatever comes from elsewhere is escaped, isolated and cut.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import date
from urllib.parse import quote

from mapillary_crawler.archive.page import months, ways_out
from mapillary_crawler.archive.page.contents import PageContents, Picture
from mapillary_crawler.archive.page.text import count, isolated, shown
from mapillary_crawler.collection.names import UNKNOWN_DATE
from mapillary_crawler.image.fields import LICENCE
from mapillary_crawler.terminal import quantities

#: Cameras that are named.
_CAMERAS = 10


def page(contents: PageContents, style: str, script: str, land: bytes) -> str:
    """Return the page; the same contents are the same text. `land` is as land.bin has it."""
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    name = contents.collection.username
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Mapillary images by {shown(name)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body data-tar="{contents.tar:d}">
{_header(contents)}
<main>
{_map(contents)}
<div class="columns">
{_months(contents)}
<div>
{_balance(contents)}
{_cameras(contents)}
</div>
</div>
{_pictures(contents)}
{ways_out.section(contents)}
</main>
<footer>
<p>Images: © {isolated(name)} and Mapillary, {LICENCE}. Outlines of land: Natural Earth, public \
domain. Made by mapillary_crawler; this page is one file and loads nothing.</p>
</footer>
{_data(contents, land)}<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _header(contents: PageContents) -> str:
    collection, census = contents.collection, contents.census
    quality = collection.quality
    kind = ["original resolution" if quality == "original" else f"{quality} pixels wide"]
    kind += ["WebP"] * collection.webp + ["JPEG XL"] * collection.jxl
    selection = "<p>A selection, not all images of the user.</p>\n" if collection.selection else ""
    figures = [
        _counted(contents.balance.saved, "image"),
        _counted(census.sequences, "sequence"),
        _counted(len(census.dated), "day"),
        _counted(census.panoramas, "panorama"),
        (quantities.size(contents.balance.bytes_saved), ", ".join(kind)),
    ]
    shown_figures = "".join(f"<li><b>{number}</b> {what}</li>\n" for number, what in figures)
    return f"""\
<header>
<p class="over">Mapillary images by</p>
<h1>{isolated(collection.username, 60)}</h1>
<p class="span">{_span(census.dated)}</p>
{selection}<ul class="figures">
{shown_figures}</ul>
</header>"""


def _counted(number: int, noun: str) -> tuple[str, str]:
    figure, _, what = count(number, noun).partition(" ")
    return figure, what


def _span(dated: list[str]) -> str:
    if not dated:
        return "Without a date"
    first, last = _day(dated[0]), _day(dated[-1])
    return first if first == last else f"{first} &ndash; {last}"


def _day(day: str) -> str:
    """Return a day as people write it: 10 March 2019."""
    if day == UNKNOWN_DATE:
        return "Without a date"
    there = date.fromisoformat(day)
    return f"{there.day} {months.NAMES[there.month - 1]} {there.year}"


def _map(contents: PageContents) -> str:
    """Return the map, which its script shows; without one, what says the same."""
    placed = contents.census.placed
    if not contents.tracks:
        return "<p>None of the images has a place, so there is no map.</p>"
    without = contents.balance.saved - placed
    said = f"{count(without, 'image')} without a place. " if without > 0 else ""
    return f"""\
<section aria-labelledby="where">
<h2 id="where">Where</h2>
<div id="map" hidden>
<canvas id="canvas" tabindex="0" role="application" aria-describedby="keys" \
aria-label="Map of where the images were taken"></canvas>
<div class="buttons">
<button type="button" id="zoom-in" aria-label="Zoom in">+</button>
<button type="button" id="zoom-out" aria-label="Zoom out">&minus;</button>
<button type="button" id="show-all" aria-label="Show all">⤢</button>
</div>
<div class="line">
<label for="when">Taken <select id="when"><option value="">at any time</option></select></label>
<p id="status" role="status"></p>
<a id="osm" rel="noreferrer noopener" target="_blank" href="#where">This place on OpenStreetMap</a>
</div>
</div>
<p id="old" hidden>This browser is too old to unpack the map (it lacks DecompressionStream).</p>
<p class="note" id="keys">{said}<span id="how" hidden>Drag to move, wheel or pinch to zoom; click \
a dot to go there, a line to see its day. On the keyboard: the arrows, + and &minus;, 0 for all, \
Enter for the line in the middle.</span> \
<a href="sequences.geojson">sequences.geojson</a> has these lines with every point, for QGIS, JOSM \
and others.</p>
<noscript><p>The map needs JavaScript; all else on this page does not.</p></noscript>
</section>"""


def _months(contents: PageContents) -> str:
    by_month = contents.census.months
    undated = contents.census.days[UNKNOWN_DATE]
    notes = [f"{count(undated, 'image')} without a date."] if undated else []
    if left_out := months.left_out(by_month):
        notes.append(f"{count(left_out, 'year')} with fewer images not shown.")
    note = f'<p class="note">{" ".join(notes)}</p>\n' if notes else ""
    table = f"""\
<table class="months">
<thead><tr><th scope="col">Year</th><th scope="col"><span class="unseen">Months</span>\
<span class="letters" aria-hidden="true">{months.heads()}</span></th>\
<th scope="col">Images</th></tr></thead>
<tbody>
{months.rows(by_month)}</tbody>
</table>
"""
    return f"""\
<section aria-labelledby="months">
<h2 id="months">When</h2>
{table if by_month else ""}{note}</section>"""


def _balance(contents: PageContents) -> str:
    balance = contents.balance
    rows = [
        (balance.saved, "saved", "whole, every byte checked"),
        (balance.gone, "gone", "deleted on Mapillary before they could be fetched"),
        (balance.unavailable, "unavailable", "Mapillary has them, but not at this quality"),
        (balance.failed, "failed", "could not be fetched"),
    ]
    beside = [
        (balance.damaged, "damaged at the source, stored as served"),
        (balance.bare, "without metadata of ours"),
        (balance.vanished, "no longer on Mapillary: kept here"),
    ]
    listed = "".join(
        f'<tr><th scope="row">{what}</th><td>{number:,}</td><td>{why}</td></tr>\n'
        for number, what, why in rows
        if number or what == "saved"
    )
    also = "".join(f"<li>{number:,} {what}</li>\n" for number, what in beside if number)
    of_saved = f"<p>Of those saved:</p>\n<ul>\n{also}</ul>\n" if also else ""
    return f"""\
<section aria-labelledby="balance">
<h2 id="balance">What became of them</h2>
<p>Mapillary listed {count(balance.listed, "image")} of this user; each is accounted for.</p>
<table class="balance">
<tbody>
{listed}</tbody>
</table>
{of_saved}</section>"""


def _cameras(contents: PageContents) -> str:
    census = contents.census
    if not census.cameras:
        return ""
    ranked = sorted(census.cameras.items(), key=lambda pair: (-pair[1], pair[0]))
    most = ranked[0][1]
    rows = "".join(
        f'<tr><th scope="row">{isolated(name, 48)}</th><td><svg viewBox="0 0 100 6" '
        f'preserveAspectRatio="none" aria-hidden="true"><rect width="{_share(images, most)}" '
        f'height="6" rx="1"/></svg></td><td>{images:,}</td></tr>\n'
        for name, images in ranked[:_CAMERAS]
    )
    more = sum(images for _, images in ranked[_CAMERAS:]) + census.others
    unnamed = census.images - sum(census.cameras.values()) - census.others
    notes = [f"{count(more, 'image')} by other cameras."] if more else []
    notes += [f"{count(unnamed, 'image')} by a camera that nobody named."] if unnamed else []
    note = f'<p class="note">{" ".join(notes)}</p>\n' if notes else ""
    return f"""\
<section aria-labelledby="cameras">
<h2 id="cameras">Cameras</h2>
<table class="cameras">
<tbody>
{rows}</tbody>
</table>
{note}</section>"""


def _share(images: int, most: int) -> str:
    return f"{max(1.0, round(100 * images / most, 1)):g}"


def _pictures(contents: PageContents) -> str:
    if not contents.pictures:
        return ""
    figures = "".join(_figure(picture, contents) for picture in contents.pictures)
    return f"""\
<section aria-labelledby="pictures">
<h2 id="pictures">Some of the pictures</h2>
<div class="pictures">
{figures}</div>
</section>"""


def _figure(picture: Picture, contents: PageContents) -> str:
    """Return a picture; `reading.py` finds it again by this form."""
    day, place = picture.image.day, picture.place
    at = f' data-at="{place[0]:.5f},{place[1]:.5f}"' if place else ""
    said = _day(day)
    images = count(contents.census.days[day], "image")
    of_day = "Picture without a date" if day == UNKNOWN_DATE else f"Picture of {said}"
    return (
        f'<figure{at}><img class="sample" data-day="{day}" '
        f'data-image="{quote(picture.image.image_id, safe="")}" alt="{of_day}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}">'
        f"<figcaption>{said}<span>{images}</span></figcaption></figure>\n"
    )


def _data(contents: PageContents, land: bytes) -> str:
    """Return what the script draws, which is no script."""
    if not contents.tracks:
        return ""
    return "".join(
        f'<script type="application/octet-stream" id="{name}">'
        f"{base64.b64encode(packed).decode()}</script>\n"
        for name, packed in (("tracks", contents.tracks.packed()), ("land", land))
    )
