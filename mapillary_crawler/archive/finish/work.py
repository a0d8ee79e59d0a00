"""What every step of the finish is given."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import SCRATCH
from mapillary_crawler.collection.outcome import RunStopped
from mapillary_crawler.image.jxl_codec import Decoder
from mapillary_crawler.ledger.thread import LedgerAccess


@dataclass(frozen=True, slots=True)
class Work:
    """The ledger, the staging folder, and the ways to hear of a stop and to tell of progress.

    A step runs in a thread that is not the ledger's, which it asks for what takes a moment.
    """

    ledger: LedgerAccess
    folder: Path
    stop: Callable[[], bool]
    say: Callable[[str], None]
    #: Called once a tar has its name and is recorded.
    sealed: Callable[[], None] = lambda: None
    #: Bytes that are to stay free on the disk while a tar is written.
    reserve: int = 0
    #: Gives back the JPEG of a JPEG XL; to be closed.
    jpeg_of: Decoder = field(default_factory=Decoder)
    #: Where else images may lie that are in no tar: those of the collection that is updated.
    elsewhere: Sequence[Path] = ()

    @property
    def scratch(self) -> Path:
        """Where files are before they have their names; whatever lies there is rubbish."""
        return self.folder / SCRATCH

    def clear_scratch(self) -> None:
        """Remove whatever lies there; raises `NotFollowed` where it is a link."""
        descent.clear(self.folder, SCRATCH)

    def make_scratch(self) -> None:
        """Make the folder anew; raises `NotFollowed`."""
        self.clear_scratch()
        with descent.opened_folder(self.folder, SCRATCH, make=True):
            pass

    def forget(self, name: str) -> None:
        """Drop the ledger's record of a file that is not, or no longer, the collection's."""
        self.ledger.wait_for(lambda ledger: ledger.pieces.forget(name))

    def check_stop(self) -> None:
        """Raise `RunStopped` where the run is to end; called between files."""
        if self.stop():
            raise RunStopped


def require_space(folder: Path, size: int, purpose: str, reserve: int = 0) -> None:
    """Raise ENOSPC, saying what is needed, before a large file is begun in vain.

    `reserve` are bytes that have to stay free beside it.
    """
    disk = shutil.disk_usage(folder)
    size += reserve
    if disk.total and disk.free < size:  # some network file systems know neither
        raise OSError(
            errno.ENOSPC,
            f"no space for {purpose}: {size:,} bytes are needed, {disk.free:,} are free",
            str(folder),
        )
