"""Pure: how an image gets out of a collection, in words and commands that can be copied."""

from __future__ import annotations

import shlex

from mapillary_crawler.archive.page.contents import PageContents
from mapillary_crawler.archive.page.text import shown
from mapillary_crawler.ledger.records import ImageRecord

_COMMAND_LENGTH = 500


def section(contents: PageContents) -> str:
    """Return the section that says it; a picture of the page serves as the example."""
    example = contents.pictures[0].image if contents.pictures else None
    day = example.day if example else next(iter(contents.census.dated), "YYYY-MM-DD")
    collection = contents.collection
    ours = [
        f"mapillary-crawler browse {collection.name}",
        f"mapillary-crawler extract {collection.name} FOLDER --day {day}",
    ]
    back = (
        "<p>Images that end in .jxl are JPEG XL, which gives the JPEG back: "
        "<code>djxl FILE.jxl FILE.jpg</code>.</p>\n"
        if collection.jxl
        else ""
    )
    without = _of_tars(day, example) if contents.tar else _of_folders(day, example)
    return f"""\
<section aria-labelledby="out">
<h2 id="out">Get an image out</h2>
<p>With mapillary_crawler: look at the images on a map, or have a day of them as ordinary files.</p>
{_commands(ours)}{without}{back}<p>Beside the images lie \
<a href="metadata.jsonl.gz">metadata.jsonl.gz</a>, what Mapillary knew of each image, \
<a href="checksums.jsonl.gz">checksums.jsonl.gz</a>, where it is and its checksum, and \
<a href="SHA256SUMS">SHA256SUMS</a>: <code>sha256sum --quiet -c SHA256SUMS</code> proves that all \
is as it was.</p>
</section>"""


def _of_tars(day: str, example: ImageRecord | None) -> str:
    """Return the ways of tar, tail and curl."""
    text = "<p>With what any system has: a tar is a day, in sequences.</p>\n"
    text += _commands([f"tar xf {day}.tar"])
    if example is None or example.tar is None or example.offset is None or not example.size:
        return text
    name = shlex.quote(example.member.rpartition("/")[2])
    tar, last = shlex.quote(example.tar), example.offset + example.size - 1
    return (
        text + "<p>One image, without reading the rest: checksums.jsonl.gz has for each its tar, "
        "its first byte there and its size. Out of the tar, or from where it is published:</p>\n"
        + _commands(
            [
                f"tail -c +{example.offset + 1} {tar} | head -c {example.size} > {name}",
                f"curl -r {example.offset}-{last} -o {name} ADDRESS/{tar}",
            ]
        )
    )


def _of_folders(day: str, example: ImageRecord | None) -> str:
    """Return where the images lie that are in no tar."""
    path = example.member if example else f"{day}/SEQUENCE/IMAGE.jpg"
    return "<p>The images lie here as files, in folders by day and sequence:</p>\n" + _commands(
        [shlex.quote(path)]
    )


def _commands(lines: list[str]) -> str:
    text = "\n".join(shown(line, _COMMAND_LENGTH) for line in lines)
    return f"<pre><code>{text}</code></pre>\n"
