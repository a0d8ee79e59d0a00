"""Programs of others, each in an environment of its own: they pin other versions than the project.

Tests that use one lie in a folder of their own (`tests/peer`, `tests/judges`) and run where that is
asked for by name, since they install what they need, and take minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Which versions of them: a range and a reason each.
_RANGES = Path(__file__).parents[1] / "requirements-judges.txt"
#: What pip says of an index that does not answer, and of one that has no such package.
_NOTHING_THERE = ("connection broken by", "(from versions: none)")


def is_asked_for(folder: Path, config: pytest.Config) -> bool:
    """Say whether the command line of the tests names a folder, or what lies in it."""
    asked = [Path(argument.split("::")[0]).absolute() for argument in config.args]
    return any(each == folder or folder in each.parents for each in asked)


def left_out(collection_path: Path, folder: Path, config: pytest.Config) -> bool | None:
    """Answer `pytest_ignore_collect` for a folder whose tests run only where it is asked for."""
    lies_there = collection_path == folder or folder in collection_path.parents
    return True if lies_there and not is_asked_for(folder, config) else None


def programs_of(config: pytest.Config, *packages: str) -> Path:
    """Return the folder of the programs, `python` among them, of an environment with packages.

    It is kept between runs, as long as the ranges are the same. Skips the test where the index of
    packages cannot be reached.
    """
    assert config.cache is not None
    folder = config.cache.mkdir("-".join(("environment", *packages)))
    programs, ready = folder / "bin", folder / "ready"
    ranges = _RANGES.read_text("utf-8")
    if ready.exists() and ready.read_text("utf-8") == ranges:
        return programs
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--retries", "2", "--constraint", _RANGES, *packages],
        capture_output=True,
        text=True,
        check=False,
        # Not what the tests' own environment has
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    if done.returncode and any(words in done.stderr for words in _NOTHING_THERE):
        pytest.skip(f"no index of packages has {', '.join(packages)}, or none can be reached")
    assert done.returncode == 0, done.stderr
    ready.write_text(ranges, "utf-8")
    return programs
