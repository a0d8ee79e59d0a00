"""The project's commands in this process, on a collection that was made without a crawl."""

from __future__ import annotations

from pathlib import Path

import pytest
from scrapy.cmdline import execute

from tests.archive.finish.made import ANN, NOON, Picture, add, finish
from tests.crawling import PROJECT

NAME = ANN.name
BODIES = [
    Picture("11", NOON, "a_uX-1", b"one" * 400),
    Picture("12", NOON + 1000, "a_uX-1", b"two" * 900),
    Picture("13", NOON + 2000, None, b"three"),
    Picture("21", NOON + 86_400_000, "b", b"four" * 300, extension="webp"),
    Picture("31", None, "b", b"five"),
]


def made(store: Path, *, tar: bool = True, pictures: list[Picture] | None = None) -> Path:
    """Return a finished collection in a store."""
    add(store / ".incomplete" / NAME, pictures or BODIES)
    finish(store / ".incomplete" / NAME, store, tar=tar)
    return store / NAME


class Commands:
    """Runs commands with a store, and has what they said."""

    def __init__(
        self, store: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(PROJECT)
        monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "mapillary_crawler.settings")
        self._capfd = capfd
        self.store = store
        self.out = self.err = ""

    def run(self, *arguments: object) -> int:
        """Return the exit code."""
        given = [str(each) for each in arguments]
        with pytest.raises(SystemExit) as ended:
            execute(["scrapy", *given, "-s", f"MAPILLARY_STORE={self.store}"])
        assert isinstance(ended.value.code, int)
        self.out, self.err = self._capfd.readouterr()
        return ended.value.code


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
