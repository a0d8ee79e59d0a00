"""`scrapy export`: a collection's images as a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.ledger.ledger import Ledger


class Command(ProjectCommand):
    """Reads the collection's ledger, or its manifests where it has none; no image is read."""

    prints = False
    usage = "COLLECTION --parquet FILE [-a quality=QUALITY]"
    summary = "Export a collection's images as a table (GeoParquet)"
    about = (
        "Writes a row for each saved image: where and when it was taken, by what camera, and tar,\n"
        "offset and size of its bytes. COLLECTION is a folder, or the name of one in the store or\n"
        "in staging, or a user's name, with -a quality= where several fit.\n"
        "Needs the extra [geo]."
    )
    epilog = f"""\
Exit codes: 0, 1 unexpected error, 2 wrong argument, or the extra is not installed, 4 interrupted,
6 disk full, 8 no saved image.

Examples
========

  {program_name()} export alice --parquet alice.parquet
  duckdb -c "SUMMARIZE 'alice.parquet'"
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)
        parser.add_argument("--parquet", metavar="FILE", help="GeoParquet 1.1")

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Write the table."""
        from mapillary_crawler.archive.read_collection import read_collection
        from mapillary_crawler.collection.durable import new_file

        if len(args) != 1:
            raise ArgumentRefused(f"say which collection, one: {self.typed} {self.usage}")
        if not opts.parquet:
            raise ArgumentRefused(f"say where to: {self.typed} {args[0]} --parquet FILE")
        places = self.places()
        folder = places.find(args[0], quality_of(opts))
        path = Path(opts.parquet).expanduser().absolute()
        places.require_outside(path, folder)
        write = _writer()
        with read_collection(folder) as ledger:
            if not ledger.images.balance().saved:
                raise Refused(Outcome.NO_IMAGES, f"{folder.name} has no saved image")
            with new_file(path.parent, path.name) as file:
                images = write(ledger, file)
        size = quantities.size(path.stat().st_size)
        print(f"{folder.name}: {images:,} images, {size} in {path}", flush=True)


def _writer() -> Callable[[Ledger, BinaryIO], int]:
    """Return what writes Parquet; raises `Refused` where what it needs is not installed."""
    try:
        from mapillary_crawler.archive.export.parquet import write_parquet
    except ModuleNotFoundError as error:
        if error.name not in ("pyarrow", "orjson"):
            raise
        raise Refused(
            Outcome.REFUSED,
            f"{error.name} is not installed; install the extra [geo], as in: "
            "pip install 'mapillary_crawler[geo]'",
        ) from None
    return write_parquet
