"""The sandbox's archive.org, asked by the library that a command uses, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
import requests

from mapillary_crawler.sandbox.process import Sandbox

pytestmark = pytest.mark.slow

ITEM = "mapillary-alice-1024"
BODY = bytes(range(256)) * 1000
#: Calls a method of the session per line of its input, and says what came of it.
_CALLS = f"""
import io, json, os, sys
from mapillary_crawler.archive.internet_archive.session import ArchiveOrg
from mapillary_crawler.archive.internet_archive.trouble import Trouble
url = os.environ["ARCHIVE_ORG_URL"]
archive = ArchiveOrg(url, url)
for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        if name == "put":
            body = io.BytesIO(bytes(range(256)) * 1000)
            headers = {{"x-archive-auto-make-bucket": "1"}}
            tags = {{"title": ["ours"], "subject": ["one", "two"]}}
            found = archive.put({ITEM!r}, *arguments, body, metadata=tags, headers=headers)
        else:
            found = getattr(archive, name)(*arguments)
    except Trouble as trouble:
        found = f"{{type(trouble).__name__}}: {{trouble}}"
    print(json.dumps(found), flush=True)
"""


class Library:
    """`ArchiveOrg` of the project, on the other side of a pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def running(uploads: Path) -> Iterator[Sandbox]:
    with Sandbox.running([], seed=3, uploads=uploads) as running:
        yield running


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture(scope="module")
def library(running: Sandbox) -> Iterator[Library]:
    keys = {"IA_ACCESS_KEY_ID": "key", "IA_SECRET_ACCESS_KEY": "SECRET"}
    with subprocess.Popen(
        [sys.executable, "-c", _CALLS],
        env={**os.environ, **running.environment, **keys, "HOME": "/nonexistent"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Library(process)
        assert process.stdin is not None
        process.stdin.close()


def test_an_upload_comes_when_its_task_is_done(sandbox: Sandbox, library: Library) -> None:
    sandbox.set_faults({"archive": {"tasks_paused": True}})
    assert library.call("put", "a.tar") is None
    assert library.call("tasks", ITEM)["paused"] == 1
    item = library.call("metadata", ITEM)
    assert (item["files"], item["pending_tasks"]) == ([], True)
    assert library.call("uploader", ITEM) == "key@example.org"
    sandbox.set_faults({"archive": {"tasks_paused": False}})
    (file,) = library.call("metadata", ITEM)["files"]
    assert (file["name"], file["md5"]) == ("a.tar", md5(BODY, usedforsecurity=False).hexdigest())
    assert set(library.call("tasks", ITEM).values()) == {0}
    seen = [event["what"] for event in sandbox.archive()["log"]]
    assert seen == ["put", "tasks", "read", "read", "came", "read", "tasks"]
    assert sandbox.counters()["uploads"] == {"files": 1, "total": 1, "max": 1, "repeated": 0}


def test_the_metadata_are_replaced_or_the_library_hears_why_not(
    sandbox: Sandbox, library: Library
) -> None:
    library.call("put", "a.tar")
    sandbox.change_items({ITEM: {"tasks": "paused"}})
    assert library.call("set_metadata", ITEM, {"title": "new", "date": "2024"}) is None
    assert library.call("metadata", ITEM)["metadata"]["title"] == "ours"
    sandbox.change_items({ITEM: {"tasks": "done"}})
    metadata = library.call("metadata", ITEM)["metadata"]
    assert (metadata["title"], metadata["date"]) == ("new", "2024")
    assert metadata["subject"] == ["one", "two"]
    assert library.call("set_metadata", ITEM, {"title": "new"}) is None, "no changes is done"
    sandbox.set_faults({"archive": {"write_refused": 1}})
    assert library.call("set_metadata", ITEM, {"title": "newer"}).startswith("Denied: HTTP 403")


def test_the_tasks_api_that_says_nothing_is_trouble(sandbox: Sandbox, library: Library) -> None:
    for how, said in (("forbidden", "Denied: HTTP 403"), ("unavailable", "Unavailable")):
        sandbox.set_faults({"archive": {"tasks_api": how}})
        assert library.call("tasks", ITEM).startswith(said)


def test_an_item_that_others_take_or_make_dark(sandbox: Sandbox, library: Library) -> None:
    library.call("put", "a.tar")
    sandbox.change_items({ITEM: {"uploader": "cleo@example.org"}})
    assert library.call("uploader", ITEM) == "cleo@example.org"
    assert library.call("put", "b.tar").startswith("Denied: HTTP 403 AccessDenied")
    sandbox.change_items({ITEM: {"files": {"a.tar": {"md5": "0" * 32}}}})
    assert library.call("metadata", ITEM)["files"][0]["md5"] == "0" * 32
    sandbox.change_items({ITEM: {"dark": True}})
    assert library.call("metadata", ITEM)["is_dark"] is True
    with pytest.raises(OSError, match="400"):
        sandbox.change_items({ITEM: {"owner": "cleo"}})


def test_slow_down_is_the_librarys(sandbox: Sandbox, library: Library) -> None:
    sandbox.set_faults({"archive": {"slow_down": 1, "over_limit": 1}})
    assert library.call("put", "a.tar").startswith("SlowDown")
    assert [library.call("is_overloaded") for _ in range(2)] == [True, False]


def test_what_was_uploaded_is_downloaded_by_range(
    sandbox: Sandbox, library: Library, uploads: Path
) -> None:
    library.call("put", "folder/ä b.tar")
    assert (uploads / ITEM / "folder" / "ä b.tar").read_bytes() == BODY
    sandbox.set_faults({"archive": {"redirect_downloads": True}})
    url = f"{sandbox.url}/download/{ITEM}/folder/ä b.tar"
    with requests.Session() as http:
        http.trust_env = False
        part = http.get(url, headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, BODY[1000:2000])
        assert part.url.startswith(f"{sandbox.url}/1/items/{ITEM}/")
        head = http.head(url, allow_redirects=True)
        assert (head.headers["Content-Length"], head.content) == (str(len(BODY)), b"")
        past = http.get(url, headers={"Range": f"bytes={len(BODY)}-"})
        assert (past.status_code, past.content) == (416, b"")
    assert sandbox.counters()["endpoints"]["/download"] == 3
