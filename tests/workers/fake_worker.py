"""A worker whose crawls are `fake_crawl.py`.

MAPILLARY_QUEUE=… python fake_worker.py FOLDER MACHINE JOBS LEASE
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mapillary_crawler.collection.outcome import ProjectError
from mapillary_crawler.ledger.records import Slice, SliceState
from mapillary_crawler.workers.dsn import read_dsn
from mapillary_crawler.workers.machine import QueueMachine
from mapillary_crawler.workers.work import Work

STATES = (SliceState.OPEN, SliceState.ENDED)
FAKE = Path(__file__).with_name("fake_crawl.py")


def main(folder: Path, name: str, jobs: int, lease: float) -> None:
    def slices_of(work: Work) -> Sequence[Slice] | None:
        cuts = json.loads((folder / "cuts.json").read_text())
        if work.username not in cuts:
            return None
        log = (folder / "log").read_text().splitlines()
        ended = {
            line.split()[1] for line in log if line[:4] == "END " and line[-2:] in (" 0", " 3")
        }
        return [
            Slice(number, 1, "", "", STATES[f"{work.username}#{number}" in ended])
            for number in range(1, cuts[work.username] + 1)
        ]

    def say(line: object) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    machine = QueueMachine(
        name=name,
        version="1",
        jobs=jobs,
        lease=lease,
        dsn=read_dsn(os.environ),
        command=lambda work: [sys.executable, str(FAKE), str(folder), *work.options(cut=True)],
        store=folder,
        staging=folder,
        slices_of=slices_of,
        environment={key: value for key, value in os.environ.items() if key != "MAPILLARY_QUEUE"},
        application="1",
        say=say,
    )
    try:
        machine.run_worker()
    except ProjectError as error:
        say(error)
        sys.exit(error.outcome.exit_code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
