"""The distribution, built from a copy of the project and installed outside it.

`--from-index` has pip fetch what a crawl needs, as a person's would; without it that is linked from
the environment of the tests, and no network is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Result, copy_project

USERS = [
    {"username": "alice", "images": 120, "days": 3.0, "panoramas": 0.2, "dead": 3, "no_url": 0.02},
    {"username": "bob", "images": 20},
]
#: What of the tests' environment is the project itself.
_OURS = ("mapillary_crawler", "jpeg_entropy", "__editable__")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--from-index", action="store_true", help="let pip fetch what is needed")


@dataclass
class Installed:
    """An environment with the distribution, and where its commands run."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def command(self) -> Path:
        return self.folder / "bin" / "mapillary-crawler"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path) -> Result:
        """Run something to its end."""
        done = subprocess.run(
            command, cwd=cwd, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running(USERS, seed=5) as running:
        yield running


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel, and the sdist that it was made from."""
    pytest.importorskip("build", reason="`build` is not installed")
    folder = tmp_path_factory.mktemp("built")
    copy_project(folder / "project")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist"]
    made = subprocess.run(
        [*command, folder / "project"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return folder / "dist"


@pytest.fixture(scope="session")
def install(
    tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox, pytestconfig: pytest.Config
) -> Callable[..., Installed]:
    """Return what installs a file into an empty environment; variables are those of pip."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if "MAPILLARY" not in name and not name.startswith(("PYTHON", "SCRAPY", "VIRTUAL"))
    }

    def install(distribution: Path, **variables: str) -> Installed:
        folder = tmp_path_factory.mktemp("installed") / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        options: list[str] = []
        # Without this folder among the arguments, this file comes too late to add options.
        if not pytestconfig.getoption("--from-index", default=False):
            options = ["--no-index", "--no-build-isolation"]
            _link_needed(folder)
        done = subprocess.run(
            [*pip_install(folder), *options, distribution],
            env={**clean, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return Installed(folder, {**clean, **sandbox.environment, "MIN_FREE_BYTES": "1000000"})

    return install


def pip_install(folder: Path) -> list[str]:
    """Return the command that installs into an environment, by the pip of the tests."""
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    return [*pip, "install", "--quiet", "--disable-pip-version-check"]


def _link_needed(folder: Path) -> None:
    """Link what is installed for the tests, but for the project, into an environment."""
    there = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for place in map(Path, dict.fromkeys(sys.path)):
        if place.name == "site-packages":
            for path in place.iterdir():
                target = there / path.name
                if not (path.name.startswith(_OURS) or path.suffix == ".pth" or target.exists()):
                    target.symlink_to(path)


@pytest.fixture(scope="session")
def installed(built: Path, install: Callable[..., Installed]) -> Installed:
    """Return an environment that has the wheel."""
    (wheel,) = built.glob("*.whl")
    return install(wheel)
