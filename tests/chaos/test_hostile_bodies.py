"""Bodies that are endless, or pictures beyond reason: little memory, and a named failure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.ledger.records import State
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, Crawling, Result, states

pytestmark = pytest.mark.long

#: Runs a command and prints the most memory that it had, in kB (getrusage).
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stderr=subprocess.STDOUT).returncode
print("most memory", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "kim", "images": 40, "days": 2.0}], seed=37) as running:
        yield running


def measured(crawling: Crawling, **arguments: Any) -> tuple[Result, int]:
    """Crawl; return the result without the last line, and the most bytes of memory."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *crawling.command("-s", "IMAGE_ATTEMPTS=2", **arguments)],
        cwd=PROJECT,
        env=crawling.environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=240,
        check=False,
    )
    *lines, last = done.stdout.splitlines()
    most = int(last.split()[-1]) * (1 if sys.platform == "darwin" else 1024)
    return Result(done.returncode, "\n".join(lines)), most


@pytest.mark.parametrize(
    ("fault", "most"),
    [
        ({"absurd": True}, 250e6),  # 65,500 x 65,500 pixels would be 12 GB
        ({"endless": True}, 250e6),
        ({"endless": True, "no_length": True}, 250e6),
    ],
    ids=["pixels", "bytes", "bytes without a length"],
)
def test_a_body_beyond_reason(
    sandbox: Sandbox, tmp_path: Path, fault: dict[str, bool], most: float
) -> None:
    hostile = [image.image_id for image in sandbox.catalogue.user("kim").images()][5:8]
    sandbox.reset()
    sandbox.set_faults({"cdn": dict.fromkeys(fault, hostile)})
    crawling = Crawling(tmp_path / "store", sandbox)
    result, memory = measured(crawling, username="kim", quality="256", check_ia=0)
    assert result.code == 3, result.output
    assert result.balance == {
        "listed": 40, "saved": 37, "gone": 0, "unavailable": 0, "failed": 3,
    }  # fmt: skip
    found = states(crawling.store / ".incomplete" / "mapillary-kim-256")
    assert {name for name, state in found.items() if state is State.UNSETTLED} == set(hostile)
    assert memory < most
