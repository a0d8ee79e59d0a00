"""Runs a real Scrapyd server, as the operators' page has it, and speaks to it."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from tests.crawling import PROJECT, wait_until

NAME = "mapillary_crawler"
USERNAME, PASSWORD = "operator", "let-me-in"
PAGE = PROJECT / "docs" / "scrapyd.md"

# The machine's proxies are not for loopback.
_OPENER = build_opener(ProxyHandler({}))


#: What the log has before a message: time, logger and level.
_BEFORE = re.compile(r"^\S+ \S+ \[[\w.]+\] [A-Z]+: ")


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait for what takes as long as the machine makes it."""
    wait_until(happened, 180)


@dataclass(frozen=True)
class Job:
    """A scheduled job and its log."""

    server: Scrapyd
    job: str

    @property
    def state(self) -> str:
        """Return pending, running or finished, as Scrapyd says."""
        return str(
            self.server.call("status.json", query={"project": NAME, "job": self.job})["currstate"]
        )

    @property
    def log(self) -> str:
        path = self.server.folder / "logs" / NAME / "user" / f"{self.job}.log"
        return path.read_text() if path.exists() else ""

    @property
    def lines(self) -> list[str]:
        """The log's lines, without time, logger and level."""
        return [_BEFORE.sub("", line) for line in self.log.splitlines()]

    @property
    def last(self) -> str:
        assert self.log, self.server.output
        return self.lines[-1]

    @property
    def finish_reason(self) -> str | None:
        found = re.findall(r"'finish_reason': '(\w+)'", self.log)
        return found[-1] if found else None

    def wait(self) -> Job:
        """Wait for the job's end."""
        wait_for(lambda: self.state == "finished")
        return self

    def cancel(self, **how: str) -> None:
        """Cancel the job while it runs, and wait until it has ended."""
        answer = self.server.call("cancel.json", {"project": NAME, "job": self.job, **how})
        assert answer["prevstate"] == "running", self.log
        wait_until(lambda: self.state == "finished", 20)


@dataclass(eq=False)
class Scrapyd:
    """A running server; made by `Scrapyd.running`."""

    folder: Path
    url: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    @contextmanager
    def running(
        cls, folder: Path, environment: Mapping[str, str], **options: str
    ) -> Iterator[Scrapyd]:
        """Run a server in an empty folder, with the configuration of the operators' page.

        `environment` is what its jobs get besides the machine's; `options` replace those of
        the configuration.
        """
        folder.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        configuration = configparser.ConfigParser()
        configuration.read_string(documented_configuration())
        changed = {"http_port": str(port), "poll_interval": "0.2", **options}
        configuration["scrapyd"].update(changed)
        with (folder / "scrapyd.conf").open("w") as file:
            configuration.write(file)
        server = cls(folder, f"http://127.0.0.1:{port}/", _environment(folder, environment))
        with (folder / "output").open("wb") as output:
            server.process = subprocess.Popen(
                [sys.executable, "-m", "scrapyd", "--pidfile="],
                cwd=folder,
                env=server.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with server.process as process:
            try:
                wait_for(server.answers)
                yield server
            finally:
                # As systemd does: the server and all its jobs.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def answers(self) -> bool:
        """Say whether the server is up; fail if it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.output
        try:
            return bool(self.call("daemonstatus.json")["status"] == "ok")
        except OSError:
            return False

    @property
    def output(self) -> str:
        """What the server printed, which is its own log."""
        return (self.folder / "output").read_text()

    def page(self, path: str, body: Mapping[str, Any] | None = None) -> str:
        """Return a page; POST what is given."""
        data = None if body is None else urlencode(body, doseq=True).encode()
        secret = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        request = Request(self.url + path, data, {"Authorization": f"Basic {secret}"})
        with _OPENER.open(request, timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    def call(
        self,
        service: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer of a service, which is ok."""
        path = f"{service}?{urlencode(query)}" if query else service
        answer: dict[str, Any] = json.loads(self.page(path, body))
        assert answer["status"] == "ok", answer
        return answer

    def schedule(self, *settings: str, **arguments: Any) -> Job:
        """Schedule a crawl; the settings are NAME=VALUE."""
        body = {"project": NAME, "spider": "user", "setting": settings, **arguments}
        return Job(self, self.call("schedule.json", body)["jobid"])

    def deploy(self, *command: str, folder: Path) -> None:
        """Deploy with the real client; the target `here` is in the home folder's file."""
        target = f"[deploy:here]\nurl = {self.url}\nproject = {NAME}\n"
        secrets = "username = $SCRAPYD_USERNAME\npassword = $SCRAPYD_PASSWORD\n"
        (self.folder / "home" / ".scrapy.cfg").write_text(target + secrets)
        answer = self.client(*command, folder=folder)
        assert '"spiders": 1' in answer, answer

    def client(self, program: str, *arguments: str, folder: Path) -> str:
        """Run a program of scrapyd-client in a clone, and return what it printed."""
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def documented_configuration() -> str:
    """Return scrapyd.conf as the operators' page has it."""
    found = re.search(r"```ini\n(\[scrapyd\]\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert found, "the page has no scrapyd.conf"
    return found[1]


def _environment(folder: Path, added: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if "MAPILLARY" not in name and "proxy" not in name.lower() and "COV" not in name
    }
    home = folder / "home"
    home.mkdir()
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "SCRAPYD_USERNAME": USERNAME,
        "SCRAPYD_PASSWORD": PASSWORD,
        "MIN_FREE_BYTES": "1000000",
        **added,
    }
