"""The settings of the archive.org commands: the same rules as a crawl's, and no secret shown."""

from __future__ import annotations

from typing import Any

import pytest

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, Options, read_options
from mapillary_crawler.collection.outcome import ArgumentRefused

ADDRESSES = {
    "ARCHIVE_ORG_URL": "https://archive.org",
    "ARCHIVE_ORG_S3_URL": "https://s3.us.archive.org/",
}


def options(**changed: Any) -> Options:
    return read_options({**DEFAULTS, **ADDRESSES, **changed})


def test_numbers_are_read_from_text_too() -> None:
    assert options(IA_ITEM_MAX_BYTES="1e11", IA_PATIENCE="0.5").item_max_bytes == 10**11
    assert options(IA_PATIENCE="0.5").patience == 0.5
    assert options().s3_url == "https://s3.us.archive.org"


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "url",
    [
        "https://u:secret@x.org",
        "https://:secret@x.org",
        "https://@x.org",
        "https://x.org/?key=secret",
        "https://x.org/a secret",
        "https://x.org/\x1b[31msecret",
        "ftp://x.org",
        "x.org",
        "",
    ],
)
def test_address_that_cannot_be_is_named_and_no_secret_of_it_shown(name: str, url: str) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        options(**{name: url})
    message = str(refused.value)
    assert message.startswith(f"{name} ")
    assert "is no http(s) address" in message
    assert message.isprintable()
    assert "secret" not in message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("IA_ITEM_MAX_BYTES", 0, "at least 1"),
        ("IA_ITEM_MAX_FILES", "many", "'many' is no number"),
        ("IA_ITEM_MAX_BYTES", "100 G", "is not understood"),
        ("IA_RETRY_WAIT", "nan", "is not understood"),
        ("IA_PATIENCE", "inf", "is not understood"),
        ("IA_TIMEOUT", "0", "at least 0.001"),
        ("IA_TIMEOUT", None, "is not understood"),
    ],
)
def test_number_that_cannot_be_is_named(name: str, value: Any, said: str) -> None:
    with pytest.raises(ArgumentRefused, match=f"^{name} ") as refused:
        options(**{name: value})
    assert said in str(refused.value)


def test_sizes_and_times_may_have_units() -> None:
    read = options(IA_ITEM_MAX_BYTES="50 GB", IA_PATIENCE="1d", IA_TIMEOUT="5m", IA_RETRY_WAIT="2s")
    assert (read.item_max_bytes, read.patience) == (50 * 10**9, 86_400)
    assert (read.timeout, read.retry_wait) == (300, 2)
