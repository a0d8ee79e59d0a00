"""Tasks, metadata writes and changes by others at the sandbox's archive.org, without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mapillary_crawler.sandbox.answer import Answer, Request
from mapillary_crawler.sandbox.catalogue import Catalogue
from mapillary_crawler.sandbox.server import Server
from mapillary_crawler.sandbox.weather import Delivery

KEYS = {"Authorization": "LOW key:secret", "x-archive-auto-make-bucket": "1"}
FORM = {"access": "key", "secret": "secret", "-target": "metadata", "priority": "-5"}


class Archive:
    """Asks a server's archive.org as clients do."""

    def __init__(self, uploads: Path | None = None, **faults: Any) -> None:
        catalogue = Catalogue([], 1)
        self.server = Server(catalogue, faults={"archive": faults}, uploads=uploads)
        self.archive = self.server.archive

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        delivery: Delivery = Delivery.WHOLE,
        **query: str,
    ) -> Answer:
        target = f"{path}?{urlencode(query)}"
        request = Request(
            method, target, path, query, KEYS if headers is None else headers, body, "http://here"
        )
        if method == "PUT":
            request = asyncio.run(self.archive.uploads.receive(request, _stream(body)))
        nth = self.server.counters.count("archive", request, target)
        since = len(self.archive.log.events)
        answer = self.archive.answer(request, nth)
        self.archive.note(request, answer.status, delivery, since)
        return answer

    def put(self, path: str, body: bytes = b"tar", **headers: str) -> int:
        return self.ask(path, "PUT", body, {**KEYS, **headers}).status

    def metadata(self, identifier: str = "item") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask(f"/metadata/{identifier}").body)
        return found

    def files(self) -> dict[str, str]:
        return {file["name"]: file["md5"] for file in self.metadata()["files"]}

    def write(self, *patch: dict[str, Any], **form: str) -> tuple[int, dict[str, Any]]:
        body = urlencode({**FORM, "-patch": json.dumps(patch), **form}).encode()
        answer = self.ask("/metadata/item", "POST", body, {})
        return answer.status, json.loads(answer.body)

    def tasks(self) -> Any:
        answer = self.ask("/services/tasks.php", identifier="item", summary="1", catalog="1")
        return json.loads(answer.body)["value"]

    def control(self, **changes: Any) -> None:
        self.archive.change({"item": changes})

    def happened(self) -> list[tuple[str, str]]:
        return [(event.what, event.name) for event in self.archive.log.events]


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    for first in range(0, len(body), 1000):
        yield body[first : first + 1000]


def title(text: str) -> dict[str, Any]:
    return {"op": "add", "path": "/title", "value": text}


def test_paused_tasks_wait_until_they_are_released_or_done() -> None:
    archive = Archive()
    archive.put("/item/a")
    archive.control(tasks="paused")
    archive.put("/item/b")
    assert set(archive.files()) == {"a"}
    assert archive.metadata()["pending_tasks"] is True
    assert archive.tasks()["summary"] == {"queued": 0, "running": 0, "error": 0, "paused": 1}
    archive.control(tasks="released")
    assert set(archive.files()) == {"a", "b"}
    assert "pending_tasks" not in archive.metadata()
    slow = Archive(task_seconds=3600, task_error=["/item/b"])
    slow.put("/item/a")
    slow.put("/item/b")
    assert slow.tasks()["summary"] == {"queued": 1, "running": 0, "error": 1, "paused": 0}
    assert slow.files() == {}
    slow.control(tasks="done")
    assert set(slow.files()) == {"a", "b"}


def test_tasks_of_all_items_wait_and_metadata_may_hide_them() -> None:
    archive = Archive(tasks_paused=True, tasks_hidden=True)
    archive.put("/item/a")
    assert archive.metadata()["files"] == []
    assert "tasks" not in archive.metadata()
    (row,) = archive.tasks()["catalog"]
    assert (row["cmd"], row["status"], row["args"]) == ("archive.php", "paused", {"file": "a"})


def test_jitter_is_from_the_seed_and_keeps_the_order_of_an_item() -> None:
    def ends() -> list[float]:
        archive = Archive(task_seconds=100, task_jitter=1000)
        for number in range(5):
            archive.put(f"/item-{number}/a")
        found = archive.archive.items.all().values()
        return [item.tasks[0].done_at for item in found]

    one, other = ends(), ends()
    assert max(one) - min(one) > 50
    shift = other[0] - one[0]
    assert [end - shift for end in other] == pytest.approx(one, abs=1)
    archive = Archive(task_seconds=100, task_jitter=1000)
    for number in range(20):
        archive.put(f"/item/{number}")
    item = archive.archive.items.find("item")
    assert item is not None
    ends_of_one = [task.done_at for task in item.tasks]
    assert ends_of_one == sorted(ends_of_one)


