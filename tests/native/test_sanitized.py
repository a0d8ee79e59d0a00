"""The walk reads what strangers send: no body makes it touch memory that is not its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.crawling import PROJECT
from tests.native.pictures import HOSTILE, KINDS
from tests.native.streams import Maker

SOURCES = PROJECT / "native" / "jpeg_entropy"
SANITIZERS = "-fsanitize=address,undefined"


@pytest.fixture(scope="module")
def mutations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that walks changed copies, with the sanitizers in it."""
    program = tmp_path_factory.mktemp("sanitized") / "mutations"
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    driver = Path(__file__).with_name("mutations.c")
    made = subprocess.run(
        [compiler, "-std=c11", "-O1", "-g", SANITIZERS, "-fno-sanitize-recover", f"-I{SOURCES}",
         "-o", program, driver, *sorted(SOURCES.glob("*.c"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "cannot find" in made.stderr and "san" in made.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert made.returncode == 0, made.stderr
    return program


def test_no_changed_body_reaches_beyond_its_memory(mutations: Path, tmp_path: Path) -> None:
    maker, files = Maker(0), []
    for number, body in enumerate([*KINDS, *HOSTILE.values(), *(maker.jpeg() for _ in range(30))]):
        files.append(tmp_path / f"{number}.jpg")
        files[-1].write_bytes(body)
    ran = subprocess.run(
        [mutations, "1000", "1", *files], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert 0 < int(ran.stdout) < 1000 * len(files)
