"""What is said of sequences that a listing has not brought."""

from __future__ import annotations

import logging

from mapillary_crawler.crawl.unknown_sequences import remarks


def test_nothing_is_said_where_all_are_there() -> None:
    assert list(remarks(["a", "b"], {"a", "b", "c"})) == []
    assert list(remarks([], {"c"})) == []


def test_a_few_are_in_one_line() -> None:
    assert list(remarks(["a", "b", "c"], {"b"})) == [
        (logging.WARNING, "The listing has no image of 2 of the 3 sequences asked for: a, c")
    ]


def test_of_many_the_first_are_in_the_warning_and_all_are_named_once() -> None:
    asked = [f"s{number:03}" for number in range(100)]
    (level, first), *others = remarks(asked, {"s007"})
    assert level == logging.WARNING
    assert "99 of the 100" in first
    assert first.endswith("s004 and 94 more")
    assert {level for level, _ in others} == {logging.INFO}
    said = " ".join(line for _, line in [(level, first), *others])
    assert all(said.count(sequence) == (sequence != "s007") for sequence in asked)
