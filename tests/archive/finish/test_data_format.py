"""docs/data-format.md: its commands work, and it names what is there."""

import re
import subprocess
from pathlib import Path

import pytest

from mapillary_crawler.archive.finish.manifests import DAMAGED_REASON, REASONS, SAVED_STATES
from mapillary_crawler.collection.layout import EXTENSIONS
from mapillary_crawler.graph.api import IMAGE_FIELDS
from mapillary_crawler.ledger.records import Bare
from tests.archive.finish.made import ANN, add, finish, jpeg, manifest, pictures

DOCUMENT = (Path(__file__).parents[3] / "docs" / "data-format.md").read_text("utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "staging" / ANN.name, pictures())
    finish(tmp_path / "staging" / ANN.name, tmp_path)
    return tmp_path / ANN.name


def run(folder: Path, command: str) -> int:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={"ID": "99", "PATH": "/bin:/usr/bin"},
        check=False,
    ).returncode


def test_the_commands_prove_a_collection(folder):
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        assert run(folder, command) == 0, command
    assert (folder / "99.jpg").read_bytes() == jpeg()


def test_the_commands_find_what_is_wrong(folder):
    sums, complete, members, _ = COMMANDS
    tar = folder / "2024-01-15.tar"
    content = bytearray(tar.read_bytes())
    content[600] ^= 1  # in the first image
    tar.write_bytes(bytes(content))
    assert run(folder, sums) != 0
    assert run(folder, members) != 0
    (folder / "gone.jsonl").unlink()
    assert run(folder, complete) != 0


def test_it_names_every_field_reason_and_file(folder):
    fields = {name for row in manifest(folder, "checksums.jsonl.gz") for name in row}
    values = {*REASONS.values(), DAMAGED_REASON, *SAVED_STATES.values(), *Bare}
    values |= {f".{extension}" for extension in EXTENSIONS}
    tags = {path.name for path in (folder / ".meta").iterdir()}
    missing = [
        name for name in (*IMAGE_FIELDS, *fields, *values, *tags) if f"`{name}`" not in DOCUMENT
    ]
    assert not missing
    files = {re.sub(r"^[0-9-]{10}|^unknown-date", "DAY", path.name) for path in folder.iterdir()}
    assert not [name for name in files if name not in DOCUMENT]
