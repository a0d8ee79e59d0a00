"""The handler behind `download.log.*`."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from mapillary_crawler.extensions.log_file import CollectionHandler


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging", tmp_path / "store"


@pytest.fixture
def handler(folders: tuple[Path, Path]) -> CollectionHandler:
    return CollectionHandler(folders, "download.log.T", lambda text: text.replace("secret", "…"))


def say(handler: CollectionHandler, message: str) -> None:
    handler.handle(logging.LogRecord("name", logging.INFO, "", 0, message, (), None))


def test_nothing_is_written_before_the_beginning(
    handler: CollectionHandler, folders: tuple[Path, Path]
) -> None:
    say(handler, "early")
    assert list(folders[0].iterdir()) == []
    handler.begin()
    handler.begin()
    say(handler, "a secret")
    assert (folders[0] / "download.log.T").read_text() == "early\na …\n"


def test_file_is_followed_into_the_store(
    handler: CollectionHandler, folders: tuple[Path, Path]
) -> None:
    handler.begin()
    say(handler, "before")
    folders[0].rename(folders[1])
    say(handler, "after")
    assert (folders[1] / "download.log.T").read_text() == "before\nafter\n"
    assert not folders[0].exists()


def test_discarded_collection_gets_no_file(
    handler: CollectionHandler, folders: tuple[Path, Path]
) -> None:
    handler.begin()
    (folders[0] / "download.log.T").unlink()
    say(handler, "after")
    folders[0].rmdir()
    say(handler, "after")
    assert not folders[0].exists()
    assert not folders[1].exists()


def test_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    handler = CollectionHandler([tmp_path / "absent"], "download.log.T", str)
    handler.begin()
    say(handler, "unheard")


def test_threads_do_not_mix(handler: CollectionHandler, folders: tuple[Path, Path]) -> None:
    handler.begin()
    threads = [
        threading.Thread(target=lambda n=n: [say(handler, str(n) * 50) for _ in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (folders[0] / "download.log.T").read_text().splitlines()
    assert len(lines) == 200
    assert all(line == line[0] * 50 for line in lines)
