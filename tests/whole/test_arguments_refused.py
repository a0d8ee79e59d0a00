"""Bad input: one clear line, exit 2, nothing requested, nothing written."""

from __future__ import annotations

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling

pytestmark = pytest.mark.slow

REFUSED = [
    ({"quality": "512"}, "quality"),
    ({"bbox": "1,2,3"}, "bbox"),
    ({"bbox": "nan,1,2,3"}, "bbox"),
    ({"bbox": "170,0,-170,1"}, "two boxes"),
    ({"start": "2024-02-30"}, "start"),
    ({"sequence": "a,../b"}, "sequence '../b'"),
    ({"start": "2024-02-02", "end": "2024-02-01"}, "after end"),
    ({"username": ""}, "username is empty"),
    ({"username": "a/b"}, "username"),
    ({"username": "a\nb"}, "username"),
    ({"usernam": "alice"}, "usernam"),
    ({"webp": "yes"}, "webp"),
    ({"webp": "1", "jxl": "1"}, "webp=1 and jxl=1 do not go together"),
]


@pytest.mark.parametrize(("arguments", "named"), REFUSED)
def test_bad_argument(
    crawling: Crawling, sandbox: Sandbox, arguments: dict[str, str], named: str
) -> None:
    before = sandbox.counters()["requests"]
    result = crawling.run(**{"username": "alice", **arguments})
    assert result.code == 2
    assert len(result.lines) == 1
    assert named in result.output
    assert sandbox.counters()["requests"] == before
    assert not crawling.store.exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("crawl", "usr", "-a", "username=alice"), "no spider 'usr'"),
        (("crawl", "user", "-a", "username"), "-a"),
        (("crawl", "user", "-a", "username=alice", "--fast"), "--fast"),
        (("crawl", "user", "-a", "username=alice", "-s", "TAR_MAX_BYTES=ten"), "TAR_MAX_BYTES"),
        (("crawl", "user", "-a", "username=alice", "-s", "MAPILLARY_API_URL=http://example.org"),
         "may not get the token"),
        (("crawl", "user", "-a", "username=alice", "-s", "MAPILLARY_STORE=/proc/none"), "/proc"),
        (("crawl", "user", "-a", "username=alice", "-s", "JOBDIR=/proc/none"), "JOBDIR /proc/none"),
        (("crawl", "user", "-a", "username=alice", "-L", "LOUD"), "LOG_LEVEL 'LOUD'"),
        (("crawl", "user", "-a", "username=alice", "--logfile", "/proc/no/log"), "LOG_FILE /proc"),
    ],
)  # fmt: skip
def test_bad_command_line(crawling: Crawling, words: tuple[str, ...], named: str) -> None:
    result = crawling.scrapy(*words)
    assert result.code == 2
    assert len(result.lines) == 1
    assert named in result.output


@pytest.mark.parametrize("token", ["", "  \n"])
def test_no_token(crawling: Crawling, token: str) -> None:
    crawling.environment["MAPILLARY_TOKEN"] = token
    result = crawling.run(username="alice")
    assert result.code == 2
    assert len(result.lines) == 1
    assert "https://www.mapillary.com/dashboard/developers" in result.output


def test_spaces_around_the_token_are_stripped_and_it_is_never_shown(
    crawling: Crawling, sandbox: Sandbox
) -> None:
    crawling.environment["MAPILLARY_TOKEN"] = f" {sandbox.token}\n"
    result = crawling.run("-L", "DEBUG", username="alice", quality="256")
    assert result.code == 0
    assert sandbox.token not in result.output
    assert sandbox.token.split("|")[2] not in result.output
