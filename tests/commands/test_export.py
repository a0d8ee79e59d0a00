"""`scrapy export --parquet`: GeoParquet that pyarrow reads, and one line where that is absent."""

from __future__ import annotations

import json
import shutil
import struct
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.archive.finish.made import NOON, Picture
from tests.commands.in_process import BODIES, NAME, Commands, made, tree


@pytest.fixture
def commands(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Commands:
    return Commands(tmp_path / "store", capfd, monkeypatch)


@pytest.mark.parametrize("absent", ["pyarrow", "orjson"])
def test_without_the_extra_one_line_says_how_to_get_it(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    if absent == "orjson":
        pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.delitem(sys.modules, "mapillary_crawler.archive.export.parquet", raising=False)
    made(commands.store)
    assert commands.run("export", NAME, "--parquet", tmp_path / "x.parquet") == 2
    assert commands.err.splitlines()[0].endswith("pip install 'mapillary_crawler[geo]'")
    assert len(commands.err.splitlines()) == 1
    assert not (tmp_path / "x.parquet").exists()


def test_what_cannot_be_is_one_line(commands: Commands) -> None:
    folder = made(commands.store)
    for arguments, said in (
        (["--parquet", "x"], "say which collection"),
        ([NAME], "say where to"),
        ([NAME, "--parquet="], "say where to"),
        ([NAME, "--parquet", folder / "x.parquet"], "lies within the collection"),
        (["nothing", "--parquet", "x"], "there is no collection 'nothing'"),
    ):
        assert commands.run("export", *arguments) == 2
        assert said in commands.err
        assert len(commands.err.splitlines()) == 1


def read(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of a file, and its metadata as GeoParquet has it."""
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    with parquet.ParquetFile(path) as file:
        return file.read().to_pylist(), json.loads(file.metadata.metadata[b"geo"])


@pytest.mark.parametrize("has_ledger", [True, False])
def test_tar_offset_and_size_lead_to_the_image(
    commands: Commands, tmp_path: Path, has_ledger: bool
) -> None:
    pytest.importorskip("pyarrow")
    folder = made(commands.store)
    if not has_ledger:
        shutil.rmtree(folder / ".crawl")
    before = tree(folder)
    path = tmp_path / "ann.parquet"
    assert commands.run("export", NAME, "--parquet", path) == 0, commands.err
    assert f"{NAME}: 5 images" in commands.out
    assert tree(folder) == before
    rows, geo = read(path)
    bodies = {str(picture.image_id): picture.body for picture in BODIES}
    assert {row["id"] for row in rows} == set(bodies)
    for row in rows:
        tar = (folder / row["tar"]).read_bytes()
        assert tar[row["offset"] :][: row["size"]] == bodies[row["id"]]
    first = next(row for row in rows if row["id"] == "11")
    assert first["captured_at"] == datetime.fromtimestamp(NOON / 1000, UTC)
    assert first["geometry"] == struct.pack("<BIdd", 1, 1, 13.4, 52.5)
    assert first["sequence"] == "a_uX-1"
    assert geo == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Point"],
                "bbox": [13.4, 52.5, 13.4, 52.5],
            }
        },
    }


def test_loose_images_are_named_by_their_path(commands: Commands, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder = made(commands.store, tar=False)
    assert commands.run("export", NAME, "--parquet", tmp_path / "x") == 0, commands.err
    rows, _ = read(tmp_path / "x")
    assert [(row["tar"], row["offset"]) for row in rows] == [(None, None)] * 5
    for row in rows:
        assert (folder / row["member"]).stat().st_size == row["size"]


def test_many_batches_are_one_table(commands: Commands, tmp_path: Path) -> None:
    module: Any = pytest.importorskip("mapillary_crawler.archive.export.parquet")
    pictures = [Picture(str(n), NOON + n, "s", b"x") for n in range(1, 40)]
    made(commands.store, pictures=pictures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH", 4)
        patch.setattr(module, "_GROUP", 12)
        assert commands.run("export", NAME, "--parquet", tmp_path / "x") == 0, commands.err
    rows, _ = read(tmp_path / "x")
    assert [row["id"] for row in rows] == [str(n) for n in range(1, 40)]
