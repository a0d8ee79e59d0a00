"""The sandbox over the network, in a process of its own."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from mapillary_crawler.sandbox.process import Sandbox

pytestmark = pytest.mark.slow

USERS = [{"username": "alice", "images": 120, "dead": 2, "hostile": 30, "panoramas": 0.3}]
ITEMS = {"mapillary-alice-2048": {"metadata": {"identifier": "mapillary-alice-2048"}}}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=3, items=ITEMS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    running.reset()
    yield running
    running.reset()


def get(
    sandbox: Sandbox, url: str, *, timeout: float = 20, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    parts = urlsplit(url)
    host = parts.hostname or "127.0.0.1"
    connection = http.client.HTTPConnection(host, urlsplit(sandbox.url).port, timeout=timeout)
    try:
        target = url.removeprefix(f"{parts.scheme}://{parts.netloc}")
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def graph(sandbox: Sandbox, target: str) -> Any:
    status, body, _ = get(sandbox, target, Authorization=f"OAuth {sandbox.token}")
    assert status == 200, body
    return json.loads(body)


def rows(sandbox: Sandbox, quality: str = "256") -> list[dict[str, Any]]:
    field = f"thumb_{quality}_url"
    found: list[dict[str, Any]] = graph(
        sandbox, f"/images?creator_username=alice&fields=captured_at,{field}"
    )["data"]
    return [{**row, "url": row[field]} for row in found if field in row]


def test_every_image_arrives_as_the_catalogue_says(sandbox: Sandbox) -> None:
    listed = rows(sandbox)
    images = list(sandbox.catalogue.user("alice").images())
    assert [row["id"] for row in listed] == [image.image_id for image in images]
    for row, image in zip(listed, images, strict=True):
        status, body, headers = get(sandbox, row["url"])
        if image.dead:
            assert status == 404
        else:
            assert status == 200
            assert body == sandbox.catalogue.body(image, "256")
            assert headers["Content-Type"] == "image/jpeg"
            assert int(headers["Content-Length"]) == len(body)
    counters = sandbox.counters(images=True)
    assert counters["images"]["requests"] == {image.image_id: 1 for image in images}
    assert (counters["images"]["total"], counters["images"]["max"]) == (120, 1)
    assert counters["answers"] == {"api 200": 1, "cdn 200": 118, "cdn 404": 2}
    assert counters["cdn_authorization"] == 0


def test_originals_are_the_same_in_both_processes(sandbox: Sandbox) -> None:
    row = rows(sandbox, "original")[0]
    image = sandbox.catalogue.find(row["id"])
    assert image is not None
    assert get(sandbox, row["url"])[1] == sandbox.catalogue.body(image, "original")


def test_the_counters_tell_what_a_crawler_must_not_do(sandbox: Sandbox) -> None:
    url = rows(sandbox)[0]["url"]
    get(sandbox, url, Authorization="OAuth secret")
    get(sandbox, url)
    get(sandbox, "/images?creator_username=alice&access_token=secret")
    counters = sandbox.counters()
    assert counters["cdn_authorization"] == 1
    assert counters["query_tokens"] == 1
    assert counters["images"] == {"ids": 1, "total": 2, "max": 2, "repeated": 1}
    assert counters["endpoints"] == {"/images": 2, "cdn": 2}
    sandbox.reset()
    assert sandbox.counters()["requests"] == {}


def test_requests_in_flight_are_counted_by_surface(sandbox: Sandbox) -> None:
    urls = [row["url"] for row in rows(sandbox)[:12]]
    sandbox.set_faults({"cdn": {"latency_ms": 400}, "api": {"latency_ms": 400}})
    with ThreadPoolExecutor(12) as threads:
        answers = [threads.submit(get, sandbox, url) for url in urls]
        answers += [threads.submit(get, sandbox, "/images") for _ in range(3)]
        for answer in answers:
            answer.result()
    counters = sandbox.counters()
    assert counters["max_in_flight"]["cdn"] > 3
    assert 1 <= counters["max_in_flight"]["api"] <= 3
    assert counters["in_flight"] == {"api": 0, "cdn": 0, "archive": 0}


def test_a_client_that_leaves_is_no_longer_in_flight(sandbox: Sandbox) -> None:
    url = rows(sandbox)[0]["url"]
    for fault in ("stall", "stall_body"):
        sandbox.set_faults({"cdn": {"stall": 0, "stall_body": 0, fault: 1}})
        with pytest.raises(TimeoutError):
            get(sandbox, url, timeout=0.3)
    deadline = time.monotonic() + 10
    while sandbox.counters()["in_flight"]["cdn"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sandbox.counters()["in_flight"]["cdn"] == 0


def test_broken_connections(sandbox: Sandbox) -> None:
    row = rows(sandbox)[0]
    body = get(sandbox, row["url"])[1]
    sandbox.set_faults({"cdn": {"cut": 1}})
    with pytest.raises(http.client.IncompleteRead) as cut:
        get(sandbox, row["url"])
    assert cut.value.partial == body[: len(body) // 2]
    for faults in ({"cut": 0, "down": True}, {"down": False, "reset": 1}):
        sandbox.set_faults({"cdn": faults})
        for _ in range(5):
            with pytest.raises(ConnectionResetError):
                get(sandbox, row["url"])
    sandbox.set_faults({"cdn": {"reset": 0, "no_length": 1}})
    status, whole, headers = get(sandbox, row["url"])
    assert (status, whole, headers["Content-Length"]) == (200, body, None)


def test_a_block_shows_as_a_redirect_to_a_page(sandbox: Sandbox) -> None:
    sandbox.set_faults({"api": {"redirect": 1}})
    status, _, headers = get(sandbox, "/images?creator_username=alice")
    assert status == 302
    sandbox.set_faults({"api": {"redirect": 0}})
    status, body, headers = get(sandbox, headers["Location"])
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert b"Log in" in body


def test_a_clock_that_is_ahead_or_behind(sandbox: Sandbox) -> None:
    def ahead() -> float:
        date = parsedate_to_datetime(str(get(sandbox, "/images")[2]["Date"]))
        return date.timestamp() - time.time()

    assert abs(ahead()) < 60
    for seconds in (3600, -7200):
        sandbox.set_faults({"api": {"clock": seconds}})
        assert abs(ahead() - seconds) < 60


def test_short_lives_and_vanished_images(sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"expired": 1}})
    assert get(sandbox, rows(sandbox)[0]["url"])[:2] == (403, b"URL signature expired")
    sandbox.set_faults({"cdn": {"expired": 0, "altered": 1}})
    assert get(sandbox, rows(sandbox)[0]["url"])[:2] == (403, b"Bad URL hash")
    sandbox.set_faults({"cdn": {"altered": 0}})
    row = rows(sandbox)[0]
    sandbox.set_faults({"api": {"vanish": [row["id"]]}})
    for status in (404, 410, 200):
        sandbox.set_faults({"cdn": {"gone_status": status}})
        assert get(sandbox, row["url"])[0] == status


def test_hosts_differ_per_response(sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"hosts": ["127.0.0.1", "localhost"]}})
    urls = [rows(sandbox)[0]["url"] for _ in range(4)]
    assert {urlsplit(url).hostname for url in urls} == {"127.0.0.1", "localhost"}
    assert {urlsplit(url).path for url in urls} == {urlsplit(urls[0]).path}
    for url in urls:
        assert get(sandbox, url)[0] == 200


def test_archive_org_knows_its_items(sandbox: Sandbox) -> None:
    status, body, _ = get(sandbox, "/metadata/mapillary-alice-2048")
    assert json.loads(body)["metadata"]["identifier"] == "mapillary-alice-2048"
    status, body, _ = get(sandbox, "/metadata/absent")
    assert (status, json.loads(body)) == (200, {})


def test_faults_are_shown_and_go_back_to_those_of_the_start(sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"reset": 0.25}})
    assert sandbox.faults()["cdn"]["reset"] == 0.25
    sandbox.reset()
    assert sandbox.faults()["cdn"]["reset"] == 0
    with pytest.raises(OSError, match="400"):
        sandbox.set_faults({"cdn": {"rest": 1}})


def test_it_can_be_started_again_with_faults_and_ends_with_its_context() -> None:
    with Sandbox.running([{"username": "a"}], faults={"api": {"unknown_user": "error"}}) as first:
        assert first.faults()["api"]["unknown_user"] == "error"
        assert first.environment["MAPILLARY_API_URL"] == first.url
        with Sandbox.running([{"username": "b"}]) as second:
            assert second.url != first.url
    with pytest.raises(OSError, match="refused"):
        first.counters()


def test_wrong_users_and_faults_are_named_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="imags"), Sandbox.running([{"username": "a", "imags": 1}]):
        pass
    with pytest.raises(ValueError, match="rest"), Sandbox.running([], faults={"cdn": {"rest": 1}}):
        pass


def test_it_ends_when_its_parent_is_gone() -> None:
    program = (
        "import os, sys\n"
        "from mapillary_crawler.sandbox.process import Sandbox\n"
        "with Sandbox.running([{'username': 'a'}]) as sandbox:\n"
        "    print(sandbox.url, flush=True)\n"
        "    os._exit(1)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    address = urlsplit(finished.stdout.strip())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=5)
        try:
            connection.connect()
        except ConnectionRefusedError:
            return
        finally:
            connection.close()
        time.sleep(0.05)
    pytest.fail("the sandbox outlives the process that started it")
