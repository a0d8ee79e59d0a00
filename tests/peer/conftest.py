"""Tests against the real mapillary_downloader; they run where `pytest tests/peer` asks for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VERSION = "0.12.0"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep these tests out of `pytest tests`: they install a package, and take minutes."""
    asked = [Path(argument.split("::")[0]).absolute() for argument in config.args]
    if any(each == HERE or HERE in each.parents for each in asked):
        return None
    return True if collection_path == HERE or HERE in collection_path.parents else None


@pytest.fixture(scope="session")
def peer_python(pytestconfig: pytest.Config) -> Path:
    """Return the Python of an environment of its own that has mapillary_downloader."""
    folder = pytestconfig.cache.mkdir(f"mapillary-downloader-{VERSION}")  # type: ignore[union-attr]
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", f"mapillary-downloader=={VERSION}"],
            check=True,
        )
        ready.touch()
    return python
