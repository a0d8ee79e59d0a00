"""A name on the command line stands for one folder, whichever command is given it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.places import Places


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Places(tmp_path / "store", tmp_path / "store" / ".incomplete")


def test_a_name_is_looked_for_in_the_store_then_in_staging_then_here(places: Places) -> None:
    for folder in (Path.cwd() / "a", places.staging / "a", places.store / "a"):
        folder.mkdir(parents=True)
        assert places.find("a") == folder


def test_what_is_a_path_is_never_a_name(places: Places) -> None:
    for place in (places.store, Path.cwd()):
        (place / "a").mkdir(parents=True)
    assert places.find("./a") == places.find(str(Path.cwd() / "a")) == Path.cwd() / "a"
    assert places.find(".") == Path.cwd()
    assert places.find("..") == Path.cwd().parent
    assert places.find("a/..") == Path.cwd()


def test_a_link_keeps_its_name(places: Places, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    places.store.mkdir()
    (places.store / "a").symlink_to(tmp_path / "disk")
    assert places.find("a") == places.store / "a"


@pytest.mark.parametrize("named", ["", "a", "./a", "file"])
def test_what_is_no_folder_is_no_collection(places: Places, named: str) -> None:
    Path("file").touch()
    with pytest.raises(ArgumentRefused, match=f"there is no collection '{named}'"):
        places.find(named)
