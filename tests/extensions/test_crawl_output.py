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


def says_less(terminal: OnTerminal) -> bool:
    drawn = terminal.raw.rpartition("fetching")[2]
    return "in flight" in drawn and "images/s" not in drawn


def test_terminal_is_live_and_clean_after_ctrl_c(crawling: Crawling, sandbox: Sandbox) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 200}})
    command = crawling.command(username="slow", quality="256")
    with on_terminal(command, crawling.environment, PROJECT) as terminal:
        wait_until(lambda: shows_progress(terminal))
        assert "in flight" in terminal.text
        assert "\x1b[1m" in terminal.raw  # colours and bold
        terminal.resize(40)
        wait_until(lambda: says_less(terminal))
        terminal.process.send_signal(signal.SIGINT)
        wait_until(lambda: "stopping, " in terminal.text)
        assert terminal.wait() == 4
    left = terminal.raw.rpartition("\x1b[2K")[2]
    assert "in flight" not in left
    assert left.startswith("mapillary-slow-256: interrupted")
    assert "?25l" not in terminal.raw  # the cursor was never hidden


@pytest.mark.parametrize(
    ("options", "logs_news"),
    [
        ([], False),
        (["--nolog"], False),
        (["-L", "WARNING"], False),
        (["-v"], True),
        (["-L", "INFO"], True),
        (["--nolog", "-v"], False),
    ],
)
def test_terminal_has_progress_and_the_log_where_asked(
    crawling: Crawling, sandbox: Sandbox, options: list[str], logs_news: bool
) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 100}})
    command = crawling.command(*options, username="alice", quality="256")
    with on_terminal(command, crawling.environment, PROJECT, columns=200) as terminal:
        assert terminal.wait() == 0
    lines = [line.rstrip() for line in terminal.text.splitlines()]
    assert lines[0].startswith("Archiving alice to /")
    assert "in flight" in terminal.text
    assert lines[-1].startswith("mapillary-alice-256: complete: listed 60 =")
    news = [line for line in lines if re.fullmatch(r"\d\d:\d\d:\d\d [^[]*", line)]
    assert any("The listing is complete: 60 images" in line for line in news) == logs_news
    assert bool(news) == logs_news
    assert "INFO" not in terminal.text
    assert "elapsed_time_seconds" not in terminal.text
    found = logs(crawling.store / "mapillary-alice-256")
    assert len(found) == ("--nolog" not in options)
    if found and "WARNING" not in options:
        assert "[mapillary_crawler.crawl.lister] INFO: The listing is" in found[0].read_text()


def test_terminal_has_statistics_at_debug(crawling: Crawling) -> None:
    command = crawling.command("-L", "DEBUG", username="alice", quality="256")
    with on_terminal(command, crawling.environment, PROJECT, columns=200) as terminal:
        assert terminal.wait() == 0
    assert "elapsed_time_seconds" in terminal.text


def test_terminal_has_warnings(crawling: Crawling) -> None:
    command = crawling.command("-s", "IMAGES_MIN_WIDTH=9", username="alice", quality="256")
    with on_terminal(command, crawling.environment, PROJECT, columns=200) as terminal:
        assert terminal.wait() == 0
    assert re.search(r"^\d\d:\d\d:\d\d warning: .*IMAGES_MIN_WIDTH", terminal.text, re.MULTILINE)


def test_terminal_is_told_once_why_a_run_ended(crawling: Crawling, tmp_path: Path) -> None:
    command = crawling.command("-v", username="nobody", quality="256")
    with on_terminal(command, crawling.environment, PROJECT, columns=200) as terminal:
        assert terminal.wait() == 8
    assert terminal.text.count("no images") == 1
    assert terminal.text.splitlines()[-1].startswith(
        "mapillary-nobody-256: no images found for user nobody (names are case-sensitive): listed 0"
    )
    log = tmp_path / "log"
    assert crawling.run("--logfile", str(log), username="nobody", quality="256").code == 8
    assert "crawl.run] ERROR: no images found for user nobody" in log.read_text()


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_quiet_leaves_the_last_line(crawling: Crawling, on_a_terminal: bool) -> None:
    if on_a_terminal:
        command = crawling.command("-q", username="alice", quality="256")
        with on_terminal(command, crawling.environment, PROJECT, columns=200) as terminal:
            assert terminal.wait() == 0
        said = terminal.text
    else:
        said = crawling.run("-q", username="alice", quality="256").output
    (line,) = said.splitlines()
    assert line.startswith("mapillary-alice-256: complete: listed 60 =")
    (log,) = logs(crawling.store / "mapillary-alice-256")
    assert "INFO: The listing is complete" in log.read_text()


def test_terminal_is_quiet_where_the_log_goes_to_a_file(crawling: Crawling, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = crawling.command("--logfile", str(log), username="alice", quality="256")
    with on_terminal(command, crawling.environment, PROJECT) as terminal:
        assert terminal.wait() == 0
    assert terminal.text == ""
    for said in ("[scrapy.core.engine] INFO: Spider opened", "elapsed_time_seconds", "Archiving"):
        assert said in log.read_text()


def test_paths_in_the_home_are_there(crawling: Crawling, tmp_path: Path) -> None:
    """A shell replaces no `~` behind a `=`."""
    crawling.environment["HOME"] = str(tmp_path)
    options = ("--logfile=~/log", "-s", "JOBDIR=~/jobs/alice")
    assert crawling.run(*options, username="alice", quality="256").code == 0
    assert "Archiving alice to " in (tmp_path / "log").read_text()
    assert (tmp_path / "jobs" / "alice").is_dir()
    assert not (PROJECT / "~").exists()


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
    assert "INFO: Dumping Scrapy stats" in done.stderr
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
