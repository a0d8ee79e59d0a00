"""The right to work on a collection, and why a run may not start."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from mapillary_crawler.collection.layout import lock_path
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.collection.refusals import named


class Lock:
    """The right to work on a collection; a dead process does not hold it.

    One file in the store and one in the staging folder, since either may be shared with a
    process that has another of the other. The files go when the lock is let go. Raises
    `Refused` where another process holds it, `OSError` where its files cannot be made, or with
    the folder whose disk knows no locks.
    """

    def __init__(self, folders: set[Path], name: str) -> None:
        self._held: list[tuple[Path, int]] = []
        for folder in sorted(folders):
            path = lock_path(folder, name)
            try:
                handle = self._take(path)
            except OSError:
                self.release()
                raise
            if handle is None:
                self.release()
                raise Refused(
                    Outcome.LOCKED,
                    f"another process works on {name}; wait for it, or stop it first",
                )
            self._held.append((path, handle))

    @staticmethod
    def _take(path: Path) -> int | None:
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            except (FileNotFoundError, FileExistsError):
                if path.parent.is_file() or path.parent.is_symlink():
                    raise
                continue  # the one before has just removed the folder
            except OSError:
                with suppress(OSError):
                    path.parent.rmdir()
                raise
            try:
                with named(path.parent.parent):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return None
            except OSError:
                _forget(path, handle)
                raise
            with suppress(FileNotFoundError):  # the one before may just have removed it
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            os.close(handle)

    def release(self) -> None:
        """Let the lock go and remove its files, as far as the disk still lets us.

        A file that stays holds nobody up.
        """
        for path, handle in self._held:
            _forget(path, handle)
        self._held.clear()


def _forget(path: Path, handle: int) -> None:
    """Remove a lock's file, then let it go."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        os.close(handle)
    with suppress(OSError):
        path.parent.rmdir()
