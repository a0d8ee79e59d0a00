"""`.crawl/progress.json` is whole at any instant and follows the collection."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import PROGRESS_PATH
from mapillary_crawler.terminal.progress_file import ProgressFile, read_progress

#: Usually in memory, so on another file system than what tests write.
_ELSEWHERE = Path("/dev/shm")


def test_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "staging"
    (folder / ".crawl").mkdir(parents=True)
    file = ProgressFile(folder, tmp_path / "store")
    file.write({"number": -1})
    ended = threading.Event()

    def write() -> None:
        for number in range(300):
            file.write({"number": number, "filling": "x" * 50 * number})
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not ended.is_set():
        fields = json.loads((folder / PROGRESS_PATH).read_text())
        assert len(fields.get("filling", "")) == 50 * max(0, fields["number"])
        seen.append(fields["number"])
    writer.join()
    assert seen == sorted(seen)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["progress.json"]


def test_it_follows_into_the_store_and_makes_no_folder(tmp_path: Path) -> None:
    folder, store = tmp_path / "staging", tmp_path / "store"
    file = ProgressFile(folder, store)
    file.write({"number": 1})
    assert list(tmp_path.iterdir()) == []
    (store / ".crawl").mkdir(parents=True)
    file.write({"number": 2})
    assert json.loads((store / PROGRESS_PATH).read_text()) == {"number": 2}


def test_it_follows_to_another_file_system(tmp_path: Path) -> None:
    if not _ELSEWHERE.is_dir() or _ELSEWHERE.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is but one file system")
    with tempfile.TemporaryDirectory(dir=_ELSEWHERE) as elsewhere:
        store = Path(elsewhere) / "store"
        (store / ".crawl").mkdir(parents=True)
        (store / PROGRESS_PATH).write_text('{"phase": "finishing"}')
        ProgressFile(tmp_path / "staging", store).write({"phase": "ended"})
        assert read_progress([tmp_path / "staging", store]) == {"phase": "ended"}
        assert [path.name for path in Path(elsewhere).rglob("*") if path.is_file()] == [
            PROGRESS_PATH.name
        ]


@pytest.mark.parametrize("content", ["", "[1]", "null", '"x"', "{", "[" * 100_000, "\xff"])
def test_what_is_no_object_reads_as_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / ".crawl").mkdir()
    (tmp_path / PROGRESS_PATH).write_text(content, encoding="latin-1")
    assert read_progress([tmp_path]) == {}
