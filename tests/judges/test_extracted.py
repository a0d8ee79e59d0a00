"""Tools of others take an extracted collection as it is, and find what Mapillary said."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from mapillary_crawler.image import fields as image_fields
from tests.environments import programs_of
from tests.judges.conftest import PLAIN, Made


@pytest.fixture(scope="module")
def extracted(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extracted") / "files"
    made.scrapy("extract", made.name, folder)
    return folder


#: Of a sequence that they would upload: how it goes on is no question of single images.
_OF_SEQUENCES = ("--duplicate_distance", "-1", "--skip_zigzag_check")
_ANY_SPEED = {"MAPILLARY_TOOLS_MAX_CAPTURE_SPEED_KMH": "1e9"}


def test_mapillary_tools_agrees(
    made: Made, extracted: Path, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    """Every image that has a place and a time is accepted: where, when, which way."""
    program = programs_of(pytestconfig, "mapillary-tools") / "mapillary_tools"
    said = tmp_path / "said.json"
    options = [] if made.name == PLAIN else _OF_SEQUENCES
    ran = subprocess.run(
        [
            program, "process", "--file_types", "image", "--skip_process_errors", *options,
            "--desc_path", said, extracted,
        ],
        check=False, capture_output=True, text=True, timeout=300, env=os.environ | _ANY_SPEED,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = {Path(image["filename"]).stem: image for image in json.loads(said.read_text())}
    assert found.keys() == made.rows.keys()
    refused = {name: image["error"] for name, image in found.items() if "error" in image}
    assert refused.keys() == made.rows.keys() - made.usable(), refused
    often = Counter(made.time(name) for name in made.rows)
    for name in found.keys() - refused.keys():
        image, row = found[name], made.rows[name]
        position = image_fields.camera_position(row)
        assert position
        assert image["MAPLatitude"] == pytest.approx(position.latitude, abs=1e-6)
        assert image["MAPLongitude"] == pytest.approx(position.longitude, abs=1e-6)
        time = datetime.strptime(f"{image['MAPCaptureTime']}000 +0000", "%Y_%m_%d_%H_%M_%S_%f %z")
        # Those of one time and one folder it spreads over that second.
        assert time.timestamp() * 1000 == pytest.approx(
            made.time(name), abs=1000 * (often[made.time(name)] > 1)
        )
        heading, altitude = image_fields.heading(row), image_fields.altitude(row)
        if heading is not None:
            assert image["MAPCompassHeading"]["TrueHeading"] == pytest.approx(heading, abs=1e-2)
        if altitude is not None:
            assert image["MAPAltitude"] == pytest.approx(altitude, abs=1e-2)


def test_panoramax_would_take_each_sequence_whole(
    made: Made, extracted: Path, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    """No blocking issue but of images without a place or a time, no split in a sequence."""
    program = programs_of(pytestconfig, "panoramax-cli") / "panoramax_cli"
    said = tmp_path / "said.json"
    options = [] if made.name == PLAIN else ["--no-split", "--duplicates-checks", "disabled"]
    ran = subprocess.run(
        [program, "check-sequences", "--report-file", said, *options, extracted],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={  # where it would ask for its own latest version, nobody answers
            "COLUMNS": "200",
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "HTTPS_PROXY": "http://127.0.0.1:9",
        },
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads(said.read_text())
    refused = {Path(issue["path"]).stem for issue in report["pictures_exif_issues"]}
    # Its reader refuses the null island (test_metadata.py), this check of it lets that pass.
    null = {name for name, place in made.placed().items() if not any(place)}
    assert refused - null == made.rows.keys() - made.usable() - null, ran.stdout
    assert report["pictures_duplicates"] == []
    taken = {
        folder["path"]: [sequence["pictures_files"] for sequence in folder["sequences"]]
        for folder in report["folders"]
        if not folder.get("empty")
    }
    assert {len(sequences) for sequences in taken.values()} == {1}, "one part each"
    files = {Path(file).stem for (sequence,) in taken.values() for file in sequence}
    assert files - null == made.usable()