@pytest.mark.parametrize(("how", "status"), [("forbidden", 403), ("unavailable", 503)])
def test_the_tasks_api_may_say_nothing(how: str, status: int) -> None:
    archive = Archive(tasks_api=how)
    assert archive.ask("/services/tasks.php", identifier="item", summary="1").status == status
    assert archive.happened() == []
    assert Archive().ask("/services/tasks.php", headers={}, identifier="item").status == 401


def test_a_lost_file_has_a_task_and_then_is_nowhere() -> None:
    archive = Archive(lost=["/item/a"], tasks_paused=True)
    assert archive.put("/item/a") == 200
    assert archive.metadata()["pending_tasks"] is True
    archive.server.chance.faults = archive.server.chance.faults.merged(
        {"archive": {"tasks_paused": False}}
    )
    assert archive.metadata()["files"] == []
    assert "tasks" not in archive.metadata()
    assert archive.happened()[:4] == [("put", "a"), ("read", ""), ("lost", "a"), ("read", "")]


def test_a_metadata_write_replaces_tags() -> None:
    archive = Archive(write_seconds=3600)
    archive.put("/item/a", **{"x-archive-meta00-subject": "one", "x-archive-meta01-subject": "two"})
    status, said = archive.write(
        title("new"), {"op": "replace", "path": "/subject/1", "value": "three"}
    )
    assert (status, said["success"]) == (200, True)
    assert said["log"].endswith(f"/{said['task_id']}")
    assert "title" not in archive.metadata()["metadata"], "not before its task is done"
    (row,) = archive.metadata()["tasks"]
    assert (row["cmd"], row["task_id"]) == ("modify_xml.php", said["task_id"])
    archive.control(tasks="done")
    metadata = archive.metadata()["metadata"]
    assert (metadata["title"], metadata["subject"]) == ("new", ["one", "three"])
    assert archive.write(title("new")) == (
        400,
        {"success": False, "error": "no changes to _meta.xml"},
    )
    whats = [what for what, _ in archive.happened()]
    assert (whats.count("write"), whats.count("written")) == (1, 1)


def test_multiple_targets_are_taken_for_metadata_alone() -> None:
    archive = Archive()
    archive.put("/item/a")
    for target, status in (("metadata", 200), ("files/a", 400)):
        changes = json.dumps([{"target": target, "patch": [title("new")]}])
        assert archive.write(**{"-changes": changes})[0] == status
    assert archive.metadata()["metadata"]["title"] == "new"


@pytest.mark.parametrize(
    ("patch", "form", "status", "said"),
    [
        (title("x"), {"access": ""}, 403, "Unauthorized"),
        (title("x"), {"access": "other"}, 403, "Unauthorized"),
        (title("x"), {"-target": "files/a"}, 400, "no target but metadata"),
        (title("x"), {"-patch": "{"}, 400, "could not apply"),
        (title("x"), {"-patch": "[1]"}, 400, "could not apply"),
        (title("x"), {"-patch": "5"}, 400, "could not apply"),
        (title("x"), {"-patch": '[{"op": "replace", "path": "", "value": 1}]'}, 400, "tags"),
        ({"op": "remove", "path": "/title"}, {}, 400, "could not apply"),
        ({"op": "test", "path": "/mediatype", "value": "texts"}, {}, 400, "could not apply"),
        ({"op": "replace", "path": "/mediatype", "value": "texts"}, {}, 400, "cannot be changed"),
        ({"op": "replace", "path": "/mediatype", "value": "data"}, {}, 400, "no changes"),
    ],
)
def test_a_metadata_write_that_is_refused(
    patch: dict[str, Any], form: dict[str, str], status: int, said: str
) -> None:
    archive = Archive()
    archive.put("/item/a")
    before = archive.metadata()
    found, answer = archive.write(patch, **form)
    assert (found, answer["success"]) == (status, False)
    assert said in answer["error"]
    assert archive.metadata() == before


