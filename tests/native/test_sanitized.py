"""The walk reads what strangers send: no body makes it touch memory that is not its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.native import fuzz
from tests.native.pictures import HOSTILE, KINDS
from tests.native.streams import Maker

pytestmark = pytest.mark.long


@pytest.fixture(
    scope="module",
    params=[(True, ()), (True, ("-DPORTABLE",)), (False, ())],
    ids=["beside libjpeg", "without instructions of one processor", "alone"],
)
def mutations(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that walks changed copies, with the sanitizers in it."""
    target = tmp_path_factory.mktemp("sanitized") / "mutations"
    libjpeg, options = request.param
    try:
        return fuzz.build(target, *fuzz.SANITIZERS, *options, libjpeg=libjpeg)
    except fuzz.CannotBuild as absent:
        pytest.skip(str(absent))


def test_no_changed_body_reaches_beyond_its_memory(mutations: Path, tmp_path: Path) -> None:
    maker, files = Maker(0), []
    for number, body in enumerate([*KINDS, *HOSTILE.values(), *(maker.jpeg() for _ in range(60))]):
        files.append(tmp_path / f"{number}.jpg")
        files[-1].write_bytes(body)
    ran = subprocess.run(
        [mutations, "250", "1", *files], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert 0 < int(ran.stdout) < 250 * len(files)
