"""What a crawl works on: a collection, or one slice of it."""

from __future__ import annotations

from mapillary_crawler.collection.arguments import Arguments
from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.open_slice import OpenSlice


def open_for_crawl(
    arguments: Arguments, configuration: Configuration, *, plan: bool = False
) -> OpenCollection:
    """Lock what the arguments ask for and open its ledger; raises `Refused`."""
    kind = OpenCollection if arguments.slice_number is None else OpenSlice
    return kind.open(arguments, configuration, plan=plan)
