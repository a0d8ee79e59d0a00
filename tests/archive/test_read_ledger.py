"""Ledgers that cannot be read where they lie are read from a copy."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.archive.read_ledger import read_ledger
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.ledger.trouble import LedgerTrouble
from tests.ledger.killed import killed

pytestmark = pytest.mark.slow


def test_what_a_kill_left_in_a_rollback_journal_is_read_from_a_copy(tmp_path: Path) -> None:
    path = killed(tmp_path / "a", "journal")
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with closing(read_ledger(tmp_path / "a")) as ledger:
        assert ledger.facts.get("before") == 1
        copy = ledger.database.value("SELECT file FROM pragma_database_list")
        assert Path(copy) != path
    assert not Path(copy).parent.exists()
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    assert not (tmp_path / ".locks").exists()


def test_a_copy_that_cannot_be_made_is_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    killed(tmp_path / "a", "journal")
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(LedgerTrouble, match="No space left"):
        read_ledger(tmp_path / "a")


def test_no_copy_is_made_of_what_somebody_works_on(tmp_path: Path) -> None:
    killed(tmp_path / "a", "journal")
    lock = Lock({tmp_path}, "a")
    with pytest.raises(LedgerTrouble, match=os.strerror(errno.EBUSY)):
        read_ledger(tmp_path / "a")
    with closing(read_ledger(tmp_path / "a", locked=True)) as ledger:
        assert ledger.facts.get("before") == 1
    lock.release()
