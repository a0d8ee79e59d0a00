"""`scrapy doctor`: whether a crawl could start now, and what to do where not."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.token import secrets_of
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapillary_crawler.crawl.doctor.finding import Finding

#: Seconds that archive.org has for each of two answers.
_ARCHIVE_TIMEOUT = 20.0
#: Characters from which on a token is a secret; a shorter one is none, and in many words.
_SECRET = 8


class Command(ProjectCommand):
    """Looks at everything that a crawl needs, and leaves everything as it is."""

    default_settings = DEFAULTS
    usage = "[--json] [-s NAME=VALUE]"
    summary = "Check whether a crawl could start now, and say what is missing"
    about = (
        "Looks at what a crawl needs: the token and the API, by one cheap question, and the\n"
        "clock; the store and the staging folder, and what their disks can do; encoders, the\n"
        "native walk and versions; the keys for archive.org. What is wrong has a line below it\n"
        "that says what to do. No file stays behind, and nothing secret is shown."
    )
    epilog = f"""\
ok, note: nothing is in a crawl's way. warning: a crawl starts, but look at it. fault: it cannot
start, or ends at once.

Exit codes
==========

  0  a crawl could start now
  1  what this program runs on is missing or broken
  2  a setting, a folder, or the form of the token
  5  the API refuses the token
  6  there is no space
  7  the API is away, or blocks us

Where several hold, the first of 1, 2, 5, 6, 7.

Examples
========

  {program_name()} doctor
  {program_name()} doctor -s MAPILLARY_STORE=/mnt/photos
  {program_name()} doctor --json | jq '.findings[] | select(.state == "fault")'
"""
    takes_arguments = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option of the command."""
        super().add_options(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print what was found, and set the exit code."""
        from mapillary_crawler.crawl.doctor.finding import exit_code
        from mapillary_crawler.crawl.doctor.machine import versions

        installed = versions()
        findings = [_cleaned(finding) for finding in self._findings(installed)]
        self.exitcode = exit_code(findings)
        if opts.json:
            found = {"exit_code": self.exitcode, "findings": [each.fields for each in findings]}
            print(json.dumps({**found, "versions": installed}, ensure_ascii=False))
        else:
            _print(findings)

    def _findings(self, installed: dict[str, str | None]) -> Iterator[Finding]:
        """Yield what is found, from what a crawl needs first."""
        from mapillary_crawler.crawl.doctor import archive_org, folders, machine, service
        from mapillary_crawler.crawl.doctor.finding import fault_of, ok

        try:
            configuration = self.configuration()
        except ArgumentRefused as error:
            yield fault_of("settings", error.outcome, str(error))
            yield from filter(None, [service.token_form(os.environ)])
        else:
            yield ok("settings", self._origins())
            agent = str(self.given_settings["USER_AGENT"])
            yield from service.service(configuration.api_url, os.environ, agent)
            yield from folders.folders(configuration)
            yield machine.open_files(configuration)
            yield machine.judge_of_images(walk=configuration.jpeg_walk)
            yield machine.encoder(configuration.webp_encoder)
        yield archive_org.keys(self._archive_org)
        yield machine.judge_versions(installed)

    def _origins(self) -> str:
        """Say which settings are no defaults, and where they come from."""
        from mapillary_crawler.terminal.origins import set_by_somebody

        found = set_by_somebody(self.given_settings)
        said = [f"{name} from {where}" for name, where in found.items()]
        return ", ".join([*said, "all others by default" if said else "all by default"])

    def _archive_org(self) -> bool | None:
        """Ask archive.org about the keys; return whether it takes uploads, None without keys."""
        from mapillary_crawler.archive.internet_archive.session import ArchiveOrg
        from mapillary_crawler.archive.internet_archive.trouble import NoKeys

        options = read_options(self.given_settings)
        try:
            archive = ArchiveOrg(options.url, options.s3_url)
        except NoKeys:
            return None
        archive.check_keys(_ARCHIVE_TIMEOUT)
        return not archive.is_overloaded(_ARCHIVE_TIMEOUT)


def _cleaned(finding: Finding) -> Finding:
    """Return a finding without what looks like a token, or is a part of the one that is set."""
    from mapillary_crawler.terminal.redaction import Redactor

    secrets = [secret for secret in secrets_of(os.environ) if len(secret) >= _SECRET]
    clean = Redactor(secrets=secrets, hosts=()).without_tokens
    return replace(finding, found=clean(finding.found), remedy=clean(finding.remedy))


def _print(findings: Iterable[Finding]) -> None:
    """Print a row for each, and what to do on a line of its own."""
    from mapillary_crawler.terminal.tables import Table

    table = Table(("part", "state", "found"))
    for finding in findings:
        table.rows.append((finding.what, finding.state.value, finding.found))
        if finding.remedy:
            table.rows.append(("", "", f"→ {finding.remedy}"))
    table.print()
