"""Into a collection, by renames that may be killed and begun again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapillary_crawler.archive.adopt.moves import move_in
from mapillary_crawler.collection.layout import MOVES


@pytest.mark.parametrize("call", ["unlink", "rmdir"])
def test_a_linked_folder_s_name_is_free_whatever_kills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    folder, place = tmp_path / "disk" / "folder", tmp_path / "place"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("kept")
    link = tmp_path / "link"
    link.symlink_to(folder)
    (place / MOVES).parent.mkdir(parents=True)
    (place / MOVES).touch()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(Path, call, killed)
        with pytest.raises(KeyboardInterrupt):
            move_in(link, place)
    assert move_in(link, place) == []
    assert not link.is_symlink()
    assert [path.read_text() for path in place.rglob("notes.txt")] == ["kept"]
