"""Proxies of the environment: none sees what is for this machine, none sees a token."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.internet_archive.collections_made import ANN, make
from tests.crawling import IA_KEYS, PROJECT, Crawling

pytestmark = pytest.mark.slow

NAMES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
TOKEN = "MLY|1234567890123456|" + "0" * 32


class Proxy(ThreadingHTTPServer):
    """A proxy that notes what it is asked for, and reaches nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """All variables that programs read, and no exception from them."""
        url = f"http://127.0.0.1:{self.server_port}"
        return {**dict.fromkeys(NAMES, url), "no_proxy": "", "NO_PROXY": ""}


class _Handler(BaseHTTPRequestHandler):
    def _note(self) -> None:
        assert isinstance(self.server, Proxy)
        self.server.seen.append(f"{self.requestline}\n{self.headers}")
        self.send_error(502)

    do_GET = do_PUT = do_POST = do_CONNECT = _note  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_crawl_of_loopback_has_no_proxy(
    crawling: Crawling, sandbox: Sandbox, proxy: Proxy, host: str
) -> None:
    sandbox.reset()
    crawling.environment |= proxy.environment
    for name in ("MAPILLARY_API_URL", "ARCHIVE_ORG_URL"):
        crawling.environment[name] = sandbox.url.replace("127.0.0.1", host)
    result = crawling.run("-s", "API_PATIENCE=5", username="alice", quality="256")
    assert result.code == 0, result.output
    assert proxy.seen == []


def test_an_upload_to_loopback_has_no_proxy(
    crawling: Crawling, sandbox: Sandbox, proxy: Proxy
) -> None:
    sandbox.reset()
    make(crawling.store, 1)
    keys = {**IA_KEYS, "IA_PATIENCE": "1"}
    crawling.environment |= proxy.environment | keys
    result = crawling.scrapy("ia_upload", ANN.identifier)
    assert result.code == 0, result.output
    assert proxy.seen == []
    assert crawling.scrapy("ia_stats").code == 0
    assert proxy.seen == []


def test_the_demo_has_no_proxy(proxy: Proxy, tmp_path: Path) -> None:
    settings = {"PYTHONPATH": str(PROJECT), "SCRAPY_SETTINGS_MODULE": "mapillary_crawler.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "scrapy", "demo"], cwd=tmp_path,
        env={**os.environ, **settings, **proxy.environment, "API_PATIENCE": "5"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert proxy.seen == []


@pytest.fixture
def elsewhere(tmp_path: Path, proxy: Proxy) -> Crawling:
    """Return a crawl of a trusted API that is reached through the proxy alone."""
    crawling = Crawling(tmp_path / "store")
    crawling.environment |= proxy.environment | {
        "MAPILLARY_TOKEN": TOKEN,
        "MAPILLARY_TRUSTED_API_HOST": "api.example.test",
        "API_PATIENCE": "1",
    }
    return crawling


def test_plain_http_with_a_token_through_a_proxy_is_refused(
    elsewhere: Crawling, proxy: Proxy
) -> None:
    elsewhere.environment["MAPILLARY_API_URL"] = "http://api.example.test/v1"
    for command in (["crawl", "user", "-ausername=alice"], ["archive", "alice"], ["plan", "alice"]):
        refused = elsewhere.scrapy(*command)
        assert refused.code == 2, refused.output
        assert len(refused.lines) == 1
        assert "would see the token" in refused.output
        assert str(proxy.server_port) not in refused.output
    assert proxy.seen == []
    elsewhere.environment["NO_PROXY"] = elsewhere.environment["no_proxy"] = "api.example.test"
    allowed = elsewhere.run(username="alice", quality="256", check_ia=0)
    assert allowed.code == 7, allowed.output  # there is no such host
    assert proxy.seen == []


def test_plain_http_with_keys_through_a_proxy_is_refused(elsewhere: Crawling, proxy: Proxy) -> None:
    make(elsewhere.store, 1)
    elsewhere.environment |= IA_KEYS
    for name in ("ARCHIVE_ORG_URL", "ARCHIVE_ORG_S3_URL"):
        setting = f"{name}=http://archive.example.test"
        refused = elsewhere.scrapy("ia_upload", ANN.identifier, "-s", setting)
        assert refused.code == 2, refused.output
        assert "would see the keys" in refused.output
    assert proxy.seen == []


def test_https_is_asked_for_by_connect_and_shows_no_token(
    elsewhere: Crawling, proxy: Proxy
) -> None:
    elsewhere.environment["MAPILLARY_API_URL"] = "https://api.example.test"
    result = elsewhere.run(username="alice", quality="256", check_ia=0)
    assert result.code == 7, result.output
    assert proxy.seen
    for request in proxy.seen:
        assert request.startswith("CONNECT api.example.test:443 ")
        assert "OAuth" not in request
        assert "MLY" not in request
