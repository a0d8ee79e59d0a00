"""Stands for a crawl: takes its time, ends as a plan says, and says so in a log that all share.

python fake_crawl.py FOLDER -a username=NAME [-a slice=N] …
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType


def name_of(arguments: list[str]) -> str:
    given = dict(each.split("=", 1) for each in arguments if "=" in each)
    return given["username"] + (f"#{given['slice']}" if "slice" in given else "")


def main(folder: Path, arguments: list[str]) -> None:
    name = name_of(arguments)

    def say(word: str, *rest: object) -> None:
        with (folder / "log").open("a") as log:
            log.write(" ".join(map(str, (word, name, os.getpid(), *rest))) + "\n")

    def stop(_number: int, _frame: FrameType | None) -> None:
        say("STOP")
        os._exit(4)

    signal.signal(signal.SIGTERM, stop)
    before = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    attempts = sum(line.startswith(f"BEGIN {name} ") for line in before)
    say("BEGIN", folder.name, json.dumps(sorted(set(os.environ))).replace(" ", ""))
    plan = json.loads((folder / "plan.json").read_text()).get(name, [[0.1, 0]])
    seconds, code = plan[min(attempts, len(plan) - 1)]
    time.sleep(seconds)
    say("END", code)
    sys.exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
