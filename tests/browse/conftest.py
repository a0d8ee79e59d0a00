"""A viewer for each module of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browse.viewing import Viewer, viewing

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def viewer(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """Return a running viewer; after `chromium`, without which there is nothing to be made."""
    with viewing(tmp_path_factory.mktemp("viewer")) as running:
        yield running
