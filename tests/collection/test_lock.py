"""The lock's end, whatever has become of its files."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.places import Places


def test_a_lock_whose_file_is_something_else_is_let_go(tmp_path: Path) -> None:
    for spoil in (
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: shutil.rmtree(path.parent),
        lambda path: (shutil.rmtree(path.parent), path.parent.write_bytes(b"")),
    ):
        folder = tmp_path / "store"
        folder.mkdir()
        lock = Lock({folder}, "name")
        spoil(folder / ".locks" / "name")
        lock.release()
        shutil.rmtree(folder)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_lock_whose_disk_went_away_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    lock = Lock({tmp_path / "store", tmp_path / "staging"}, "name")
    with monkeypatch.context() as gone:
        gone.setattr(Path, "unlink", fail)
        gone.setattr(Path, "rmdir", fail)
        lock.release()
    Lock({tmp_path / "store", tmp_path / "staging"}, "name").release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_disk_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match=os.strerror(number)) as trouble:
        Lock({tmp_path / "store"}, "name")
    assert trouble.value.filename == str(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_nobody_works_on_a_disk_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    folder = tmp_path / "mapillary-ann-original"
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / folder.name).touch()
    monkeypatch.setattr(fcntl, "flock", fail)
    assert not Places(tmp_path, tmp_path / "staging").is_locked(folder)
