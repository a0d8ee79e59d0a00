"""What a disk refuses: done without where that is possible, named by its path where it is not."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

#: Errors by which a file system says that it knows no such thing, or never allows it: CIFS and
#: vboxsf have no fsync for folders, exFAT, NTFS and CIFS mounts belong to one user.
_REFUSALS = frozenset(
    {
        errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM,
        errno.EACCES,
    }
)  # fmt: skip

#: A refusal that is met in several places.
TIMES = "set the times of files"

#: What this process was refused already, and has told.
_told: set[str] = set()


class _Named:
    """A context manager of a few hundred nanoseconds, since every write has one."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            error.filename = str(self._path)


def named(path: Path) -> AbstractContextManager[None]:
    """Let errors about an open file have its path, which the system does not know."""
    return _Named(path)


@contextmanager
def best_effort(what: str, path: Path) -> Iterator[None]:
    """Go on where a disk refuses to do `what`, with one warning a process.

    Other errors are raised, with the path: that a disk is broken is no refusal.
    """
    try:
        with named(path):
            yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        if what not in _told:
            _told.add(what)
            logger.warning(
                "The disk of %s does not let us %s (%s); going on without",
                path if path.is_dir() else path.parent, what, error.strerror,
            )  # fmt: skip


def is_allowed(attempt: Callable[[], object]) -> bool:
    """Say whether a disk lets `attempt` be done; errors that are no refusal are raised."""
    try:
        attempt()
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        return False
    return True


def copy_status(source: Path, target: Path) -> None:
    """Give a copy the times and the mode of what it is a copy of, each where its disk allows it.

    A copy of a link gets the link's own.
    """
    try:
        shutil.copystat(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        status = source.lstat()
        times = (status.st_atime_ns, status.st_mtime_ns)
        with best_effort(TIMES, target):
            os.utime(target, ns=times, follow_symlinks=False)
        if not target.is_symlink():
            with best_effort("set the modes of files", target):
                target.chmod(status.st_mode & 0o7777)
