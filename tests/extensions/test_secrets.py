"""No handler gets a token or a signed URL, whoever logs it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from mapillary_crawler.extensions.secrets import _Filter
from mapillary_crawler.terminal.redaction import Redactor

URL = "https://scontent.example.net/m1/x.jpg?stp=s1&oh=00_Af&oe=6B2A7327"
clean = _Filter(Redactor(secrets=["MLY|1|2"], hosts=[]).without_secrets)


def formatted(record: logging.LogRecord) -> str:
    assert clean.filter(record)
    assert clean.filter(record)  # every handler does
    return logging.Formatter("%(message)s").format(record)


def test_message_keeps_the_rest() -> None:
    record = logging.LogRecord(
        "x", logging.WARNING, "", 0, "loss in %s, %d%% of it", (URL, 5), None
    )
    assert formatted(record) == ("loss in https://scontent.example.net/m1/x.jpg?(query) 5% of it")


def test_traceback_is_cleaned() -> None:
    try:
        int(f"Getting {URL} with MLY|1|2")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    text = formatted(record)
    assert "Traceback" in text
    assert "oh=" not in text
    assert "MLY" not in text


class Unprintable:
    def __str__(self) -> str:
        raise LookupError("no text")


@pytest.mark.parametrize(
    ("message", "arguments", "shown"),
    [
        ("%d items of MLY|1|2", ("three",), "%d items of (token) ('three',)"),
        ("%s", (Unprintable(),), "%s "),
        (Unprintable(), (), "<Unprintable>"),
    ],
)
def test_malformed_record_is_no_error_of_the_code_that_logs(
    message: Any, arguments: tuple[object, ...], shown: str
) -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, message, arguments, None)
    assert shown in formatted(record)


def test_malformed_traceback_is_none_either() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "failed", (), None)
    record.exc_info = ("MLY|1|2",)  # type: ignore[assignment]
    assert formatted(record) == "failed\n('(token)',)"
