"""A ledger that cannot be read is set aside, with all that SQLite keeps beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapillary_crawler.archive.repair.from_manifests import set_aside
from mapillary_crawler.collection.layout import LEDGER_PATH, STATE, beside_ledger


@pytest.mark.parametrize("renamed", range(4))
def test_whatever_kills_it_nothing_stays_for_the_next_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    """SQLite would take back another ledger's journal into it."""
    (tmp_path / STATE).mkdir()
    names = [str(LEDGER_PATH), *beside_ledger(LEDGER_PATH)]
    for name in names:
        (tmp_path / name).write_text(name)
    left, rename = renamed, Path.rename

    def killed(path: Path, target: Path) -> Path:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return rename(path, target)

    with monkeypatch.context() as context:
        context.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            set_aside(tmp_path)
    assert (tmp_path / LEDGER_PATH).exists()
    set_aside(tmp_path)
    kept = {path.name: path.read_text() for path in (tmp_path / STATE).iterdir()}
    assert kept == {
        name.replace("ledger.sqlite", "ledger.unreadable").removeprefix(f"{STATE}/"): name
        for name in names
    }
