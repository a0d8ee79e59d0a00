"""JSON lines for programs: one object a line, its fields closed and documented (docs/commands.md).

Numbers are those of `progress.json`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.outcome import ArgumentRefused


def counts(balance: Balance | None) -> dict[str, int | None]:
    """Return a balance as `progress.json` has it; null stands for each number not known."""
    fields = asdict(balance or Balance())
    fields.pop("untried", None)  # would have to be counted one by one
    known = {"listed": balance.listed if balance else 0, **fields}
    return dict(known) if balance else dict.fromkeys(known)


def moment(seconds: float | None) -> str | None:
    """Return a time, in seconds since 1970, as text; None stays so."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).isoformat()


def line(fields: dict[str, Any]) -> str:
    """Return an object as one line that every terminal and file takes."""
    try:
        text = json.dumps(fields, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # a name of the disk that is no UTF-8
        text = json.dumps(fields)
    return text


class JsonLog:
    """A file to which lines are appended, each there for others once it is written."""

    def __init__(self, path: str) -> None:
        try:
            self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115  closed with the process
        except OSError as error:
            cause = f"--log-json {path} cannot be written: {error.strerror}"
            raise ArgumentRefused(cause) from None

    def write(self, fields: dict[str, Any]) -> None:
        """Append an object; raises `OSError`."""
        self._file.write(f"{line(fields)}\n")
        self._file.flush()
