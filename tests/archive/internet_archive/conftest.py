"""What the tests of the archive.org commands share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def scrapy(tmp_path):
    """Run a scrapy command of the project with nothing of the machine's own configuration."""

    def run(*arguments, sandbox=None, timeout=120, keys=True, **environment):
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "IA_RETRY_WAIT": "0.005",
            "PYTHONWARNINGS": "error::ResourceWarning",
            **({"IA_ACCESS_KEY_ID": "key", "IA_SECRET_ACCESS_KEY": "SECRET"} if keys else {}),
            **(sandbox.environment if sandbox else {"ARCHIVE_ORG_URL": "http://127.0.0.1:9"}),
            **environment,
        }
        return subprocess.run(
            [sys.executable, "-m", "scrapy", *map(str, arguments)],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
