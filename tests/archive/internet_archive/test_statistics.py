"""`ia_stats`: the figures against the sandbox's own list, and their cache."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mapillary_crawler.archive.internet_archive.archived_item import ArchivedItem
from mapillary_crawler.archive.internet_archive.cache import Cache, Found, with_known_uploaders
from mapillary_crawler.archive.internet_archive.report import report
from mapillary_crawler.archive.internet_archive.statistics import statistics
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.internet_archive.archive_crowd import crowd


def truth(items):
    """Compute the figures from what the sandbox says its items are."""
    ours = [item for item in items.values() if "sandbox" in item]
    largest = defaultdict(lambda: defaultdict(int))
    for item in ours:
        what = item["sandbox"]
        largest[what["username"]][what["quality"], what["webp"]] += what["images"] or 0
    outside = defaultdict(list)
    for item in ours:
        if "mapillary-images" not in item["metadata"]["collection"]:
            outside[item["metadata"]["uploader"]].append(item["metadata"]["identifier"])
    qualities = {}
    for quality in {item["sandbox"]["quality"] for item in ours}:
        here = [item for item in ours if item["sandbox"]["quality"] == quality]
        qualities[quality] = {
            "collections": len(
                {(item["sandbox"]["username"], item["sandbox"]["webp"]) for item in here}
            ),
            "items": len(here),
            "images": sum(item["sandbox"]["images"] or 0 for item in here),
            "bytes": sum(item["item_size"] for item in here),
        }
    return {
        "collections": sum(len(each) for each in largest.values()),
        "items": len(ours),
        "users": len(largest),
        "images": sum(item["sandbox"]["images"] or 0 for item in ours),
        "unique_images": sum(max(each.values()) for each in largest.values()),
        "bytes": sum(item["item_size"] for item in ours),
        "items_without_count": sum(item["sandbox"]["images"] is None for item in ours),
        "qualities": qualities,
        "outside_mapillary_images": {name: sorted(each) for name, each in outside.items()},
        "foreign": sorted(name for name, item in items.items() if "sandbox" not in item),
    }


@pytest.mark.long
def test_25000_items_agree_with_the_sandboxs_own_list(scrapy):
    items = crowd(25_000, seed=7)
    expected = truth(items)
    with Sandbox.running([], items=items) as sandbox:
        first = scrapy("ia_stats", "--json", sandbox=sandbox, keys=False)
        asked = sandbox.counters()["endpoints"]
        sandbox.reset()
        again = scrapy("ia_stats", "--json", sandbox=sandbox, keys=False)
        asked_again = sandbox.counters()["endpoints"]
    assert first.returncode == 0, first.stderr
    figures = json.loads(first.stdout)
    assert {name: figures[name] for name in expected} == expected
    assert asked == {
        "/services": 3,
        "/metadata": sum(map(len, expected["outside_mapillary_images"].values())),
    }
    assert asked_again == {"/services": 3}, "uploaders are fetched once"
    assert json.loads(again.stdout)["unique_images"] == expected["unique_images"]
    cached = scrapy("ia_stats", "--cached", "--json", "--users")
    figures = json.loads(cached.stdout)
    assert {name: figures[name] for name in expected} == expected
    assert len(figures["by_user"]) == expected["users"]
    assert sum(each["bytes"] for each in figures["by_user"].values()) == expected["bytes"]


@pytest.mark.slow
def test_faults_are_waited_for(scrapy):
    items = crowd(120, seed=3)
    faults = {"archive": {"server_error": 0.3, "reset": 0.2, "cut": 0.1, "html": 0.1}}
    with Sandbox.running([], items=items, faults=faults, seed=5) as sandbox:
        result = scrapy("ia_stats", "--json", sandbox=sandbox, keys=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["bytes"] == truth(items)["bytes"]


@pytest.mark.slow
def test_without_a_network_the_last_search_speaks_and_says_its_age(scrapy):
    offline = {"IA_PATIENCE": "0.05"}
    nothing = scrapy("ia_stats", "--cached", **offline)
    assert nothing.returncode == 2
    assert "nothing was searched yet" in nothing.stderr
    unreachable = scrapy("ia_stats", **offline)
    assert unreachable.returncode == 7
    assert "there is no earlier search" in unreachable.stderr
    with Sandbox.running([], items=crowd(150, seed=3)) as sandbox:
        online = scrapy("ia_stats", "--users", sandbox=sandbox, keys=False)
    later = scrapy("ia_stats", "--users", **offline)
    assert later.returncode == 0
    assert "figures of the last search" in later.stderr
    assert later.stdout == online.stdout
    assert "(just now)" in later.stdout.splitlines()[0]


def item(identifier, images, size=0, collections=("mapillary-images",)):
    return ArchivedItem(identifier, images, size, collections, "mapillary_crawler")


def test_jpeg_xl_is_another_collection_of_the_same_user():
    figures = statistics(
        [item("mapillary-ann-original", 100), item("mapillary-ann-original-jxl", 90)]
    )
    assert (figures.total.collections, len(figures.users), figures.unique_images) == (2, 1, 100)
    assert figures.foreign == []


def test_volumes_are_one_collection_and_qualities_are_not_unique():
    figures = statistics(
        [
            item("mapillary-ann-original", 100, 10),
            item("mapillary-ann-original-vol02", 50, 5),
            item("mapillary-ann-original-webp", 120, 3),
            item("mapillary-ann-256", 140, 1),
            item("mapillary-bo-256", None, 1),
            item("other-thing", 1_000, 1),
        ]
    )
    assert (figures.total.collections, figures.total.items) == (4, 5)
    assert figures.total.images == 100 + 50 + 120 + 140
    assert figures.unique_images == 150
    assert list(figures.qualities) == ["original", "256"]
    assert (figures.uncounted, figures.foreign) == (1, ["other-thing"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=6
)


@given(
    st.dictionaries(
        st.sampled_from(["identifier", "description", "item_size", "collection", "scanner"]),
        json_values,
    )
)
def test_no_search_result_is_too_odd(result):
    found = ArchivedItem.found(result)
    if found:
        assert found.size >= 0
        statistics([found])


def test_the_cache_survives_a_round_trip_and_refuses_rubbish(tmp_path):
    cache = Cache(tmp_path / "deep" / "folder")
    assert cache.read() is None
    items = (item("mapillary-ann-256", None), item("mapillary-bo-256", 3).uploaded_by("b@x.org"))
    cache.write(Found(items, 12.5))
    assert cache.read() == Found(items, 12.5)
    assert [path.name for path in cache.path.parent.iterdir()] == [cache.path.name]
    for rubbish in ("", "[]", "{}", '{"version": 1, "items": [{}], "fetched_at": 1}', "\udcff"):
        cache.path.write_text(rubbish, errors="surrogateescape")
        assert cache.read() is None


def test_the_cache_lies_where_xdg_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert Cache.of_user().path.parts[-3:-1] == (".cache", "mapillary_crawler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache.of_user().path.parent == tmp_path / "mapillary_crawler"


def test_known_uploaders_are_kept():
    old = [item("mapillary-a-256", 1).uploaded_by("a@x.org"), item("mapillary-b-256", 1)]
    new = [item("mapillary-b-256", 2), item("mapillary-a-256", 2)]
    assert [each.uploader for each in with_known_uploaders(new, old)] == [None, "a@x.org"]


def test_tables_are_aligned():
    text = report(statistics([item("mapillary-ann-original", 1_234_567, 5 * 10**9)]), users=True)
    assert "1,234,567" in text
    assert "5.0 GB" in text


def test_columns_are_aligned_by_what_a_terminal_shows():
    items = [item("mapillary-ann-256", 1), item("mapillary-日本🗾-256", 22)]
    lines = report(statistics(items), users=True).split("\n\n")[-1].splitlines()
    assert "日本🗾" in "".join(lines)
    assert len({cell_len(line) for line in lines}) == 1
