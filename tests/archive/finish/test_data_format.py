"""docs/data-format.md: its commands work, and it names what is there."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mapillary_crawler.archive.finish.manifests import DAMAGED_REASON, REASONS, SAVED_STATES
from mapillary_crawler.collection.layout import EXTENSIONS
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.graph.api import IMAGE_FIELDS
from mapillary_crawler.image.jxl_codec import Codec, installed_encoder
from mapillary_crawler.ledger.records import Bare
from tests.archive.finish.made import ANN, Picture, add, finish, jpeg, manifest, pictures

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
    assert len(COMMANDS) == 5
    for command in COMMANDS[:4]:
        assert run(folder, command) == 0, command
    assert (folder / "99.jpg").read_bytes() == jpeg()


def test_the_commands_find_what_is_wrong(folder):
    sums, complete, members, *_ = COMMANDS
    tar = folder / "2024-01-15.tar"
    content = bytearray(tar.read_bytes())
    content[600] ^= 1  # in the first image
    tar.write_bytes(bytes(content))
    assert run(folder, sums) != 0
    assert run(folder, members) != 0
    (folder / "gone.jsonl").unlink()
    assert run(folder, complete) != 0


def test_the_commands_give_back_a_jpeg(tmp_path):
    if shutil.which("djxl") is None:
        pytest.skip("djxl is not installed")
    source = jpeg()
    with Codec(installed_encoder("auto")) as codec:
        file = codec.encode(source, effort=3, pixels=400 * 300)
    collection = Collection("ann", jxl=True)
    sha256 = hashlib.sha256(source).digest()
    picture = Picture("99", body=file, extension="jxl", sha256_jpeg=sha256)
    add(tmp_path / "staging" / collection.name, [picture], collection)
    finish(tmp_path / "staging" / collection.name, tmp_path, collection)
    folder = tmp_path / collection.name
    assert manifest(folder, "checksums.jsonl.gz")[0]["sha256_jpeg"] == sha256.hex()
    *_, one, jpeg_of_it = COMMANDS
    assert run(folder, one.replace(".jpg", ".jxl") + jpeg_of_it) == 0
    assert (folder / "99.jpg").read_bytes() == source
    assert (folder / "__ia_thumb.jpg").read_bytes()[:2] == b"\xff\xd8"


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
