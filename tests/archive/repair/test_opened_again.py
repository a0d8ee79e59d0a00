"""Tars that are lost or damaged: what is taken out of them, and what is kept."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

from mapillary_crawler.archive.repair.opened_again import open_again
from mapillary_crawler.collection.layout import KEPT_TARS, LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from tests.archive.finish.made import ANN, add, finish, pictures, store

SOME = pictures(days=1, a_day=6)


def test_a_tar_that_is_damaged_twice_is_kept_twice(tmp_path: Path) -> None:
    """An image that Mapillary has deleted since may be whole in the older one alone."""
    staged, folder = tmp_path / "staging" / ANN.name, tmp_path / "store" / ANN.name
    add(staged, SOME)
    by_id = {str(picture.image_id): picture for picture in SOME}
    kept = []
    for at in (700, 5200, 700):
        finish(staged, folder.parent)
        tar = min(folder.glob("*.tar")).name
        content = bytearray((folder / tar).read_bytes())
        content[at] ^= 1
        (folder / tar).write_bytes(content)
        kept.append(bytes(content))
        folder.rename(staged)
        with closing(Ledger(staged / LEDGER_PATH)) as ledger:
            open_again(staged, ledger, [tar], lambda _: None)
            ledger.start_run()
            due = ledger.queue.draw(math.inf, 100)
            ledger.save([store(staged, each.number, by_id[each.image_id]) for each in due])
    names = [tar, f"{tar}.1", f"{tar}.2"]
    assert [path.name for path in sorted((staged / KEPT_TARS).iterdir())] == names
    found = [(staged / KEPT_TARS / name).read_bytes() for name in names]
    assert found == [kept[2], kept[0], kept[1]]
