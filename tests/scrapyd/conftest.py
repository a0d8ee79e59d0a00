"""One sandbox, one clone, and two servers for all tests of this folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, Crawling, copy_project
from tests.scrapyd.server import NAME, Scrapyd

USERS = [
    {"username": "alice", "images": 120, "days": 3.0, "panoramas": 0.2, "dead": 3, "no_url": 0.02},
    {"username": "Ünî & cødé", "images": 90, "undated": 0.05, "odd_types": 0.1},
    # A day for each image makes the finish long.
    {"username": "daily", "images": 150, "days": 150.0},
]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    # The default token is in the egg: it is the sandbox's own.
    with Sandbox.running(USERS, seed=11, token="MLY|1|0f1e2d3c4b5a69788796a5b4c3d2e1f0") as running:
        yield running


@pytest.fixture(autouse=True)
def calm(sandbox: Sandbox) -> None:
    """Take away what the test before has set."""
    sandbox.reset()


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project, all of it known to a git of its own."""
    folder = tmp_path_factory.mktemp("clone") / NAME
    copy_project(folder)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session")
def server(
    sandbox: Sandbox, clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scrapyd]:
    """Run a server as the operators' page has it; deploy from the clone."""
    folder = tmp_path_factory.mktemp("scrapyd")
    environment = {**sandbox.environment, "MAPILLARY_STORE": str(folder / "store")}
    with Scrapyd.running(folder / "server", environment) as running:
        running.deploy("scrapyd-deploy", "here", folder=clone)
        yield running


@pytest.fixture(scope="session")
def server_with_folders(
    sandbox: Sandbox, server: Scrapyd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scrapyd]:
    """Run a server with `jobs_dir`, `items_dir`, a relative store and a root for stores.

    It gets the other's egg.
    """
    folder = tmp_path_factory.mktemp("scrapyd")
    environment = {**sandbox.environment, "MAPILLARY_STORE_ROOT": str(folder)}
    options = {"jobs_dir": "jobs", "items_dir": "items"}
    (egg,) = (server.folder / "eggs" / NAME).iterdir()
    with Scrapyd.running(folder / "server", environment, **options) as running:
        running.deploy("scrapyd-deploy", "here", "--egg", str(egg), folder=PROJECT)
        yield running


@pytest.fixture(scope="session")
def from_command_line(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Return the collections that the command line makes, by user."""
    sandbox.reset()
    crawling = Crawling(tmp_path_factory.mktemp("command-line") / "store", sandbox)
    found = {}
    for user in USERS:
        result = crawling.run(username=user["username"], quality="256", check_ia=0)
        assert result.code == 0, result.output
        found[str(user["username"])] = Path(result.lines[0].partition(" to ")[2])
    return found
