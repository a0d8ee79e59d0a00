"""Real inputs that lie beside the project, never in it; tests skip, saying so, without them."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

FOLDER = Path(__file__).parents[2] / "shared" / "data"


def files(*patterns: str) -> list[ParameterSet]:
    """Return the files of these patterns as parameters of a test."""
    found = [path for pattern in patterns for path in sorted(FOLDER.glob(pattern))]
    if found:
        return [pytest.param(path, id=path.stem) for path in found]
    absent = pytest.mark.skip(reason=f"no {' or '.join(patterns)} in ../shared/data")
    return [pytest.param(None, id="absent", marks=absent)]
