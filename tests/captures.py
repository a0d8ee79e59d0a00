"""Captures of the commands in a real terminal, for docs/: `python -m tests.captures`.

The commands run in tmux against a sandbox, at four widths. What they write at 80 columns goes into
docs/commands.md, the rest and pictures of some into docs/captures/.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.adopt.peer_folder import PeerFolder
from tests.archive.internet_archive.archive_crowd import crowd
from tests.crawling import PROJECT

WIDTHS = (60, 80, 120, 200)
#: The width that docs/commands.md has.
PAGE_WIDTH = 80
PAGE = PROJECT / "docs" / "commands.md"
FOLDER = PROJECT / "docs" / "captures"

_ROWS = 70
_LONG = "photographs-of-the-whole-valley-and-more"
_USERS = [
    {"username": "alice", "images": 400, "panoramas": 0.05, "dead": 2},
    {"username": "bob", "images": 90, "days": 3.0},
    {"username": "carol", "images": 150, "days": 4.0},
    {"username": _LONG, "images": 20},
    {"username": "日本の写真家", "images": 20},
]
#: As long as the folder that is made for it.
_HOME = "/home/alice/mapillary"
_UNITS = {"B", "kB", "MB", "GB", "TB"}


@dataclass(frozen=True)
class Capture:
    """A command, and what its screen shows when it is captured: its end, or some text before."""

    name: str
    command: str
    shows: str = ""
    drawn: bool = False
    #: Milliseconds that an image takes.
    latency: int = 0


#: Those that are at their end at once; the others are seen while they work, too.
STILL = (
    Capture("plan", "scrapy plan alice -a quality=1024", drawn=True),
    Capture("status", "scrapy status", drawn=True),
    Capture("verify", "scrapy verify bob-256"),
    Capture("clean", "scrapy clean --yes"),
    Capture("adopt", "scrapy adopt theirs/mapillary-erin-1024"),
    Capture("ia_stats", "scrapy ia_stats"),
    Capture("ia_upload", "scrapy ia_upload --dry-run bob-256"),
    Capture("help", "scrapy status -h"),
)
MOVING = (
    Capture("doctor", "scrapy doctor"),
    Capture("crawl", "scrapy crawl user -a username=alice -a quality=1024", r"1\d\d of 400",
            drawn=True, latency=700),
    Capture("crawl-end", ""),
    Capture("crawl-verbose", "scrapy crawl user -v -a username=bob -a quality=1024"),
    Capture("crawl-quiet", "scrapy crawl user -q -a username=bob -a quality=2048"),
    Capture("archive", "scrapy archive bob carol nobody --jobs 2 -a quality=original",
            r"carol .*[1-9]\d of 150", drawn=True, latency=700),
    Capture("archive-end", ""),
    Capture("demo", "scrapy demo"),
)  # fmt: skip


class Terminal:
    """A shell in tmux."""

    def __init__(self, columns: int, folder: Path, environment: Mapping[str, str]) -> None:
        self._server = f"captures-{os.getpid()}-{columns}"
        self._environment = {**environment, "TERM": "xterm-256color"}
        self._tmux("new-session", "-d", "-s", "s", "-x", str(columns), "-y", str(_ROWS),
                   "-c", str(folder), "env", "PS1=$ ", "sh")  # fmt: skip

    def run(self, capture: Capture) -> str:
        """Type a command, if there is one, and return the screen with its colours."""
        if capture.command:
            self._type("clear")
            self._wait_for(r"\A\$\Z")
            self._type(capture.command)
        self._wait_for(capture.shows or r"\n\$\Z")
        return self._tmux("capture-pane", "-p", "-e", "-t", "s")

    def close(self) -> None:
        self._tmux("kill-server")

    def _type(self, line: str) -> None:
        self._tmux("send-keys", "-t", "s", "-l", line)
        self._tmux("send-keys", "-t", "s", "Enter")

    def _wait_for(self, shown: str) -> None:
        until = time.monotonic() + 120
        while not re.search(shown, screen := self._tmux("capture-pane", "-p", "-t", "s").rstrip()):
            if time.monotonic() > until:
                raise TimeoutError(f"{shown} does not come:\n{screen}")
            time.sleep(0.2)

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._server, "-f", "/dev/null", *arguments]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout


@contextmanager
def prepared(columns: int) -> Iterator[tuple[Terminal, Path, Sandbox]]:
    """Give a terminal in a folder with a few collections."""
    with (
        tempfile.TemporaryDirectory(prefix="archive-", dir="/tmp") as made,
        Sandbox.running(_USERS, items=crowd(40, seed=3)) as sandbox,
    ):
        folder = Path(made)
        environment = _environment(folder, sandbox)
        users = ["bob", _LONG, "日本の写真家"]
        command = ["scrapy", "archive", *users, "--jobs=3", "-q", "-aquality=256"]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        sandbox.set_faults({"cdn": {"truncated": 0.5}})
        command = ["scrapy", "crawl", "user", "-q", "-ausername=carol", "-aquality=256"]
        once = {**environment, "IMAGE_ATTEMPTS": "1"}
        subprocess.run(command, cwd=folder, env=once, check=False, capture_output=True)
        sandbox.reset()
        (folder / "mapillary_data/.incomplete/mapillary-nobody-256").mkdir()
        _write_theirs(folder, sandbox)
        terminal = Terminal(columns, folder, environment)
        try:
            yield terminal, folder, sandbox
        finally:
            terminal.close()


def _environment(folder: Path, sandbox: Sandbox) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAPILLARY_", "IA_", "XDG_", "COLUMNS", "LINES", "NO_COLOR"))
    }
    return {
        **kept,
        **sandbox.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(PROJECT),
        "SCRAPY_SETTINGS_MODULE": "mapillary_crawler.settings",
        "MIN_FREE_BYTES": "1000000",
        "IA_ACCESS_KEY_ID": "key",
        "IA_SECRET_ACCESS_KEY": "secret",
    }


def _write_theirs(folder: Path, sandbox: Sandbox) -> None:
    """Write a folder as mapillary_downloader leaves it, which lacks an image."""
    theirs = PeerFolder(folder / "theirs" / "mapillary-erin-1024")
    for number, image in enumerate(list(sandbox.catalogue.user("bob").images())[:12]):
        theirs.list(image.metadata())
        if number:
            body = sandbox.catalogue.body(image, "1024")
            theirs.save(f"2024-05-31/{image.sequence or 'none'}/{image.image_id}.jpg", body)
    theirs.write()


def captured(columns: int, captures: tuple[Capture, ...]) -> Iterator[tuple[Capture, str]]:
    """Yield each capture with its screen, paths as those of a user."""
    with prepared(columns) as (terminal, folder, sandbox):
        for capture in captures:
            if capture.command:
                sandbox.set_faults({"cdn": {"latency_ms": capture.latency}})
            yield capture, terminal.run(capture).replace(str(folder), _HOME)


def plain(screen: str) -> str:
    """Return a screen as text: without colours, the prompt at its end, and empty rows."""
    lines = [line.rstrip() for line in Text.from_ansi(screen).plain.splitlines()]
    return "\n".join(lines).strip("\n").removesuffix("\n$")


def picture(name: str, screen: str, columns: int) -> str:
    """Return a screen as SVG; it loads no fonts."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen.rstrip()), soft_wrap=True)
    drawn = console.export_svg(title=f"{columns} columns", unique_id=name)
    return re.sub(r"@font-face \{.*?\}\n?", "", drawn, flags=re.DOTALL)


