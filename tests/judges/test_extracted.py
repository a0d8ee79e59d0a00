"""Tools of others take an extracted collection as it is, and find what Mapillary said.

Each is skipped where it is not installed (requirements-judges.txt); they may be in an environment
of their own that PATH has.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, manifest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("extracted")]

#: Two seconds an image, two sequences, some panoramas; one day goes over into the next.
USERS = [{"username": "alice", "images": 50, "days": 0.0012, "sequence_length": 30}]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return a folder of files, and the rows of their images by id."""
    place = tmp_path_factory.mktemp("extracted")
    with Sandbox.running(USERS, seed=5) as sandbox:
        crawling = Crawling(place / "store", sandbox)
        assert crawling.run(username="alice", quality="1024").code == 0
        result = crawling.scrapy("extract", "alice", str(place / "files"))
        assert result.code == 0, result.output
    rows = manifest(place / "store" / "mapillary-alice-1024" / "metadata.jsonl.gz")
    return place / "files", {row["id"]: row for row in rows}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on PATH (requirements-judges.txt)")
    return found


def test_each_sequence_is_a_folder(extracted: tuple[Path, dict[str, Any]]) -> None:
    folder, rows = extracted
    files = {path.stem: path.parent.name for path in folder.rglob("*.jpg")}
    assert files == {image: row["sequence"] for image, row in rows.items()}
    assert len(set(files.values())) == 2


def test_mapillary_tools_accepts_every_image(
    extracted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, rows = extracted
    said = tmp_path / "said.json"
    subprocess.run(
        [tool("mapillary_tools"), "process", "--file_types", "image", "--desc_path", said, folder],
        check=True,
        capture_output=True,
        timeout=300,
    )
    images = json.loads(said.read_text())
    assert [image["error"] for image in images if "error" in image] == []
    assert len(images) == len(rows)
    for image in images:
        row = rows[Path(image["filename"]).stem]
        position = image_fields.camera_position(row)
        assert position
        assert image["MAPLatitude"] == pytest.approx(position.latitude, abs=1e-6)
        assert image["MAPLongitude"] == pytest.approx(position.longitude, abs=1e-6)
        time = datetime.strptime(f"{image['MAPCaptureTime']}000 +0000", "%Y_%m_%d_%H_%M_%S_%f %z")
        assert time.timestamp() * 1000 == pytest.approx(row["captured_at"])
        heading = image_fields.heading(row)
        if heading is not None:
            assert image["MAPCompassHeading"]["TrueHeading"] == pytest.approx(heading, abs=1e-2)


def test_panoramax_would_take_each_sequence_whole(
    extracted: tuple[Path, dict[str, Any]],
) -> None:
    folder, rows = extracted
    ran = subprocess.run(
        [tool("panoramax_cli"), "check-sequences", folder],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={  # where it would ask for its own latest version, nobody answers
            "COLUMNS": "200",
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder.parent),
            "HTTPS_PROXY": "http://127.0.0.1:9",
        },
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"[{len(rows)}/{len(rows)}]" in ran.stdout
    assert "All pictures have valid EXIF metadata" in ran.stdout
    parts = re.findall(r"Part (\d+): (\d+) picture", ran.stdout)
    assert {number for number, _ in parts} == {"1"}
    assert sum(int(pictures) for _, pictures in parts) == len(rows)