def test_metadata_writes_come_to_harm() -> None:
    paths = ["/metadata/item"]
    assert Archive().write(title("x"))[0] == 403, "no such item"
    for fault, status in (("write_refused", 403), ("write_lost", 200), ("write_error", 200)):
        archive = Archive(**{fault: paths})
        archive.put("/item/a")
        assert archive.write(title("x"))[0] == status
        assert "title" not in archive.metadata()["metadata"]
        assert ("tasks" in archive.metadata()) == (fault == "write_error")
        assert archive.server.chance.dealt[f"archive.{fault}"] == 1
    archive = Archive(write_refused=0.5)
    archive.put("/item/a")
    statuses = [archive.write(title(str(number)))[0] for number in range(30)]
    assert 5 < statuses.count(403) < 25


def test_writes_are_carried_out_in_their_order_as_long_as_they_fit() -> None:
    archive = Archive()
    archive.put("/item/a")
    archive.control(tasks="paused", metadata={"title": "ours"})
    assert archive.write(title("x"))[0] == archive.write(title("y"))[0] == 200
    assert archive.metadata()["metadata"]["title"] == "ours"
    archive.control(tasks="released")
    assert archive.metadata()["metadata"]["title"] == "y"
    archive.control(tasks="paused")
    assert archive.write({"op": "remove", "path": "/title"})[0] == 200
    archive.control(metadata={"title": None}, tasks="released")
    assert archive.tasks()["summary"]["error"] == 1, "somebody removed it before"


def test_an_item_is_taken_by_somebody_else_while_we_work() -> None:
    archive = Archive(taken_after=2)
    statuses = [archive.put(f"/item/{name}") for name in "abc"]
    assert statuses == [200, 200, 403]
    assert archive.metadata()["metadata"]["uploader"] == "somebody@example.org"
    assert archive.write(title("x"))[0] == 403
    assert archive.put("/other/a") == 200, "each item by itself"


def test_an_item_is_made_dark_and_shows_nothing() -> None:
    archive = Archive(dark_after=1)
    archive.put("/item/a")
    dark = archive.metadata()
    assert (dark["is_dark"], "metadata" in dark, "files" in dark) == (True, False, False)
    assert archive.put("/item/b") == 403
    assert archive.write(title("x")) == (403, {"success": False, "error": "Item not available"})
    archive.control(dark=False)
    assert (set(archive.files()), "is_dark" in archive.metadata()) == ({"a"}, False)


def test_a_file_is_replaced_once_it_was_shown() -> None:
    archive = Archive(replaced=["/item/a"], replaced_after=2)
    archive.put("/item/a")
    archive.put("/item/b")
    shown = [archive.files() for _ in range(4)]
    assert shown[0] == shown[1] != shown[2] == shown[3]
    assert shown[0]["b"] == shown[3]["b"]
    assert archive.happened().count(("changed", "files/a")) == 1


def test_others_change_an_item_at_run_time() -> None:
    archive = Archive()
    archive.put("/item/a")
    archive.put("/item/b")
    archive.control(
        uploader="cleo@example.org",
        metadata={"title": "theirs", "collection": None},
        files={"a": {"md5": "f" * 32}, "b": None, "new": {"md5": "0" * 32, "size": "7"}},
    )
    item = archive.metadata()
    assert item["metadata"]["uploader"] == "cleo@example.org"
    assert (item["metadata"]["title"], "collection" in item["metadata"]) == ("theirs", False)
    assert archive.files() == {"a": "f" * 32, "new": "0" * 32}
    assert (item["files_count"], item["item_size"]) == (2, 3 + 7)
    assert archive.put("/item/a") == 403
    archive.archive.change({"not-there-yet": {"files": {}}})
    assert archive.put("/not-there-yet/a") == 403
    assert ("changed", "files/b") in archive.happened()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ([], "items are"),
        ({"item": 1}, "items are"),
        ({"item": {"owner": "x"}}, "owner"),
        ({"item": {"dark": 1}}, "dark"),
        ({"item": {"files": {"a": "md5"}}}, "file a"),
        ({"item": {"tasks": "stopped"}}, "paused, released, done"),
    ],
)
def test_a_change_that_cannot_be_is_named(changes: Any, named: str) -> None:
    archive = Archive()
    with pytest.raises(ValueError, match=named):
        archive.archive.change(changes)
    assert archive.archive.items.all() == {}


