"""docs/reliability.md: every test that it names is there."""

from __future__ import annotations

import re

import pytest

from tests.crawling import PROJECT

DOCUMENT = (PROJECT / "docs" / "reliability.md").read_text("utf-8")
#: A path, perhaps a test in it, perhaps one of its cases.
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?(?:\[([^\]`]+)\])?`")
#: Further cases of the test named before.
CASES = re.compile(r"`(tests/[\w/]+\.py)::\w+\[[^\]`]+\]`((?:, `\[[^\]`]+\]`)+)")


@pytest.mark.parametrize(("path", "name", "case"), sorted(set(NAMED.findall(DOCUMENT))))
def test_a_named_test_exists(path: str, name: str, case: str) -> None:
    source = (PROJECT / path).read_text("utf-8")
    assert not name or re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)
    assert not case or f'"{case}"' in source


def test_further_cases_exist() -> None:
    found = [
        (path, case)
        for path, cases in CASES.findall(DOCUMENT)
        for case in re.findall(r"`\[([^\]`]+)\]`", cases)
    ]
    assert len(found) > 10
    for path, case in found:
        assert f'"{case}"' in (PROJECT / path).read_text("utf-8"), case


def test_every_row_names_a_test() -> None:
    tables = DOCUMENT.partition("## Between two steps")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and "---" not in line]
    faults = [row for row in rows if not row.endswith("| test |")]
    assert len(faults) > 30
    assert [row for row in faults if not NAMED.search(row)] == []
