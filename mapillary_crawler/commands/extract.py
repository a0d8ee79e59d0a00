"""`scrapy extract`: ordinary files of a collection's images."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.extract.choice import Choice
    from mapillary_crawler.archive.extract.extraction import Extracted
    from mapillary_crawler.archive.extract.naming import Naming
    from mapillary_crawler.archive.internet_archive.ranges import Ranges
    from mapillary_crawler.ledger.ledger import Ledger

#: Ids of a file that are told one by one where the collection does not have them.
_NAMED = 20


class Command(ProjectCommand):
    """Reads images where they lie; nothing is unpacked, nothing in the collection changed."""

    default_settings = DEFAULTS
    prints = False
    usage = "COLLECTION DEST [options] [-a quality=QUALITY]"
    summary = "Extract a collection's images as ordinary files"
    about = (
        "Extracts saved images into the folder DEST, each proven by its checksum. COLLECTION is\n"
        "a folder, or the name of one in the store or in staging, or a user's name, with\n"
        "-a quality= where several fit. What DEST has already and is right stays, so the same\n"
        "command goes on after an interruption."
    )
    epilog = f"""\
A name is made of {{id}}, which must be there, {{time}} (20190310-194522), {{ms}}, {{day}} and
{{sequence}}.

Exit codes: 0 all is there, 1 unexpected error, 2 wrong argument, 3 something is missing, each has a
line, 4 interrupted, 6 disk full, 7 archive.org stayed unavailable, 8 no such image, 9 another
process works on the collection.

Examples
========

  {program_name()} extract alice ~/pictures --day 2019-03 --name '{{time}}_{{id}}'
  {program_name()} extract mapillary-alice-original upload --sequence AbCdEf --jpeg
  {program_name()} extract alice near --bbox 13.3,52.4,13.5,52.6 --layout flat --remote
"""
    interrupted = "interrupted; run the same command again to go on"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)
        which = parser.add_argument_group("Which images", "All that is said must hold.")
        which.add_argument(
            "--day", action="append", default=[], metavar="DAY",
            help="YYYY-MM-DD, YYYY-MM, YYYY or unknown-date (UTC); several joined by commas",
        )  # fmt: skip
        which.add_argument(
            "--sequence", action="append", default=[], metavar="ID", help="several by commas, too"
        )
        which.add_argument("--bbox", metavar="WEST,SOUTH,EAST,NORTH", help="a box in degrees")
        which.add_argument("--ids", metavar="FILE", help="ids of images, one a line; - reads them")
        how = parser.add_argument_group("How")
        how.add_argument(
            "--layout", choices=("sequence", "day", "flat"), default="sequence",
            help="a folder a sequence (default), a folder a day, or none",
        )  # fmt: skip
        how.add_argument(
            "--name", default="{id}", metavar="TEMPLATE", help="names of the files (default {id})"
        )
        how.add_argument("--jpeg", action="store_true", help="give back the JPEGs of JPEG XL")
        how.add_argument(
            "--remote", action="store_true", help="read tars that are not here from archive.org"
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Extract, and say what came of it."""
        from mapillary_crawler.archive.extract.choice import read_choice
        from mapillary_crawler.archive.extract.naming import Naming
        from mapillary_crawler.archive.read_collection import read_collection
        from mapillary_crawler.archive.read_ledger import title

        if len(args) != 2:
            raise ArgumentRefused(f"say which collection, and where to: {self.typed} {self.usage}")
        naming = Naming(opts.layout, opts.name)
        choice = read_choice(opts.day, opts.sequence, opts.bbox, _ids(opts.ids))
        places = self.places()
        folder = places.find(args[0], quality_of(opts))
        target = Path(args[1]).expanduser().absolute()
        places.require_outside(target, folder)
        if places.is_locked(folder):
            raise Refused(Outcome.LOCKED, f"{title(folder)}: another process works on it")
        with read_collection(folder) as ledger:
            self._extract(ledger, folder, _Asked(target, choice, naming, opts.jpeg, opts.remote))

    def _extract(self, ledger: Ledger, folder: Path, asked: _Asked) -> None:
        from mapillary_crawler.archive.extract.extraction import Extraction
        from mapillary_crawler.image.jxl_codec import Decoder
        from mapillary_crawler.terminal.work_display import work_display

        images, size, unknown = _count(ledger, asked.choice)
        self._name_unknown(folder, unknown)
        if not images:
            raise Refused(Outcome.NO_IMAGES, f"{folder.name} has no saved image that is wanted")
        asked.target.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            ranges = self._ranges() if asked.remote else None
            if ranges:
                stack.callback(ranges.close)
            decoder = stack.enter_context(Decoder()) if asked.jpeg else None
            shown = stack.enter_context(work_display())
            shown.begin("extracting", 1, size)
            shown.begin_file(folder.name, size)
            done = Extraction(
                ledger, folder, asked.target, asked.choice, asked.naming,
                ranges=ranges,
                decoder=decoder,
                report=lambda problem: shown.say(f"{folder.name}/{problem}"),
                advance=shown.advance,
            ).run()  # fmt: skip
        os.sync()  # a stick may be pulled out now
        if ranges and ranges.away:
            self.exitcode = Outcome.SERVICE_AWAY.exit_code
        elif done.missing or unknown:
            self.exitcode = Outcome.INCOMPLETE.exit_code
        print(f"{folder.name}: {_summary(done, len(unknown), asked.target)}", flush=True)

    def _name_unknown(self, folder: Path, unknown: list[str]) -> None:
        from mapillary_crawler.terminal.quoting import printable

        for image_id in unknown[:_NAMED]:
            print(f"{folder.name}: no saved image {printable(image_id)} is wanted")
        if unknown[_NAMED:]:
            print(f"{folder.name}: nor are {len(unknown) - _NAMED:,} more of the ids")

    def _ranges(self) -> Ranges:
        from mapillary_crawler.archive.internet_archive.ranges import Ranges

        options = read_options(self.given_settings)
        return Ranges(
            options.url,
            wait=options.retry_wait,
            patience=options.patience,
            timeout=options.timeout,
            say=self.say,
        )


class _Asked(NamedTuple):
    """What is asked for."""

    target: Path
    choice: Choice
    naming: Naming
    jpeg: bool
    remote: bool


def _ids(file: str | None) -> frozenset[str] | None:
    """Return the ids that a file has, a line each; raises `OSError`, `ArgumentRefused`."""
    if file is None:
        return None
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except UnicodeDecodeError:
        raise ArgumentRefused(f"--ids {file} is no text in UTF-8") from None
    ids = frozenset(filter(None, map(str.strip, text.splitlines())))
    if not ids:
        raise ArgumentRefused(f"--ids {file} has no id")
    return ids


def _count(ledger: Ledger, choice: Choice) -> tuple[int, int, list[str]]:
    """Return how many images are wanted, their bytes, and the ids that are not among them."""
    from mapillary_crawler.archive.extract.extraction import wanted

    if not choice:
        balance = ledger.images.balance()
        return balance.saved, balance.bytes_saved, []
    images = size = 0
    unknown = set(choice.ids or ())
    for image in wanted(ledger, choice):
        images += 1
        size += image.size or 0
        unknown.discard(image.image_id)
    return images, size, sorted(unknown)


def _summary(done: Extracted, unknown: int, target: Path) -> str:
    said = f"{done.written:,} images, {quantities.size(done.bytes)}, extracted to {target}"
    if done.right:
        said += f"; {done.right:,} were there already"
    if done.missing or unknown:
        said += f"; {done.missing + unknown:,} are missing"
    return said