def test_the_log_has_everything_in_its_order_and_uploads_are_counted() -> None:
    archive = Archive(tasks_paused=True, slow_down=["/item/b"])
    for path in ("/item/a", "/item/a", "/item/b", "/other/a"):
        archive.put(path)
    archive.ask("/metadata/item", delivery=Delivery.CUT)
    archive.ask("/metadata/item/metadata/uploader")
    archive.tasks()
    events = archive.archive.report()["log"]
    assert [(event["what"], event["identifier"], event["name"]) for event in events] == [
        ("put", "item", "a"),
        ("put", "item", "a"),
        ("put", "other", "a"),
        ("read", "item", ""),
        ("read", "item", "metadata/uploader"),
        ("tasks", "item", ""),
    ]
    assert [event["read"] for event in events] == [True, True, True, False, True, True]
    report = archive.archive.report()
    assert report["accepted"] == {"/item/a": 2, "/other/a": 1}
    assert [put["accepted"] for put in report["puts"]] == [True, True, False, True]
    summary = {"files": 2, "total": 3, "max": 2, "repeated": 1}
    assert archive.archive.log.summary() == summary


BODY = bytes(range(256)) * 20


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=100-2099", 206, slice(100, 2100)),
        ("bytes=5000-", 206, slice(5000, None)),
        ("bytes=5000-9999999", 206, slice(5000, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=-9999999", 206, slice(0, None)),
        ("bytes=5120-", 416, slice(0, 0)),
        ("bytes=-0", 416, slice(0, 0)),
        ("bytes=-", 200, slice(None)),
        ("bytes=9-3", 200, slice(None)),
        ("bytes=0-1,5-6", 200, slice(None)),
        ("lines=0-1", 200, slice(None)),
    ],
)
def test_downloads_by_range(tmp_path: Path, asked: str, status: int, part: slice) -> None:
    archive = Archive(tmp_path)
    archive.put("/item/folder/a.tar", BODY)
    answer = archive.ask("/download/item/folder/a.tar", headers={"Range": asked})
    assert (answer.status, answer.body) == (status, BODY[part])
    first, last, _ = part.indices(len(BODY))
    expected = {200: None, 206: f"bytes {first}-{last - 1}/5120", 416: "bytes */5120"}
    assert answer.headers.get("Content-Range") == expected[status]
    assert (tmp_path / "item" / "folder" / "a.tar").read_bytes() == BODY


def test_if_range_holds_as_long_as_the_file_does(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.put("/item/a", BODY)
    whole = archive.ask("/download/item/a")
    assert (whole.status, whole.headers["Accept-Ranges"]) == (200, "bytes")

    def part(condition: str) -> Answer:
        return archive.ask(
            "/download/item/a", headers={"Range": "bytes=0-9", "If-Range": condition}
        )

    for validator in ("ETag", "Last-Modified"):
        assert part(whole.headers[validator]).status == 206
    assert part('"other"').status == 200
    archive.control(files={"a": {"md5": "0" * 32}})
    changed = part(whole.headers["ETag"])
    assert (changed.status, len(changed.body)) == (200, len(BODY))
    assert changed.body != BODY, "another md5 has other bytes"


def test_what_cannot_be_downloaded(tmp_path: Path) -> None:
    archive = Archive(tmp_path, slow_down=["/item/refused"], lost=["/item/lost"])
    for name in ("a", "refused", "lost"):
        archive.put(f"/item/{name}", BODY)
    archive.control(tasks="paused")
    archive.put("/item/a", b"newer")
    archive.put("/item/late", BODY)
    assert archive.ask("/download/item/a").body == BODY
    for path in ("/item/late", "/item/refused", "/item/lost", "/nothing/a"):
        assert archive.ask(f"/download{path}").status == 404
    archive.control(tasks="released")
    assert archive.ask("/download/item/a").body == b"newer"
    archive.control(dark=True)
    assert archive.ask("/download/item/a").status == 403
    assert sorted(path.name for path in tmp_path.iterdir()) == ["item"], "nothing is left over"
    without = Archive()
    without.put("/item/a")
    assert without.ask("/download/item/a").status == 404


def test_no_upload_leaves_its_folder(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "kept")
    for path in ("/item/../../outside", "/item/./a", "/item//a", "/item/", "/item"):
        assert archive.put(path) == 400
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert list((tmp_path / "kept").iterdir()) == []


def test_downloads_may_be_redirected_and_ranges_ignored(tmp_path: Path) -> None:
    archive = Archive(tmp_path, redirect_downloads=True, range_ignored=["/download/item/a"])
    archive.put("/item/a", BODY)
    there = archive.ask("/download/item/a")
    assert there.status == 302
    assert there.headers["Location"].startswith("http://here/1/items/item/a")
    answer = archive.ask("/1/items/item/a", headers={"Range": "bytes=0-9"})
    assert (answer.status, answer.body) == (200, BODY)
    assert archive.server.chance.dealt["archive.range_ignored"] == 1
