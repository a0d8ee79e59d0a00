"""The program as the person has started it: its name, and how to start it again.

In the checkout that is Scrapy's own command, elsewhere the command of the installed distribution.
Whatever tells somebody what to type has the name from here.
"""

from __future__ import annotations

import sys
from pathlib import PurePath

#: The command that an installation makes; pipx can put a suffix behind it.
COMMAND = "mapillary-crawler"
_PACKAGE = __name__.partition(".")[0]


def program_name() -> str:
    """Return what stands before a command where it is typed, `crawl` say.

    `mapillary-crawler`, `python -m mapillary_crawler`, or, however else it was started (by
    Scrapy's command, a Scrapyd server, a script of one's own), `scrapy`.
    """
    script = PurePath(sys.argv[0])
    if script.name.startswith(COMMAND):
        return script.name
    return f"python -m {_PACKAGE}" if _is_package(script) else "scrapy"


def program_typed() -> str:
    """Return the name with the folder before it, where the person has said that."""
    script = sys.argv[0]
    known = PurePath(script).name in {COMMAND, "scrapy"}
    return script if known and not PurePath(script).is_absolute() else program_name()


def program() -> list[str]:
    """Return the command line that starts the same program again, to which a command is added."""
    script = PurePath(sys.argv[0])
    if script.name.startswith(COMMAND):
        return [sys.executable, str(script)]
    return [sys.executable, "-m", _PACKAGE if _is_package(script) else "scrapy"]


def _is_package(script: PurePath) -> bool:
    return script.name == "__main__.py" and script.parent.name == _PACKAGE
