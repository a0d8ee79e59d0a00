"""`scrapy ia_stats`: what of Mapillary is on archive.org."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, Options, read_options
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.internet_archive.cache import Cache, Found

#: A person waits, so a search is given up soon: seconds of a first wait, and of all.
_WAIT, _PATIENCE = 1.0, 10.0


class Command(ProjectCommand):
    """Searches archive.org, or reads what an earlier search found."""

    default_settings = DEFAULTS
    usage = "[--cached] [--json] [--users]"
    summary = "Count the Mapillary collections on archive.org"
    about = (
        "Counts all collections on archive.org that this program or mapillary_downloader\n"
        "made: users, images and bytes, by quality, and what lies outside the\n"
        "mapillary-images collection. What a search finds is kept in the cache folder;\n"
        "without a network the figures come from there, with their age."
    )
    epilog = f"""\
Examples:

  {program_name()} ia_stats
  {program_name()} ia_stats --cached --users
  {program_name()} ia_stats --json | jq .unique_images

Exit codes: 0, 2 for a wrong argument or --cached before any search, 4 interrupted, 7 archive.org
is not available and there is no earlier search.
"""
    takes_arguments = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        parser.add_argument(
            "--cached", action="store_true", help="ask nothing, use the last search"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--users", action="store_true", help="also the figures of each user")

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print the figures."""
        from mapillary_crawler.archive.internet_archive import report
        from mapillary_crawler.archive.internet_archive.cache import Cache

        cache = Cache.of_user()
        options = read_options(self.given_settings)
        found = cache.read() if opts.cached else self._found(options, cache)
        if found is None:
            raise ArgumentRefused(f"nothing was searched yet, there is no {cache.path}")
        say = report.as_json if opts.json else report.as_text
        print(say(found, users=opts.users))

    def _found(self, options: Options, cache: Cache) -> Found:
        """Search, and fall back on the last search if that fails."""
        from mapillary_crawler.archive.internet_archive.retry import Retry
        from mapillary_crawler.archive.internet_archive.search import Search
        from mapillary_crawler.archive.internet_archive.session import ArchiveOrg
        from mapillary_crawler.archive.internet_archive.trouble import CredentialsMissing, Trouble

        retry = Retry(min(_WAIT, options.retry_wait), min(_PATIENCE, options.patience), self.say)
        try:
            archive = ArchiveOrg(options.url, options.s3_url, anonymous=True)
            return Search(archive, cache, retry, self.say).run()
        except (Trouble, CredentialsMissing) as trouble:
            found = cache.read()
            if found is None:
                message = f"{trouble}, and there is no earlier search"
                raise Refused(Outcome.SERVICE_AWAY, message) from None
            self.say(f"{trouble}; these are the figures of the last search")
            return found
