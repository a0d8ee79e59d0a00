"""What a crawl says: on a terminal, in a pipe, in its log file, to a monitor."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import PROGRESS_PATH
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, SCRAPY, Crawling, wait_until
from tests.pseudo_terminal import OnTerminal, on_terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def crawling(sandbox: Sandbox, tmp_path: Path) -> Crawling:
    sandbox.reset()
    crawling = Crawling(tmp_path / "store", sandbox)
    crawling.environment.pop("NO_COLOR", None)
    crawling.environment["MAPILLARY_CONCURRENCY_FIXED"] = "8"
    return crawling


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("download.log.*"))


def test_log_is_published_without_secrets(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"reset": 0.1, "cut": 0.1}, "api": {"server_error": 0.5}})
    result = crawling.run("-L", "DEBUG", username="alice", quality="256", check_ia=0)
    assert result.code == 0, result.output
    (log,) = logs(crawling.store / "mapillary-alice-256")
    assert re.fullmatch(r"download\.log\.\d{8}T\d{6}Z", log.name)
    text = log.read_text()
    assert "asking again" in text
    assert "The listing is complete: 60 images" in text
    said = result.lines[-1].partition(": ")[2].partition(";")[0]
    assert text.splitlines()[-1].endswith(said)
    assert str(crawling.store) in result.output
    assert "Overridden settings" in result.output  # at DEBUG
    for secret in (sandbox.token, "access_token=", "oe=", "oh=", "data loss"):
        assert secret not in result.output, secret
    for secret in (
        sandbox.token, sandbox.token.split("|")[-1], "access_token", "oe=", "://", "127.0.0.1",
        str(crawling.store), str(PROJECT), str(Path.home()) + "/", socket.gethostname(),
    ):  # fmt: skip
        assert secret not in text, secret


def test_each_run_has_a_log_of_its_own(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 200}})
    with crawling.started(username="slow", quality="256") as process:
        folder = crawling.store / ".incomplete" / "mapillary-slow-256"
        wait_until(lambda: logs(folder))
        wait_until(lambda: sandbox.counters()["requests"].get("cdn", 0) > 5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 4
    assert "interrupted" in logs(folder)[0].read_text().splitlines()[-1]
    sandbox.reset()
    assert crawling.run(username="slow", quality="256").code == 0
    assert len(logs(crawling.store / folder.name)) == 2


@pytest.mark.parametrize(
    ("username", "quality", "code"), [("alice", "1024", 0), ("nobody", "256", 8)]
)
def test_run_that_does_nothing_leaves_no_log(
    crawling: Crawling, username: str, quality: str, code: int
) -> None:
    result = crawling.run(username=username, quality=quality)
    assert result.code == code, result.output
    assert list(crawling.store.rglob("download.log*")) == []


def test_nolog_is_silent_and_writes_no_log(crawling: Crawling) -> None:
    result = crawling.run("--nolog", username="alice", quality="256")
    assert result.code == 0
    assert len(result.lines) == 2
    assert list(crawling.store.rglob("download.log*")) == []


def test_monitor_reads_progress_while_it_runs(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 1000}})
    path = crawling.store / ".incomplete/mapillary-slow-256" / PROGRESS_PATH
    with crawling.started(username="slow", quality="256") as process:
        wait_until(path.exists)
        first = json.loads(path.read_text())
        wait_until(lambda: json.loads(path.read_text())["saved"] > first["saved"])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert first["phase"] in {"listing", "fetching"}
    assert first["outcome"] is None
    last = json.loads(path.read_text())
    parts = ("saved", "gone", "unavailable", "failed", "left")
    assert last["left"] > 0
    assert last["listed"] == 300 == sum(last[name] for name in parts)
    assert (last["phase"], last["finish_reason"], last["exit_code"]) == ("ended", "shutdown", 4)
    assert crawling.environment["MAPILLARY_TOKEN"] not in path.read_text()

    sandbox.reset()
    assert crawling.run(username="slow", quality="256").code == 0
    finished = json.loads((crawling.store / "mapillary-slow-256" / PROGRESS_PATH).read_text())
    assert (finished["saved"], finished["exit_code"]) == (300, 0)
    assert not list(crawling.store.rglob(".progress*"))


def shows_progress(terminal: OnTerminal) -> bool:
    return bool(re.search(r"[1-9]\d* of 300 images", terminal.text))


def test_terminal_is_live_and_clean_after_ctrl_c(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 200}})
    command = crawling.command(username="slow", quality="256")
    with on_terminal(command, crawling.environment, PROJECT) as terminal:
        wait_until(lambda: shows_progress(terminal))
        assert "in flight" in terminal.text
        assert "\x1b[1m" in terminal.raw  # colours and bold
        terminal.resize(40)
        wait_until(lambda: "…" in terminal.text)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 4
    left = terminal.raw.rpartition("\x1b[2K")[2]
    assert "in flight" not in left
    assert left.startswith("mapillary-slow-256: interrupted")
    assert "?25l" not in terminal.raw  # the cursor was never hidden


@pytest.mark.parametrize("options", [["--nolog"], ["-L", "WARNING"], ["--logfile", "LOG"]])
def test_terminal_is_quiet_where_asked(
    crawling: Crawling, sandbox: Sandbox, tmp_path: Path, options: list[str]
) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 50}})
    options = [option.replace("LOG", str(tmp_path / "log")) if option[0] == "L" else option
               for option in options]  # fmt: skip
    command = crawling.command(*options, username="alice", quality="256")
    with on_terminal(command, crawling.environment, PROJECT) as terminal:
        assert terminal.wait() == 0
    assert "in flight" not in terminal.text
    assert "INFO" not in terminal.text


def test_no_color_is_respected(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 200}})
    crawling.environment["NO_COLOR"] = "1"
    command = crawling.command(username="slow", quality="256")
    with on_terminal(command, crawling.environment, PROJECT) as terminal:
        wait_until(lambda: shows_progress(terminal))
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", terminal.raw)


def test_pipe_gets_plain_lines_now_and_then(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 500}})
    crawl = crawling.command(username="alice", quality="256")[len(SCRAPY) :]
    impatient = (
        "from mapillary_crawler.extensions import progress; progress._SAY = 1; "
        f"from scrapy.cmdline import execute; execute({['scrapy', *crawl]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", impatient],
        cwd=PROJECT, env=crawling.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = re.findall(r"INFO: mapillary-alice-256: fetching, .* of 60 images, .*", done.stderr)
    assert lines
    (log,) = logs(crawling.store / "mapillary-alice-256")
    assert lines[0] in log.read_text()
    assert "Overridden settings" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
