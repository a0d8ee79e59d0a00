"""`scrapy sandbox` as a person runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "scrapy", "sandbox"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_says_how_to_point_a_crawl_at_it_and_ends_quietly(tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    users.write_text('{"users": [{"username": "bob", "images": 7}]}')
    faults = tmp_path / "faults.json"
    faults.write_text('{"api": {"unknown_user": "error"}}')
    with subprocess.Popen(
        [
            *COMMAND,
            *("--port", "0", "--users", str(users), "--faults", str(faults)),
            *("--uploads", str(tmp_path / "uploads")),
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            variables, lines = {}, []
            while "Ctrl-C" not in (line := process.stdout.readline()):
                assert line, "it ended early"
                lines.append(line)
                name, is_variable, value = line.strip().removeprefix("export ").partition("=")
                if is_variable:
                    variables[name] = value.strip("'")
            assert "bob (7 images)" in lines[0]
            request = Request(
                f"{variables['MAPILLARY_API_URL']}/images?creator_username=bob",
                headers={"Authorization": f"OAuth {variables['MAPILLARY_TOKEN']}"},
            )
            with build_opener(ProxyHandler({})).open(request, timeout=20) as answer:
                assert len(json.load(answer)["data"]) == 7
            upload = Request(
                f"{variables['ARCHIVE_ORG_S3_URL']}/an-item/a",
                data=b"abc",
                headers={"Authorization": "LOW key:secret", "x-archive-auto-make-bucket": "1"},
                method="PUT",
            )
            with build_opener(ProxyHandler({})).open(upload, timeout=20):
                assert (tmp_path / "uploads" / "an-item" / "a").read_bytes() == b"abc"
            process.send_signal(signal.SIGINT)
            remaining, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert (remaining.strip(), errors) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--prot", "1"], "--prot"),
        (["alice"], "alice"),
        (["--users", "/nowhere/users.json"], "/nowhere/users.json"),
        (["--faults", "{'cdn'"], "not JSON"),
        (["--faults", '{"cdn": {"rest": 1}}'], "cdn.rest"),
        (["--photos", "/nowhere"], "/nowhere"),
        (["--users", os.devnull], "not JSON"),
    ],
)
def test_a_wrong_argument_is_named_with_exit_code_2(arguments: list[str], named: str) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert named in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_the_help_shows_an_example_every_key_and_every_fault() -> None:
    finished = run("-h")
    assert finished.returncode == 0
    for text in ("scrapy sandbox --port 8700 --users users.json", "panoramas", "cdn.zero_filled"):
        assert text in finished.stdout


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finished = run("--port", str(taken.getsockname()[1]))
    assert finished.returncode == 2
    assert "cannot listen on 127.0.0.1" in finished.stderr
    assert "Traceback" not in finished.stderr
