"""`scrapy tracks`: where the images of a collection were taken, as lines for maps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.tracks.lines import Line


class Command(ProjectCommand):
    """Reads the collection's ledger, or its manifests where it has none; no image is read."""

    usage = "COLLECTION [--gpx FOLDER|--kml FILE] [-a quality=QUALITY]"
    summary = "Write where a collection's images were taken: GeoJSON, GPX, KML"
    about = (
        "Writes the saved images of a collection as lines, one a sequence, a point where one\n"
        "image is placed. COLLECTION is a folder, or the name of one in the store or in\n"
        "staging, or a user's name, with -a quality= where several fit.\n"
        "Without an option it is GeoJSON, on standard output: what sequences.geojson is."
    )
    epilog = f"""\
Exit codes: 0, 1 unexpected error, 2 wrong argument, 4 interrupted, 6 disk full, 8 no image that has
a place.

Examples
========

  {program_name()} tracks mapillary-alice-original > alice.geojson
  {program_name()} tracks alice --gpx ~/tracks
  {program_name()} tracks alice --kml alice.kml
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)
        form = parser.add_mutually_exclusive_group()
        form.add_argument(
            "--gpx", metavar="FOLDER", help="GPX with times and heights, a file a sequence"
        )
        form.add_argument("--kml", metavar="FILE", help="one KML file")

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Write the lines."""
        from mapillary_crawler.archive.read_collection import read_collection
        from mapillary_crawler.archive.tracks.geojson import feature_collection
        from mapillary_crawler.archive.tracks.sequences import lines_of
        from mapillary_crawler.ledger.thread import LedgerHere

        if len(args) != 1:
            raise ArgumentRefused(f"say which collection, one: {self.typed} COLLECTION")
        places = self.places()
        folder = places.find(args[0], quality_of(opts))
        target = opts.gpx if opts.gpx is not None else opts.kml
        if target is not None:
            places.require_outside(_named(target), folder)
        elif sys.stdout.isatty():
            raise ArgumentRefused(
                f"say where to: {self.typed} {args[0]} > FILE, or --gpx FOLDER, or --kml FILE"
            )
        with read_collection(folder) as ledger:
            lines = _Counted(lines_of(LedgerHere(ledger), heights=opts.gpx is not None))
            if opts.gpx is not None:
                _write_gpx(lines, _named(opts.gpx))
            elif opts.kml is not None:
                _write_kml(lines, _named(opts.kml), folder.name)
            else:
                for row in feature_collection(lines):
                    sys.stdout.buffer.write(row)
        if not lines.images:
            self.exitcode = 8
        if target is not None or not lines.images:
            self.say(f"{folder.name}: {lines}")


class _Counted:
    """Lines, and how many went by."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._sequences: int = 0
        self.images = 0

    def __iter__(self) -> Iterator[Line]:
        part = None
        for line in self._lines:
            self._sequences += line.part != part
            self.images += line.images
            part = line.part
            yield line

    def __str__(self) -> str:
        if not self.images:
            return "it has no saved image that has a place"
        return f"{self._sequences:,} sequences, {self.images:,} images"


def _named(target: str) -> Path:
    if not target:
        raise ArgumentRefused("the name of what is to be written is empty")
    return Path(target).expanduser().absolute()


def _write_gpx(lines: Iterable[Line], folder: Path) -> None:
    from mapillary_crawler.archive.tracks.gpx import gpx_files
    from mapillary_crawler.collection.durable import new_file

    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in gpx_files(lines):
        with new_file(folder, name) as file:
            file.writelines(rows)


def _write_kml(lines: Iterable[Line], path: Path, title: str) -> None:
    from mapillary_crawler.archive.tracks.kml import kml
    from mapillary_crawler.collection.durable import new_file

    with new_file(path.parent, path.name) as file:
        file.writelines(kml(lines, title))
