"""The last line: what became of it, why, where it is, and what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.ledger.records import Changes
from mapillary_crawler.terminal.last_line import last_line

FOLDER = Path("/store/mapillary-a-256")
COMMAND = "scrapy crawl user -a username=a"
UNFINISHED = Balance(saved=3, failed=1, left=2)


def line(
    outcome: Outcome, balance: Balance, reason: str = "", command: str | None = COMMAND
) -> str:
    return last_line(
        FOLDER.name,
        outcome,
        balance,
        reason=reason,
        folder=FOLDER,
        command=command,
        adopt="scrapy adopt --item a",
    )


def test_a_finished_collection_says_where_it_is_and_who_is_missing() -> None:
    assert line(Outcome.COMPLETE, Balance(saved=3)) == (
        "mapillary-a-256: complete: listed 3 = saved 3 + gone 0 + unavailable 0 + failed 0; "
        "it is in /store/mapillary-a-256"
    )
    accepted = Balance(saved=3, gone=1, failed=2, accepted=2)
    assert line(Outcome.ACCEPTED, accepted).endswith(
        "; it is in /store/mapillary-a-256; gone.jsonl there names the 3 that are not"
    )


def test_an_update_says_what_it_has_brought() -> None:
    said = last_line(
        "mapillary-a-256",
        Outcome.COMPLETE,
        Balance(saved=3, vanished=1),
        folder=FOLDER,
        command=COMMAND,
        changes=Changes(new=1234, available=5, vanished=12),
    )
    assert said == (
        "mapillary-a-256: complete: listed 3 = saved 3 + gone 0 + unavailable 0 + failed 0 "
        "(1 of the saved are no longer on Mapillary); update: 1,234 new, 5 now available, "
        "12 no longer on Mapillary (kept); it is in /store/mapillary-a-256"
    )


def test_one_whose_upload_is_not_complete_says_where_it_is_and_what_to_type() -> None:
    said = line(Outcome.NOT_UPLOADED, Balance(saved=3, gone=1), "archive.org refused these keys")
    assert said == (
        "mapillary-a-256: complete here, not all of it is on archive.org (archive.org refused "
        "these keys): listed 4 = saved 3 + gone 1 + unavailable 0 + failed 0; it is in "
        "/store/mapillary-a-256; gone.jsonl there names the 1 that are not; "
        f"run the same command again: {COMMAND}"
    )
    assert line(Outcome.NOT_UPLOADED, Balance(saved=3), command=None).endswith(
        "it is in /store/mapillary-a-256; schedule it again"
    )


def test_an_unfinished_one_says_why_and_what_to_type() -> None:
    assert line(Outcome.INCOMPLETE, UNFINISHED, "1 failed and 2 not tried of 6 images") == (
        "mapillary-a-256: incomplete (1 failed and 2 not tried of 6 images): listed 6 = saved 3 + "
        f"gone 0 + unavailable 0 + failed 1 + left 2; run the same command again: {COMMAND}"
    )
    full = line(Outcome.DISK_FULL, UNFINISHED, "no room")
    assert full.endswith(f"left 2; make space and run the same command again: {COMMAND}")
    said = line(Outcome.NO_IMAGES, Balance(), "no images found for user a")
    assert said.startswith("mapillary-a-256: no images found for user a: listed 0 = saved 0 ")
    assert said.endswith("failed 0")


def test_a_job_of_a_server_is_scheduled_again() -> None:
    assert line(Outcome.INTERRUPTED, UNFINISHED, command=None).endswith("; schedule it again")


def test_nothing_is_to_be_typed_for_what_somebody_else_goes_on_with() -> None:
    assert line(Outcome.INTERRUPTED, UNFINISHED, command="").endswith("failed 1 + left 2")


@pytest.mark.parametrize("command", [None, f"{COMMAND} -a check_ia=0"])
def test_what_archive_org_has_was_not_fetched(command: str | None) -> None:
    said = line(Outcome.ALREADY_ARCHIVED, Balance(), "archive.org has it: https://x/a", command)
    assert "already archived (archive.org has it: https://x/a): listed 0 = " in said
    adopt = "; nothing was fetched. To go on from there, without its tars: scrapy adopt --item a. "
    assert f"{adopt}To fetch it all the same: " in said
    assert said.endswith("check_ia=0")


def test_a_reason_is_one_line_without_secrets() -> None:
    said = line(Outcome.ERROR, UNFINISHED, "odd\nMLY|1|secret https://x/y?oe=1&oh=2 " + "x" * 999)
    assert "\n" not in said
    assert "secret" not in said
    assert "oe=1" not in said
    assert len(said) < 700
