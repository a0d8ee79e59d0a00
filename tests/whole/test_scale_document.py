"""What docs/scale.md has to be typed, typed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mapillary_crawler.archive.slices.reading import read_slices
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, Crawling, assert_same

PAGE = (PROJECT / "docs" / "scale.md").read_text()
INSTALLED = "/opt/mapillary/bin"
NAME = "mapillary-alice-256"
USER = {"username": "alice", "images": 120, "days": 6.0, "undated": 0.05}


def block(language: str, having: str) -> str:
    """Return the one block of the page in a language that has some words."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = (each for each in blocks if having in each)
    return found


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Make the folder of an installed program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, module in (("mapillary-crawler", "mapillary_crawler"), ("scrapy", "scrapy")):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        script.chmod(0o755)
    return folder


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_nothing_against_the_unit(program: Path, tmp_path: Path) -> None:
    unit = tmp_path / "mapillary-worker.service"
    unit.write_text(block("ini", "worker --jobs auto").replace(INSTALLED, str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
@pytest.mark.parametrize("scheduler", ["parallel", "index"])
def test_slices_by_other_schedulers(program: Path, tmp_path: Path, scheduler: str) -> None:
    """The lines for GNU parallel, and what a pod of an indexed Job runs, as they stand there."""
    if scheduler == "parallel" and shutil.which("parallel") is None:
        pytest.skip("GNU parallel is not installed")
    with Sandbox.running([USER], seed=4) as sandbox:
        one = Crawling(tmp_path / "one", sandbox)
        assert one.run(username="alice", quality="256", check_ia=0).code == 0
        crawling = Crawling(tmp_path / "store", sandbox)
        environment = {
            **crawling.environment,
            "SLICE_IMAGES": "40",
            "PATH": f"{program}:{crawling.environment['PATH']}",
        }

        def sh(script: str, **more: str) -> None:
            script = script.replace("username=alice", "username=alice -a quality=256 -a check_ia=0")
            done = subprocess.run(
                ["bash", "-c", script], env=environment | more, cwd=PROJECT, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout

        lines = block("sh", "parallel --joblog")
        cut, by_parallel, merged = lines.splitlines()
        sh(cut)
        count = len(read_slices(tmp_path / "store/.incomplete" / NAME) or [])
        assert count > 2
        if scheduler == "parallel":
            log = tmp_path / "slices.log"
            sh(by_parallel.replace("seq 61", f"seq {count}").replace("slices.log", str(log)))
            assert len(log.read_text().splitlines()) == count + 1
        else:
            (command,) = re.findall(r'command: \[sh, -c, "(.*)"\]', block("yaml", "kind: Job"))
            for index in range(count):
                sh(command, JOB_COMPLETION_INDEX=str(index))
        sh(merged)
        assert_same(tmp_path / "store" / NAME, one.store / NAME)
