"""The command of ON_END: told of the run, blind to secrets, ended with all that it has begun."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.crawl.on_end import OnEnd, read_on_end, variables
from tests.runs import plain_run

SHOW = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mapillary_crawler.crawl.on_end")


def opened(folder: Path) -> Any:
    balance = Balance(saved=3, damaged=1, gone=2, failed=1, left=1, bytes_saved=99)
    named = {"place": folder, "balance": balance}
    return plain_run(collection=Collection("älice", "256", webp=True), opened=named).collection


def test_a_command_is_split_as_a_shell_would() -> None:
    assert read_on_end({"ON_END": "notify 'a b' \"c\" $HOME; ls"}) == [
        "notify", "a b", "c", "$HOME;", "ls",
    ]  # fmt: skip
    assert read_on_end({"ON_END": ""}) == read_on_end({"ON_END": None}) == []
    with pytest.raises(ArgumentRefused, match="ON_END is no command: No closing quotation"):
        read_on_end({"ON_END": "say 'it"})


def test_it_is_told_of_the_run_and_nothing_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "MAPILLARY_TOKEN": "MLY|1|secret", "IA_SECRET_ACCESS_KEY": "secret", "PYTHONPATH": "x",
        "http_proxy": "http://user:secret@proxy", "SENTRY_DSN": "https://secret@host/1",
        "MAPILLARY_STORE": "elsewhere",
    }  # fmt: skip
    for name, value in {**secrets, "LC_TIME": "C", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    told = variables(opened(tmp_path), Outcome.INCOMPLETE)
    OnEnd([sys.executable, "-c", SHOW, str(tmp_path / "seen")], told).run()
    seen = json.loads((tmp_path / "seen").read_text())
    assert "secret" not in str(seen)
    assert not {*secrets} & {*seen}
    assert seen["LC_TIME"] == "C"
    assert seen["PATH"] == os.environ["PATH"]
    assert {name: value for name, value in seen.items() if name.startswith("MAPILLARY_")} == {
        "MAPILLARY_USERNAME": "älice", "MAPILLARY_QUALITY": "256", "MAPILLARY_WEBP": "1",
        "MAPILLARY_COLLECTION": "mapillary-_ue4_lice-256-webp", "MAPILLARY_FOLDER": str(tmp_path),
        "MAPILLARY_OUTCOME": "images_failed", "MAPILLARY_EXIT_CODE": "3",
        "MAPILLARY_LISTED": "7", "MAPILLARY_SAVED": "3", "MAPILLARY_DAMAGED": "1",
        "MAPILLARY_BARE": "0", "MAPILLARY_GONE": "2", "MAPILLARY_UNAVAILABLE": "0",
        "MAPILLARY_FAILED": "1", "MAPILLARY_ACCEPTED": "0", "MAPILLARY_LEFT": "1",
        "MAPILLARY_OUTSIDE": "0", "MAPILLARY_VANISHED": "0",
        "MAPILLARY_NAMELESS": "0", "MAPILLARY_BYTES_SAVED": "99",
    }  # fmt: skip


def test_its_output_is_logged_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    program = "print('a\\x1b[2J'); print('x' * 700); [print(n) for n in range(1200)]"
    OnEnd([sys.executable, "-c", program], {}).run()
    assert caplog.messages[0] == "ON_END: a\ufffd[2J"
    assert len(caplog.messages[1]) < 520
    assert len(caplog.messages) == 1001
    assert caplog.messages[-1] == "ON_END: 203 more lines"


@pytest.mark.parametrize(
    ("command", "warning"),
    [
        ("/no/such/program x", "ON_END cannot be run: /no/such/program: No such file or directory"),
        ("sh -c 'exit 3'", "ON_END ended with exit code 3"),
        ("sh -c 'kill -TERM $$'", "ON_END ended by signal 15"),
    ],
)
def test_what_goes_wrong_with_it_is_a_warning(
    command: str, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    OnEnd(shlex.split(command), {}).run()
    (record,) = caplog.records
    assert (record.levelname, record.message) == ("WARNING", warning)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Killed, and not yet waited for by whoever inherits it.
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("waits", [True, False])
def test_all_that_it_has_begun_ends_with_it(
    waits: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pid = tmp_path / "pid"
    command = f"sleep 600 & echo $! > {shlex.quote(str(pid))}{'; wait' if waits else ''}"
    began = time.monotonic()
    OnEnd(["sh", "-c", command], {}).run(2.0)
    assert time.monotonic() - began < 300
    until = time.monotonic() + 60
    while is_alive(int(pid.read_text())):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert caplog.messages == (["ON_END took more than 2 s, and was ended"] if waits else [])


def test_it_can_be_ended_before_its_time(caplog: pytest.LogCaptureFixture) -> None:
    on_end = OnEnd(["sleep", "600"], {})
    threading.Timer(0.5, on_end.end).start()
    on_end.run(300)
    assert caplog.messages == ["ON_END ended by signal 9"]