def shape(text: str) -> list[str]:
    """Return the words of a capture: headings, columns, texts, without figures and times."""
    text = re.sub(r"just now|\d+ (?:min|h|d) ago", "", text)
    words = re.sub(r"[\d.,:+±~/-]*\d[\d.,:]*", " ", text).split()
    return [word for word in words if re.search(r"\w", word) and word not in _UNITS]


def blocks(text: str) -> dict[str, str]:
    """Return the captures that a page has, by name."""
    return dict(re.findall(r"<!-- capture: (\S+) -->\n```\n(.*?)\n```\n", text, re.DOTALL))


def _write(columns: int, screens: Mapping[str, str]) -> None:
    if columns == PAGE_WIDTH:
        page = PAGE.read_text()
        for name, text in screens.items():
            block = f"<!-- capture: {name} -->\n```\n{text}\n```\n"
            find = rf"<!-- capture: {name} -->\n```\n.*?\n```\n"
            page = re.sub(find, lambda _, block=block: block, page, flags=re.DOTALL)
        PAGE.write_text(page)
        return
    parts = [f"<!-- capture: {name} -->\n```\n{text}\n```\n" for name, text in screens.items()]
    made = "Made by `python -m tests.captures`; [commands.md](../commands.md) says what it shows."
    head = f"# At {columns} columns\n\n{made}\n"
    (FOLDER / f"{columns}.md").write_text("\n".join([head, *parts]))


def main() -> None:
    """Write all captures anew."""
    FOLDER.mkdir(exist_ok=True)
    for columns in map(int, sys.argv[1:]) if sys.argv[1:] else WIDTHS:
        screens = {}
        for capture, screen in captured(columns, STILL + MOVING):
            screens[capture.name] = plain(screen)
            if capture.drawn:
                path = FOLDER / f"{capture.name}-{columns}.svg"
                path.write_text(picture(capture.name, screen, columns))
        _write(columns, screens)


if __name__ == "__main__":
    main()
