"""The sandbox's archive.org, asked by the `requests` library."""

from __future__ import annotations

import hashlib
import time
from itertools import pairwise

import pytest
import requests

from mapillary_crawler.sandbox.process import Sandbox

KEYS = {"Authorization": "LOW key:secret", "x-archive-auto-make-bucket": "1"}


@pytest.fixture(scope="module")
def running():
    items = {
        "dark-item": {"is_dark": True},
        "taken": {"metadata": {"identifier": "taken", "uploader": "other@example.org"}},
        **{
            f"item-{number:04d}": {
                "metadata": {"identifier": f"item-{number:04d}", "mapillary_downloader": "0.1"},
                "item_size": number,
            }
            for number in range(1, 351)
        },
    }
    with Sandbox.running([], seed=3, items=items) as running:
        yield running


@pytest.fixture
def sandbox(running):
    running.reset()
    return running


@pytest.fixture
def http():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def put(http, sandbox, path, body, **headers):
    with http.put(f"{sandbox.url}/{path}", data=body, headers={**KEYS, **headers}) as answer:
        return answer


def metadata(http, sandbox, identifier):
    return http.get(f"{sandbox.url}/metadata/{identifier}").json()


def test_absent_and_dark_items(http, sandbox):
    assert metadata(http, sandbox, "nothing-here") == {}
    assert metadata(http, sandbox, "dark-item") == {"is_dark": True}
    assert put(http, sandbox, "dark-item/a", b"a").status_code == 403
    assert put(http, sandbox, "taken/a", b"a").status_code == 403


def test_the_first_put_makes_the_item(http, sandbox):
    body = b"tar" * 1_000_000
    answer = put(
        http,
        sandbox,
        "new-item/2024-01-15.tar",
        body,
        **{
            "Content-MD5": hashlib.md5(body).hexdigest(),
            "x-archive-meta00-subject": "one",
            "x-archive-meta01-subject": "uri(two%20words)",
            "x-archive-meta00-mapillary--downloader": "0.1",
        },
    )
    assert answer.status_code == 200
    item = metadata(http, sandbox, "new-item")
    assert item["metadata"]["subject"] == ["one", "two words"]
    assert item["metadata"]["mapillary_downloader"] == "0.1"
    assert item["metadata"]["mediatype"] == "data"
    (file,) = item["files"]
    assert (file["name"], file["size"], file["md5"]) == (
        "2024-01-15.tar",
        str(len(body)),
        hashlib.md5(body).hexdigest(),
    )
    (record,) = sandbox.archive()["puts"]
    assert record["headers"]["x-archive-meta00-subject"] == "one"
    assert (record["status"], record["read"], record["size"]) == (200, True, len(body))


def test_wrong_md5_and_missing_keys_are_refused(http, sandbox):
    wrong = put(http, sandbox, "new-item/a", b"a", **{"Content-MD5": "0" * 32})
    assert (wrong.status_code, b"BadDigest" in wrong.content) == (400, True)
    assert http.put(f"{sandbox.url}/new-item/a", data=b"a").status_code == 403
    assert put(http, sandbox, "_bad/a", b"a").status_code == 400
    assert metadata(http, sandbox, "new-item") == {}


def test_files_come_when_their_task_is_done(http, sandbox):
    sandbox.set_faults({"archive": {"task_seconds": 0.4}})
    put(http, sandbox, "slow-item/a", b"a")
    item = metadata(http, sandbox, "slow-item")
    assert (item["files"], item["pending_tasks"], len(item["tasks"])) == ([], True, 1)
    tasks = {"identifier": "slow-item", "summary": "1"}
    summary = http.get(f"{sandbox.url}/services/tasks.php", params=tasks, headers=KEYS).json()
    assert summary["value"]["summary"]["queued"] == 1
    time.sleep(0.5)
    item = metadata(http, sandbox, "slow-item")
    assert ([file["name"] for file in item["files"]], "pending_tasks" in item) == (["a"], False)


@pytest.mark.parametrize(("fault", "names"), [("lost", []), ("task_error", []), ("altered", ["a"])])
def test_accepted_files_may_still_come_to_harm(http, sandbox, fault, names):
    sandbox.set_faults({"archive": {fault: ["/harmed/a"]}})
    assert put(http, sandbox, "harmed/a", b"a").status_code == 200
    item = metadata(http, sandbox, "harmed")
    assert [file["name"] for file in item["files"]] == names
    assert all(file["md5"] != hashlib.md5(b"a").hexdigest() for file in item["files"])
    assert ("pending_tasks" in item) == (fault == "task_error")


def account(http, sandbox, **headers):
    return http.get(f"{sandbox.url}/?check_auth=1", headers=headers).json()


def test_check_auth_says_whose_keys_they_are(http, sandbox):
    keys = {"Authorization": "LOW key:secret"}
    assert account(http, sandbox, **keys) == {
        "authorized": True,
        "username": "key@example.org",
        "itemname": "@key",
        "screenname": "key",
    }
    assert "You need to send" in account(http, sandbox)["error"]
    for refusal, said in (("keys", "does not exist"), ("account", "locked")):
        sandbox.set_faults({"archive": {"refusal": refusal}})
        assert said in account(http, sandbox, **keys)["error"]
        assert put(http, sandbox, "item/a", b"a").status_code == 403
    for refusal in ("item", "collection", "spam"):
        sandbox.set_faults({"archive": {"refusal": refusal}})
        assert account(http, sandbox, **keys)["authorized"] is True


def test_slow_down_is_over_when_check_limit_says_so(http, sandbox):
    sandbox.set_faults({"archive": {"slow_down": 1.0, "over_limit": 2}})
    answer = put(http, sandbox, "new-item/a", b"a")
    assert (answer.status_code, b"SlowDown" in answer.content) == (503, True)
    limits = [http.get(f"{sandbox.url}/?check_limit=1").json()["over_limit"] for _ in range(3)]
    assert limits == [1, 1, 0]


def test_a_reset_in_the_body_leaves_nothing(http, sandbox):
    sandbox.set_faults({"archive": {"reset_in_upload": ["/new-item/a"]}})
    with pytest.raises(requests.ConnectionError):
        put(http, sandbox, "new-item/a", b"a" * 5_000_000)
    assert metadata(http, sandbox, "new-item") == {}
    (record,) = sandbox.archive()["puts"]
    assert (record["status"], record["read"]) == (None, False)


def test_faults_strike_the_same_uploads_again(http, sandbox):
    def statuses():
        sandbox.reset()
        sandbox.set_faults({"archive": {"slow_down": 0.4}})
        return [put(http, sandbox, f"new-item/{n}", b"a").status_code for n in range(40)]

    first = statuses()
    assert statuses() == first
    assert 5 < first.count(503) < 30


def test_scrape_gives_everything_once_by_cursor(http, sandbox):
    url, found, cursors = f"{sandbox.url}/services/search/v1/scrape", [], []
    query = {"q": "mapillary_downloader:*", "fields": "identifier,item_size", "count": "100"}
    while True:
        page = http.post(url, params=query).json()
        assert page["total"] == 350
        found += page["items"]
        if "cursor" not in page:
            break
        cursors.append(page["cursor"])
        query["cursor"] = page["cursor"]
    assert len(cursors) == 3
    assert all(one["identifier"] < other["identifier"] for one, other in pairwise(found))
    assert [result["item_size"] for result in found] == list(range(1, 351))
    assert "error" in http.post(url, params={**query, "cursor": "forged"}).json()
    assert "error" in http.post(url, params={"q": "mapillary_downloader:*", "count": "5"}).json()
