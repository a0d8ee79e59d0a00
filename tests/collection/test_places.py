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


@pytest.fixture
def collections(places: Places) -> Places:
    """Make what some users have here."""
    for name in (
        "mapillary-alice-256", "mapillary-a-256-original", "mapillary-b_u20__uf6_-2048-webp",
        "mapillary-alice-256+2024-01-01_",
    ):  # fmt: skip
        (places.store / name).mkdir(parents=True)
    (places.staging / "mapillary-alice-1024").mkdir(parents=True)
    return places


@pytest.mark.parametrize(
    ("named", "quality", "found"),
    [
        ("alice", "1024", "mapillary-alice-1024"),
        ("a-256", None, "mapillary-a-256-original"),
        ("b ö", None, "mapillary-b_u20__uf6_-2048-webp"),
        ("b ö", "2048", "mapillary-b_u20__uf6_-2048-webp"),
        ("https://www.mapillary.com/app/user/b%20%C3%B6?z=1", None,
         "mapillary-b_u20__uf6_-2048-webp"),
        ("mapillary-alice-256", "1024", "mapillary-alice-256"),
    ],
)  # fmt: skip
def test_a_user_s_name_stands_for_the_collection(
    collections: Places, named: str, quality: str | None, found: str
) -> None:
    assert collections.find(named, quality).name == found


def test_a_user_goes_before_a_folder_that_happens_to_be_here(collections: Places) -> None:
    Path("a-256").mkdir()
    assert collections.find("a-256").name == "mapillary-a-256-original"
    assert collections.find("./a-256") == Path.cwd() / "a-256"


def test_several_collections_are_listed(collections: Places) -> None:
    (collections.store / "mapillary-alice-2048-webp").mkdir()
    (collections.store / "mapillary-alice-2048+2024-01-01_").mkdir()
    with pytest.raises(ArgumentRefused, match=r"has 5 collections: mapillary-alice-1024, mapil.*,"):
        collections.find("alice")
    assert len(collections.matching("alice")) == 5
    with pytest.raises(ArgumentRefused, match=r"has 2 collections: .*name one of them"):
        collections.find("alice", "2048")
    assert collections.find("alice", "256").name == "mapillary-alice-256"


@pytest.mark.parametrize(
    ("named", "quality", "said"),
    [
        ("alice", "2048", "no collection 'alice' at quality 2048 in "),
        ("@alice", None, "; there is one of 'alice'$"),
        (" alice ", None, "; there is one of 'alice'$"),
        ("@bob", None, "incomplete$"),
    ],
)
def test_what_a_user_has_not_is_said(
    collections: Places, named: str, quality: str | None, said: str
) -> None:
    with pytest.raises(ArgumentRefused, match=said):
        collections.find(named, quality)
