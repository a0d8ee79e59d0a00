"""Names from a file."""

from __future__ import annotations

from mapillary_crawler.crawl.usernames_given import read_names


def test_names_and_comments() -> None:
    text = "alice\n\n# nobody\n  bob  # a friend\ncar#ol\n#dave\nalice\r\nJo Do\n"
    assert read_names(text.splitlines(keepends=True)) == ["alice", "bob", "car#ol", "Jo Do"]
