"""Names that a disk takes for the same, since they differ by capitals alone.

So do the disks of Macs and of Windows, and FAT, exFAT and CIFS. Folders of two sequences that meet
hold the files of both under one of the names, and files of two images are one.
"""

from __future__ import annotations

from pathlib import Path

from mapillary_crawler.archive.finish.errors import NamesMeet
from mapillary_crawler.archive.finish.work import Work
from mapillary_crawler.collection.probes import keeps_case


def refuse_meeting_names(work: Work, destination: Path, *, tar: bool) -> None:
    """End the run where names of the collection meet on a disk that it is to lie on.

    In a tar they are apart; then only the files of images, in staging, must not meet. What is
    saved stays in staging. Raises `NamesMeet`, `OSError`.
    """
    folders = [work.folder] if tar else [work.folder, destination.parent]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        if keeps_case(folder):
            continue
        met = work.ledger.wait_for(lambda ledger: ledger.survey.meeting_names(sequences=not tar))
        if met:
            raise NamesMeet(met, folder, tar=tar)
