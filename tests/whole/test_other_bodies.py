"""Bodies that are no JPEG like others: in another format, a placeholder, without an end marker."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH, OTHER_EXTENSIONS
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.other_formats import SHARED
from mapillary_crawler.ledger.records import FORMAT
from mapillary_crawler.sandbox.damage import PLACEHOLDER, in_other_format, without_end
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling, compressed_data, images, manifest

pytestmark = pytest.mark.long

NAME = "mapillary-bo-256"
USER = {"username": "bo", "images": 70, "days": 2.0, "panoramas": 0.2}


def named(sandbox: Sandbox) -> dict[str, Any]:
    return {image.image_id: image for image in sandbox.catalogue.user("bo").images()}


def crawl(
    tmp_path: Path, faults: Mapping[str, Any], *options: str, code: int = 0, **more: Any
) -> tuple[Crawling, dict[str, bytes], dict[str, bytes]]:
    """Crawl; return what was served, and what is stored, by id."""
    with Sandbox.running([USER], seed=3, faults={"cdn": faults}) as sandbox:
        crawling = Crawling(tmp_path / "store", sandbox)
        arguments = {"username": "bo", "quality": 256, "check_ia": 0, **more}
        result = crawling.run("-s", "IMAGE_ATTEMPTS=2", *options, timeout=400, **arguments)
        assert result.code == code, result.output
        served = {
            name: sandbox.catalogue.body(image, "256") for name, image in named(sandbox).items()
        }
    name = NAME + ("-webp" if more.get("webp") else "")
    finished = crawling.store / name
    folder = finished if finished.exists() else crawling.store / ".incomplete" / name
    return crawling, served, {Path(path).name: body for path, body in images(folder).items()}


def some() -> list[str]:
    """Return the ids of all images, those of the placeholder's size first."""
    with Sandbox.running([USER], seed=3) as sandbox:
        sizes = {name: each.photograph.size("256") for name, each in named(sandbox).items()}
    return sorted(sizes, key=lambda name: sizes[name] != PLACEHOLDER)


@pytest.mark.parametrize("more", [{}, {"webp": 1}, {"tar": 0}], ids=["tar", "webp", "loose"])
def test_other_formats_are_saved_as_served_and_named(tmp_path: Path, more: dict[str, Any]) -> None:
    chosen = some()[:30]
    crawling, served, stored = crawl(tmp_path, {"other_format": chosen}, **more)
    folder = crawling.store / (NAME + ("-webp" if "webp" in more else ""))
    reasons = {row["id"]: row["reason"] for row in manifest(folder / "bare.jsonl")}
    assert reasons == dict.fromkeys(chosen, "other-format")
    kinds = set()
    for name in chosen:
        body, kind = in_other_format(served[name], name)
        assert stored[f"{name}.{kind}"] == body
        kinds.add(kind)
    assert kinds == {*OTHER_EXTENSIONS, "webp"}
    assert len(stored) == len(served)
    assert crawling.scrapy("verify", str(folder)).code == 0
    meta = folder / ".meta"
    assert (meta / "mapillary_crawler_format/0").read_text() == str(FORMAT)
    assert "30 of them are without that metadata" in (meta / "description/0").read_text()
    assert "bare.jsonl" in (folder / "SHA256SUMS").read_text()
    # Without the ledger, too: as of an item that was downloaded.
    (folder / ".crawl").rename(tmp_path / "ledger")
    assert crawling.scrapy("verify", str(folder)).code == 0


def test_a_user_whose_images_are_all_in_other_formats(tmp_path: Path) -> None:
    """More in a row than make an outage of answers that are no images."""
    crawling, served, stored = crawl(tmp_path, {"other_format": 1.0})
    assert len(stored) == len(served) == 70
    assert len(manifest(crawling.store / NAME / "bare.jsonl")) == 70


def test_a_placeholder_is_no_image_whenever_it_comes(tmp_path: Path) -> None:
    """The first that gets it is saved at first, and wanted again once it comes for another."""
    chosen = [*some()[:5], *some()[-5:]]
    crawling, _, stored = crawl(tmp_path, {"placeholder": chosen}, code=3)
    folder = crawling.store / ".incomplete" / NAME
    with closing(Ledger(folder / LEDGER_PATH, read_only=True)) as ledger:
        errors = {name: error or "" for name, error, _ in ledger.images.failures()}
    assert sorted(errors) == sorted(chosen)
    shared = [name for name, error in errors.items() if error.endswith(SHARED)]
    sized = [name for name, error in errors.items() if "256 x 192 pixels, of an upload" in error]
    assert len(shared) >= 2
    assert sized
    assert len(shared) + len(sized) == len(chosen)
    assert not [name for name in stored if name.endswith(".png")]
    # Once the service has them, they are saved, and nothing is left of the placeholder.
    with Sandbox.running([USER], seed=3) as sandbox:
        again = Crawling(crawling.store, sandbox)
        assert again.run(username="bo", quality=256, check_ia=0).code == 0
        assert not (again.store / NAME / "bare.jsonl").exists()
        assert again.scrapy("verify", str(again.store / NAME)).code == 0


def test_a_placeholder_that_came_before_is_known_in_the_next_run(tmp_path: Path) -> None:
    """Also where the other image it came for has come as it is since."""
    chosen = [*some()[:5], *some()[-5:]]
    crawling, _, _ = crawl(tmp_path, {"placeholder": chosen}, code=3)
    with Sandbox.running([USER], seed=3, faults={"cdn": {"placeholder": chosen[:1]}}) as sandbox:
        assert named(sandbox)[chosen[0]].photograph.size("256") == PLACEHOLDER
        again = Crawling(crawling.store, sandbox)
        result = again.run("-s", "IMAGE_ATTEMPTS=2", username="bo", quality=256, check_ia=0)
    assert result.code == 3
    assert result.balance["failed"] == 1


@pytest.mark.parametrize("more", [{}, {"webp": 1}])
@pytest.mark.parametrize("length", [True, False])
def test_a_body_without_its_end_marker_is_saved_and_named(
    tmp_path: Path, length: bool, more: dict[str, Any]
) -> None:
    """At once where its length was said, else once the same bytes came twice."""
    chosen = some()[:6]
    faults = {"no_end": chosen, "no_length": 0.0 if length else 1.0}
    crawling, served, stored = crawl(tmp_path, faults, **more)
    folder = crawling.store / (NAME + ("-webp" if "webp" in more else ""))
    (log,) = folder.glob("download.log.*")
    text = log.read_text("utf-8")
    for name in chosen:
        assert f"Image {name}: its end marker is missing; all its pixels are there" in text
        if not more:
            body = stored[f"{name}.jpg"]
            assert compressed_data(body) == compressed_data(without_end(served[name]))
            assert b"mapillary-crawler" in body
    assert ("saved if the same bytes come once more" in text) is False
    assert crawling.scrapy("verify", str(folder)).code == 0
