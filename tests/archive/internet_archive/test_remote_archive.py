"""archive.org over a pipe, against the sandbox's."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from mapillary_crawler.archive.internet_archive.body import Body, UnreadableFile
from mapillary_crawler.archive.internet_archive.carrier import told
from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.archive.internet_archive.remote_archive import RemoteArchive, trouble_of
from mapillary_crawler.archive.internet_archive.trouble import (
    BadDigest,
    CredentialsMissing,
    Denied,
    NoKeys,
    SlowDown,
    Trouble,
    Unavailable,
)
from mapillary_crawler.collection.outcome import ArgumentRefused, RunStopped
from mapillary_crawler.sandbox.process import Sandbox

pytestmark = pytest.mark.slow

ITEM = "mapillary-ann-original"


@pytest.fixture(scope="module")
def running():
    with Sandbox.running([], seed=3) as running:
        yield running


@pytest.fixture
def sandbox(running):
    running.reset()
    return running


@pytest.fixture
def options(sandbox):
    return read_options(
        {**DEFAULTS, "ARCHIVE_ORG_URL": sandbox.url, "ARCHIVE_ORG_S3_URL": sandbox.url}
    )


@pytest.fixture
def keys(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IA_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("IA_SECRET_ACCESS_KEY", "SECRET")


@pytest.fixture
def archive(options, keys):
    with closing(RemoteArchive(options)) as archive:
        yield archive


def put(archive: RemoteArchive, path: Path, name: str = "a.tar") -> None:
    with Body(path, lambda _: None) as body:
        archive.put(ITEM, name, body, metadata={"title": ["Ann's"]}, headers={})


def test_a_file_is_put_and_seen(archive, sandbox, tmp_path):
    path = tmp_path / "a file"
    path.write_bytes(b"content")
    put(archive, path)
    assert archive.metadata(ITEM)["metadata"]["title"] == "Ann's"
    assert archive.tasks(ITEM) == {"queued": 0, "running": 0, "error": 0, "paused": 0}
    assert archive.is_overloaded() is False
    archive.set_metadata(ITEM, {"description": "said anew"})
    assert archive.metadata(ITEM)["metadata"]["description"] == "said anew"
    (sent,) = sandbox.archive()["puts"]
    assert (sent["name"], sent["size"]) == ("a.tar", 7)
    assert sent["headers"]["authorization"] == "LOW key:SECRET"


def test_the_bytes_that_were_sent_are_told(options, keys, sandbox, tmp_path):
    (tmp_path / "a").write_bytes(bytes(3_000_000))
    read: list[int] = []
    with closing(RemoteArchive(options, read.append)) as archive:
        put(archive, tmp_path / "a")
    assert sum(read) == 3_000_000


def test_no_keys_are_found_before_any_request(options, monkeypatch, tmp_path, sandbox):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("IA_ACCESS_KEY_ID", "IA_SECRET_ACCESS_KEY", "IA_CONFIG_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    with closing(RemoteArchive(options)) as archive, pytest.raises(NoKeys, match="no keys"):
        archive.check_keys()
    monkeypatch.setenv("IA_ACCESS_KEY_ID", "key")
    with closing(RemoteArchive(options)) as archive, pytest.raises(CredentialsMissing):
        archive.check_keys()
    assert sandbox.counters()["requests"] == {}


@pytest.mark.parametrize(
    ("faults", "kind", "words"),
    [
        ({"refusal": "item"}, Denied, "privileges to write to this item"),
        ({"slow_down": 1.0}, SlowDown, "503 SlowDown"),
        ({"bad_digest": 1.0}, BadDigest, "BadDigest"),
        ({"reset_in_upload": 1.0}, Unavailable, "the connection failed"),
    ],
)
def test_trouble_comes_over_the_pipe_as_it_is(archive, sandbox, tmp_path, faults, kind, words):
    (tmp_path / "a").write_bytes(b"content")
    sandbox.set_faults({"archive": faults})
    with pytest.raises(kind, match=words) as raised:
        put(archive, tmp_path / "a")
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    "error",
    [
        Denied("no", 403, explained=True),
        Unavailable("later", "120"),
        SlowDown("later", None),
        BadDigest("damaged"),
        NoKeys("none"),
        CredentialsMissing("half"),
        ArgumentRefused("a proxy"),
        UnreadableFile("gone"),
        Trouble("other"),
    ],
)
def test_what_is_told_of_an_error_is_the_error(error):
    back = trouble_of(**told(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_a_file_that_is_not_there_is_no_trouble_of_archive_org(archive, tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    with Body(tmp_path / "a", lambda _: None) as body:
        (tmp_path / "a").unlink()
        with pytest.raises(UnreadableFile, match="cannot be read: No such file"):
            archive.put(ITEM, "a", body, metadata={}, headers={})


def test_a_process_that_dies_is_started_again(archive, tmp_path):
    archive.check_keys()
    os.kill(archive._process.pid, signal.SIGKILL)
    archive._process.wait()
    assert archive.metadata(ITEM + "-2") == {}


def test_a_process_that_dies_while_it_sends_is_trouble_that_passes(archive, sandbox, tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    sandbox.set_faults({"archive": {"latency_ms": 60_000}})
    archive.check_keys()
    threading.Timer(0.3, os.kill, (archive._process.pid, signal.SIGKILL)).start()
    with pytest.raises(Unavailable, match="was ended by signal 9"):
        put(archive, tmp_path / "a")
    sandbox.set_faults({"archive": {"latency_ms": 0}})
    put(archive, tmp_path / "a")


def test_signals_of_the_terminal_do_not_end_it(archive):
    archive.check_keys()
    first = archive._process
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(first.pid, number)
    assert archive.metadata(ITEM + "-2") == {}
    assert archive._process is first


def test_a_stop_ends_what_is_being_sent(archive, sandbox, tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    sandbox.set_faults({"archive": {"latency_ms": 60_000}})
    archive.check_keys()
    threading.Timer(0.3, archive.kill).start()
    with pytest.raises(RunStopped):
        put(archive, tmp_path / "a")
    with pytest.raises(RunStopped):
        archive.metadata(ITEM)


_ASKER = """
import sys
from pathlib import Path
from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.archive.internet_archive.remote_archive import RemoteArchive
url = sys.argv[1]
options = read_options({**DEFAULTS, "ARCHIVE_ORG_URL": url, "ARCHIVE_ORG_S3_URL": url})
archive = RemoteArchive(options)
archive.check_keys()
assert "internetarchive" not in sys.modules
print(archive._process.pid, flush=True)
archive.metadata("mapillary-ann-original")
"""


def test_it_dies_with_who_asks_whatever_it_does(sandbox, keys):
    sandbox.set_faults({"archive": {"latency_ms": 60_000}})
    asker = subprocess.Popen(
        [sys.executable, "-c", _ASKER, sandbox.url], stdout=subprocess.PIPE, text=True
    )
    with asker:
        process = int(asker.stdout.readline())
        asker.kill()
    deadline = time.monotonic() + 30
    while _is_alive(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_module_of_the_working_folder_is_taken(archive, tmp_path, monkeypatch):
    (tmp_path / "internetarchive.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    archive.check_keys()


def test_a_request_that_a_kill_has_cut_ends_the_process():
    with subprocess.Popen(
        [sys.executable, "-m", "mapillary_crawler.archive.internet_archive.carrier"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as carrier:
        try:
            carrier.communicate(b'{"do": "met', timeout=30)
        finally:
            carrier.kill()
    assert carrier.returncode == 0


def test_a_process_that_cannot_be_started_may_be_later(archive, monkeypatch):
    def too_many(*_, **__):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", too_many)
    with pytest.raises(Unavailable, match="cannot be started: Resource temporarily unavailable"):
        archive.metadata(ITEM)


def test_a_write_whose_answer_was_lost_may_be_asked_for_again(archive, tmp_path):
    (tmp_path / "a.tar").write_bytes(b"tar")
    put(archive, tmp_path / "a.tar")
    archive.set_metadata(ITEM, {"description": "words"})
    archive.set_metadata(ITEM, {"description": "words"})
    assert archive.metadata(ITEM)["metadata"]["description"] == "words"
