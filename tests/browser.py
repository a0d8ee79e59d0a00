"""Pages in a real browser: Debian's Chromium, driven by Playwright.

Tests ask for the fixture `chromium` (conftest.py) and look at a page with `visited`. They are to be
marked `long`, and skip where the browser or Playwright is absent; `.ci/run` installs both.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

#: Playwright brings no browser of its own; this one is the distribution's.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Nothing of the browser itself may look like a request of the page; a container has no sandbox.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Widths of a telephone, a tablet and a large screen, in pixels, each with its height.
SIZES = {360: 740, 1024: 768, 1920: 1080}


@dataclass
class Visit:
    """A page, and what the browser said and asked for meanwhile.

    `complaints` are errors and warnings of the console and exceptions of scripts; `requests` the
    addresses asked for, the page's own first.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Listen from now on."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def scrolls_sideways(self) -> bool:
        """Say whether the page is wider than the window."""
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(wider))

    def unnamed_controls(self) -> list[str]:
        """Return the controls that a screen reader has no name for, as HTML.

        Links, buttons, inputs, selections, and whatever the Tab key stops at.
        """
        session = self.page.context.new_cdp_session(self.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        return [
            f"{node['role']['value']}: {node.get('properties')}"
            for node in nodes
            if not node.get("ignored")
            and node.get("role", {}).get("value") in _CONTROLS
            and not node.get("name", {}).get("value", "").strip()
        ]


_CONTROLS = frozenset(
    {
        "button", "link", "textbox", "searchbox", "combobox", "listbox", "checkbox", "radio",
        "slider", "spinbutton", "switch", "tab", "menuitem", "img", "image", "application",
    }
)  # fmt: skip


@contextmanager
def running() -> Iterator[Browser]:
    """Run the browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visited(
    browser: Browser,
    address: str | Path,
    *,
    width: int = 1024,
    dark: bool = False,
    script: bool = True,
    touch: bool = False,
) -> Iterator[Visit]:
    """Open a page, by its address or a file's path, in a profile of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": SIZES.get(width, 768)},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        has_touch=touch,
        reduced_motion="reduce",
        accept_downloads=True,
        locale="en-GB",
        timezone_id="UTC",
    )
    try:
        visit = Visit(context.new_page())
        visit.watch()
        visit.page.goto(address if isinstance(address, str) else address.as_uri())
        yield visit
    finally:
        context.close()
