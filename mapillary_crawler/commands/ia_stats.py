"""`scrapy ia_stats`: what of Mapillary is on archive.org."""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from typing import Any

from scrapy.commands import ScrapyCommand
from scrapy.settings import Settings

from mapillary_crawler.archive.internet_archive.cache import Cache, Found
from mapillary_crawler.archive.internet_archive.options import DEFAULTS, Options, read_options
from mapillary_crawler.archive.internet_archive.report import report
from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.search import Search
from mapillary_crawler.archive.internet_archive.statistics import statistics
from mapillary_crawler.archive.internet_archive.trouble import Trouble
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.terminal import quantities
from mapillary_crawler.terminal.command import (
    KeepsLines,
    end,
    ends_with_reader,
    refuse,
    refuse_arguments,
    refuse_errors,
    say,
)

_EPILOG = """\
Examples:

  scrapy ia_stats
  scrapy ia_stats --cached --users
  scrapy ia_stats --json | jq .unique_images

Exit codes: 0, 2 for a wrong argument or --cached before any search, 4 interrupted, 7 archive.org
is not available and there is no earlier search.
"""
#: A person waits, so a search is given up soon: seconds of a first wait, and of all.
_WAIT, _PATIENCE = 1.0, 10.0


class Command(ScrapyCommand):
    """Searches archive.org, or reads what an earlier search found."""

    requires_crawler_process = False
    default_settings = DEFAULTS

    def syntax(self) -> str:
        """Return the usage behind the command's name."""
        return "[--cached] [--json] [--users]"

    def short_desc(self) -> str:
        """Return the line of `scrapy -h`."""
        return "Count the Mapillary collections on archive.org"

    def long_desc(self) -> str:
        """Return the first paragraph of `-h`."""
        return (
            "Counts all collections on archive.org that this program or mapillary_downloader\n"
            "made: users, images and bytes, by quality, and what lies outside the\n"
            "mapillary-images collection. What a search finds is kept in the cache folder;\n"
            "without a network the figures come from there, with their age."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        refuse_errors(parser, "ia_stats")
        parser.formatter_class = KeepsLines
        parser.epilog = _EPILOG
        parser.add_argument(
            "--cached", action="store_true", help="ask nothing, use the last search"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--users", action="store_true", help="also the figures of each user")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print the figures."""
        refuse_arguments("ia_stats", args)
        assert isinstance(self.settings, Settings)
        cache = Cache.of_user()
        try:
            options = read_options(self.settings)
        except ArgumentRefused as refused:
            refuse("ia_stats", refused)
        found = cache.read() if opts.cached else _found(options, cache)
        if found is None:
            refuse("ia_stats", f"nothing was searched yet, there is no {cache.path}")
        with ends_with_reader():
            print(_json(found, users=opts.users) if opts.json else _table(found, users=opts.users))


def _found(options: Options, cache: Cache) -> Found:
    """Search, and fall back on the last search if that fails."""
    # Imported here, since a session patches the process's sockets.
    from mapillary_crawler.archive.internet_archive.session import (  # noqa: PLC0415
        ArchiveOrg,
        CredentialsMissing,
    )

    tell = partial(say, "ia_stats")
    retry = Retry(min(_WAIT, options.retry_wait), min(_PATIENCE, options.patience), tell)
    try:
        archive = ArchiveOrg(options.url, options.s3_url, anonymous=True)
        return Search(archive, cache, retry, tell).run()
    except (Trouble, CredentialsMissing) as trouble:
        found = cache.read()
        if found is None:
            message = f"{trouble}, and there is no earlier search"
            end("ia_stats", Outcome.SERVICE_AWAY, message)
        tell(f"{trouble}; these are the figures of the last search")
        return found
    except KeyboardInterrupt:
        end("ia_stats", Outcome.INTERRUPTED, "interrupted")


def _table(found: Found, *, users: bool) -> str:
    age = quantities.age(time.time() - found.fetched_at)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.fetched_at))
    tables = report(statistics(found.items), users=users)
    return f"Mapillary on archive.org as of {when} ({age})\n\n{tables}"


def _json(found: Found, *, users: bool) -> str:
    figures = statistics(found.items)
    answer: dict[str, Any] = {
        "fetched_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.fetched_at)),
        "age_seconds": int(max(0.0, time.time() - found.fetched_at)),
        **figures.as_json(),
    }
    if users:
        answer["by_user"] = figures.users_as_json()
    return json.dumps(answer, indent=2, ensure_ascii=False)
