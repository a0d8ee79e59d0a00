"""`scrapy settings`: Scrapy's own command, which also says where a value of ours comes from."""

from __future__ import annotations

import argparse
import sys

from scrapy.commands import settings as scrapys

from mapillary_crawler.collection.configuration_file import SETTINGS


class Command(scrapys.Command):
    """Prints a value as Scrapy does, and its origin where that is no part of the output."""

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print the value in force; its origin goes to the errors' stream, for people."""
        from mapillary_crawler.terminal.origins import origin

        super().run(args, opts)
        assert self.settings is not None
        if opts.get in SETTINGS:
            sys.stdout.flush()
            sys.stderr.write(f"{opts.get} is from {origin(self.settings, opts.get)}\n")
