"""Runs command lines as `scrapy` does, each in a fork of a process that has imported all it needs.

A command line a JSON line of standard input, its exit code and output a JSON line of standard
output. A real process costs a second for its imports; a fork has them.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import tempfile
import traceback
import warnings
from typing import IO, NoReturn

from scrapy.cmdline import execute

import mapillary_crawler

warnings.filterwarnings("error", category=DeprecationWarning, module="mapillary_crawler")


def import_all() -> None:
    """Import what the commands import where they work, but for the commands themselves."""
    for module in pkgutil.walk_packages(mapillary_crawler.__path__, "mapillary_crawler."):
        name = module.name
        if not name.endswith("__main__") and ".commands" not in name:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name not in {"pyarrow", "orjson"}:  # an extra that is not installed
                    raise
    assert "twisted.internet.reactor" not in sys.modules


def be_command(words: list[str], output: IO[bytes]) -> NoReturn:
    """Run a command to its end, in the process forked for it."""
    code = 0
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.argv = ["scrapy", *words]
    try:
        execute()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  as Python ends a program
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    import_all()
    for line in sys.stdin:
        with tempfile.TemporaryFile() as output:
            process = os.fork()
            if process == 0:
                be_command(json.loads(line), output)
            _, status = os.waitpid(process, 0)
            output.seek(0)
            text = output.read().decode()
        sys.stdout.write(f"{json.dumps([os.waitstatus_to_exitcode(status), text])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
