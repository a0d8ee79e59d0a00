"""What a listing says, counted from its rows; and what the ledger's survey finds."""

from __future__ import annotations

import json
from pathlib import Path

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.crawl.plan.contents import Sample, count_kinds
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import State
from tests.archive.finish.made import DAY, NOON, Picture, add


def row(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_cameras_and_panoramas() -> None:
    kinds = count_kinds(
        [
            row(make="GoPro", model="GoPro Max", is_pano=True),
            row(make="GoPro", model="HERO8  Black\n", is_pano=False),
            row(make="gopro", model="GoPro Max", is_pano="yes"),
            row(make="Apple"),
            row(model="X1"),
            row(make=5, model=None),
            row(),
            row(make="m" * 500),
        ]
    )
    assert kinds.panoramas == 1
    assert kinds.cameras == [
        ("GoPro Max", 2), ("unknown", 2), ("Apple", 1), ("GoPro HERO8 Black", 1), ("X1", 1),
        ("m" * 80, 1),
    ]  # fmt: skip


def test_speed_is_unknown_without_a_fetch() -> None:
    assert Sample().images_per_second is None
    assert Sample(fetched=10, seconds=0.5).images_per_second == 20


def pictures() -> list[Picture]:
    return [
        *(Picture(str(n), NOON + n // 10 * DAY, f"s{n // 7}") for n in range(35)),
        Picture("100", None, None),
        Picture("101", NOON, "s0", state=State.GONE),
        Picture("102", NOON, "s0", state=State.UNSETTLED),
    ]


def test_survey_of_a_ledger(tmp_path: Path) -> None:
    add(tmp_path, pictures())
    ledger = Ledger(tmp_path / LEDGER_PATH, read_only=True)
    try:
        extent = ledger.survey.extent()
        assert (extent.images, extent.days, extent.sequences, extent.undated) == (38, 4, 5, 1)
        assert (extent.first, extent.last, extent.largest_day) == (NOON, NOON + 3 * DAY, 12)
        assert len(list(ledger.survey.rows())) == 38
        spread = ledger.survey.spread(10)
        numbers = [image.number for image in spread]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 10
        assert numbers[0] < 5
        assert numbers[-1] > 33
        assert "101" not in {image.image_id for image in spread}
        assert len(ledger.survey.spread(1000)) == 37
        sizes = ledger.survey.sizes(numbers)
        assert sizes == {image.number: image.size for image in spread if image.size is not None}
        balance, waiting = ledger.survey.progress()
        assert (balance.saved, balance.gone, balance.left) == (36, 1, 1)
        assert (waiting.to_retry, waiting.given_up) == (0, 0)
    finally:
        ledger.close()


def test_survey_of_an_empty_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    try:
        assert ledger.survey.spread(20) == []
        extent = ledger.survey.extent()
        assert (extent.images, extent.first, extent.largest_day) == (0, None, 0)
        assert ledger.survey.sizes([]) == {}
    finally:
        ledger.close()
