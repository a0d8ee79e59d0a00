"""Tests against the real mapillary_downloader; they run where `pytest tests/peer` asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments import left_out, programs_of


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep these tests out of `pytest tests`."""
    return left_out(collection_path, Path(__file__).parent, config)


@pytest.fixture(scope="session")
def peer_python(pytestconfig: pytest.Config) -> Path:
    """Return the Python of an environment of its own that has mapillary_downloader."""
    return programs_of(pytestconfig, "mapillary-downloader") / "python"
