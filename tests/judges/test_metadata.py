"""Panoramax' own reader finds in single images what Mapillary said."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.environments import programs_of
from tests.image.test_metadata_judges import CASES, Case, case, written

#: Its warnings that no metadata of ours could prevent.
_ALLOWED = ("GPS accuracy", "focal length", "focal_length", "sensor")
_READ = """
import json, sys
from geopic_tag_reader import reader

def plain(tags):
    return {
        "time": tags.ts and tags.ts.timestamp(),
        "times_agree": tags.ts_by_source.gps == tags.ts_by_source.camera,
        "place": [tags.lat, tags.lon], "heading": tags.heading, "altitude": tags.altitude,
        "type": tags.type, "crop": tags.crop, "camera": [tags.make, tags.model],
        "warnings": tags.tagreader_warnings,
    }

found = {}
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        body = file.read()
    try:
        found[path] = plain(reader.readPictureMetadata(body)) | {"refused": False}
    except reader.PartialExifException as error:
        found[path] = {"refused": True, "time": error.tags.ts and error.tags.ts.timestamp()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what is read of each case, and of one at the null island."""
    folder = tmp_path_factory.mktemp("metadata")
    for name, one in {**CASES, "null": case(0, 0)}.items():
        (folder / f"{name}.jpg").write_bytes(written(one))
    ran = subprocess.run(
        [programs_of(pytestconfig, "panoramax-cli") / "python", "-c", _READ, *folder.iterdir()],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return {Path(path).stem: tags for path, tags in json.loads(ran.stdout).items()}


@pytest.mark.parametrize("name", CASES)
def test_panoramax_reads_what_was_said(found: dict[str, Any], name: str) -> None:
    one, tags = CASES[name], found[name]
    assert not tags["refused"]
    assert round(tags["time"] * 1000) == one.captured_at
    assert tags["times_agree"]
    assert tags["place"] == pytest.approx([one.latitude, one.longitude], abs=1e-8)
    assert tags["heading"] == (None if one.heading is None else round(rounded(one)))
    assert tags["altitude"] == (None if one.altitude is None else round(one.altitude))
    assert tags["type"] == ("equirectangular" if one.panorama else "flat")
    assert tags["crop"] is None
    assert tags["camera"] == ["Citroën", "日本 1"]
    allowed = _ALLOWED if one.heading is not None else (*_ALLOWED, "No heading")
    assert [w for w in tags["warnings"] if not any(word in w for word in allowed)] == []


def rounded(one: Case) -> float:
    assert one.heading is not None
    return round(one.heading, 6) % 360


def test_panoramax_refuses_the_null_island_alone(found: dict[str, Any]) -> None:
    assert [name for name, tags in found.items() if tags["refused"]] == ["null"]
    assert round(found["null"]["time"] * 1000) == CASES["zeros"].captured_at
