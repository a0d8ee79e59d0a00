"""What a run is at, as its progress says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy.signalmanager import SignalManager

from mapillary_crawler.collection.balance import Balance
from mapillary_crawler.extensions.progress import Progress
from mapillary_crawler.terminal.progress import Phase, Snapshot
from tests.runs import plain_run, spider_of


def progress(destination: Path, *, upload: bool) -> Any:
    """Return the progress of a run, before it has looked at anything."""
    opened = {
        "destination": destination,
        "arguments": SimpleNamespace(upload=upload),
        "balance": Balance(saved=3),
        "name": "mapillary-a-256",
        "title": "mapillary-a-256",
    }
    spider = spider_of(plain_run(opened=opened))
    made: Any = Progress(SimpleNamespace(signals=SignalManager(), spider=spider))  # type: ignore[arg-type]
    made._snapshot = Snapshot(Phase.FETCHING, Balance(saved=3))
    return made


@pytest.mark.parametrize("upload", [False, True])
def test_it_uploads_once_the_collection_is_in_the_store(tmp_path: Path, *, upload: bool) -> None:
    """Until then tars are sent, too, but images are still fetched and finished."""
    run = progress(tmp_path / "made", upload=upload)
    assert run._report().snapshot.phase is Phase.FETCHING
    run._finishing()
    assert run._report().snapshot.phase is Phase.FINISHING
    (tmp_path / "made").mkdir()
    assert run._report().snapshot.phase is (Phase.UPLOADING if upload else Phase.FINISHING)
    run._snapshot = Snapshot(Phase.ENDED, Balance(saved=3))
    assert run._report().snapshot.phase is Phase.ENDED
