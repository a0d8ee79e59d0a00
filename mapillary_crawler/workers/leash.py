"""Starts a command that ends with the process that started it, whatever has ended that.

    python -I -S leash.py PID COMMAND…

Linux: prctl(2), PR_SET_PDEATHSIG; it stays set across execve(2). Elsewhere the command is started,
and no more. This file is run by its path, before anything of the project is imported.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become the command; end at once where the parent has ended meanwhile."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which ends it without a word until then
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
    os.execv(command[0], command)  # noqa: S606  the caller's own


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
