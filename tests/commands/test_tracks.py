"""`scrapy tracks`: GeoJSON, GPX, KML of finished collections, with and without a ledger."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mapillary_crawler.archive.read_collection import read_collection
from mapillary_crawler.archive.tracks.sequences import sequences_geojson
from mapillary_crawler.ledger.thread import LedgerHere
from tests.archive.finish.made import Picture
from tests.commands.in_process import BODIES, NAME, Commands, made, tree


@pytest.fixture
def commands(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Commands:
    return Commands(tmp_path / "store", capfd, monkeypatch)


def test_geojson_goes_to_standard_output(commands: Commands) -> None:
    folder = made(commands.store)
    before = tree(folder)
    assert commands.run("tracks", "ann") == 0, commands.err
    found = json.loads(commands.out)
    assert [
        (each["properties"]["sequence"], each["properties"]["images"]) for each in found["features"]
    ] == [(None, 1), ("a_uX-1", 2), ("b", 2)]
    assert tree(folder) == before
    with read_collection(folder) as ledger:
        assert b"".join(sequences_geojson(LedgerHere(ledger))).decode() == commands.out


@pytest.mark.parametrize("tar", [True, False])
def test_without_a_ledger_the_manifests_say_the_same(
    commands: Commands, tmp_path: Path, tar: bool
) -> None:
    folder = made(commands.store, tar=tar)
    assert commands.run("tracks", NAME) == 0
    said = commands.out
    downloaded = shutil.copytree(folder, tmp_path / "downloaded")
    shutil.rmtree(downloaded / ".crawl")
    for path in downloaded.glob("*.tar"):
        path.unlink()
    assert commands.run("tracks", downloaded) == 0, commands.err
    assert commands.out == said


def test_gpx_and_kml_are_files(commands: Commands, tmp_path: Path) -> None:
    made(commands.store)
    assert commands.run("tracks", NAME, "--gpx", tmp_path / "gpx") == 0, commands.err
    assert sorted(tree(tmp_path / "gpx")) == ["a_uX-1.gpx", "b.gpx", "no-sequence+2024-01-15.gpx"]
    assert commands.out == ""
    assert f"{NAME}: 3 sequences, 5 images" in commands.err
    assert commands.run("tracks", NAME, "--kml", tmp_path / "ann.kml") == 0, commands.err
    assert (tmp_path / "ann.kml").read_bytes().count(b"<Placemark>") == 3
    assert not list(tmp_path.glob(".*.part"))


def test_nothing_is_written_into_a_collection(commands: Commands) -> None:
    folder = made(commands.store)
    before = tree(folder)
    for option, target in (("--gpx", folder / "gpx"), ("--kml", folder / "x.kml")):
        assert commands.run("tracks", NAME, option, target) == 2
        assert "lies within the collection" in commands.err
    assert tree(folder) == before


def test_what_cannot_be_read_is_one_line(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert commands.run("tracks", tmp_path / "empty") == 2
    assert "neither a ledger nor metadata.jsonl.gz" in commands.err
    folder = made(commands.store)
    shutil.rmtree(folder / ".crawl")
    manifest = folder / "checksums.jsonl.gz"
    manifest.write_bytes(manifest.read_bytes()[:40])
    assert commands.run("tracks", NAME) == 1
    assert f"{folder}: checksums.jsonl.gz" in commands.err
    assert "Traceback" not in commands.err
    assert commands.run("tracks") == 2
    assert "say which collection" in commands.err


def test_links_in_a_collection_are_not_followed(commands: Commands, tmp_path: Path) -> None:
    folder = made(commands.store)
    (folder / ".crawl" / "ledger.sqlite").rename(tmp_path / "ledger.sqlite")
    (folder / ".crawl" / "ledger.sqlite").symlink_to(tmp_path / "ledger.sqlite")
    assert commands.run("tracks", NAME) == 1
    assert "is a link, which is not followed" in commands.err


def test_links_in_the_target_are_not_followed(commands: Commands, tmp_path: Path) -> None:
    made(commands.store)
    (tmp_path / "gpx").mkdir()
    (tmp_path / "other").write_text("mine")
    (tmp_path / "gpx" / "b.gpx").symlink_to(tmp_path / "other")
    assert commands.run("tracks", NAME, "--gpx", tmp_path / "gpx") == 0
    assert (tmp_path / "other").read_text() == "mine"
    assert not (tmp_path / "gpx" / "b.gpx").is_symlink()


def test_a_collection_without_places_says_so(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Picture.row.fget  # type: ignore[attr-defined]
    placeless = property(lambda one: {**listed(one), "geometry": {"coordinates": [200, 1]}})
    monkeypatch.setattr(Picture, "row", placeless)
    made(commands.store, pictures=BODIES[:1])
    assert commands.run("tracks", NAME) == 8
    assert json.loads(commands.out)["features"] == []
    assert "no saved image that has a place" in commands.err
