"""Fixtures that many tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import browser, shared_data

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A job of a script has SIGINT ignored, and all that it starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What the user of this machine has configured is for no test.
os.environ["XDG_CONFIG_HOME"] = os.devnull
# No test reads or writes what the user's own runs remember.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="mapillary-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# No test asserts an absolute time, not even hypothesis's own.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


#: Characters of a test's name that come of one argument.
_OF_AN_ARGUMENT = 80


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a test by what is given briefly: pytest would have 80 MB of a file as its name."""
    if isinstance(val, str | bytes) and len(val) > _OF_AN_ARGUMENT:
        return f"{argname} of {len(val)}"
    return None


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Return the folder of the real inputs."""
    if not shared_data.FOLDER.is_dir():
        pytest.skip("../shared/data is absent")
    return shared_data.FOLDER


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a running browser; tests/browser.py says how to look at a page with it."""
    with browser.running() as running:
        yield running
