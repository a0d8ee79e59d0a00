"""The live lines in tmux: a real terminal that wraps what was written when it is resized."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crawling import PROJECT, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

#: Draws three live lines, the first longer than any terminal, whenever it is told to.
SHOW = """
import itertools, pathlib, sys, time
from rich.text import Text
from mapillary_crawler.terminal.live_lines import LiveTerminal
folder = pathlib.Path(sys.argv[1])
with LiveTerminal() as lines:
    try:
        for number in itertools.count():
            lines.show(Text(f"<top> {'long ' * 60}\\n<middle> {number}\\n<foot>"))
            print(f"log line {number}", file=sys.stderr)
            while not (folder / str(number)).exists():
                time.sleep(0.01)
    except KeyboardInterrupt:
        pass
print("ended")
"""

Tmux = Callable[..., str]


@pytest.fixture
def tmux() -> Iterator[Tmux]:
    name = f"test-{uuid.uuid4().hex[:8]}"

    def run(*arguments: str) -> str:
        command = ["tmux", "-L", name, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    environment = f"PYTHONPATH={PROJECT}"
    run("new-session", "-d", "-s", "s", "-x", "120", "-y", "30", "-e", environment,
        "env", "PS1=$ ", "sh")  # fmt: skip
    try:
        yield run
    finally:
        run("kill-server")


def screen(tmux: Tmux) -> list[str]:
    return [
        line
        for line in tmux("capture-pane", "-p", "-S", "-", "-t", "s").splitlines()
        if line.strip()
    ]


def has_columns(tmux: Tmux, columns: int) -> bool:
    """Say whether the program in the terminal can know of a resize; tmux takes its time."""
    terminal = tmux("display-message", "-p", "-t", "s", "#{pane_tty}").strip()
    size = subprocess.run(
        ["stty", "-F", terminal, "size"], capture_output=True, text=True, check=True
    )
    return size.stdout.split()[1] == str(columns)


def test_resized_and_interrupted(tmux: Tmux, tmp_path: Path) -> None:
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    tmux("send-keys", "-t", "s", f"clear; {sys.executable} {script} {tmp_path}", "Enter")
    wait_until(lambda: "<middle> 0" in screen(tmux))
    for number, columns in enumerate((200, 80, 50, 33, 120, 79), 1):
        tmux("resize-window", "-t", "s", "-x", str(columns), "-y", "30")
        wait_until(lambda columns=columns: has_columns(tmux, columns))
        (tmp_path / str(number - 1)).touch()
        wait_until(lambda number=number: f"log line {number}" in screen(tmux))
        wait_until(lambda: screen(tmux)[-1] == "<foot>")
        *logged, top, middle, foot = screen(tmux)
        assert logged == [f"log line {each}" for each in range(number + 1)]
        assert top.startswith("<top> long")
        assert top.endswith("…")
        assert len(top) == columns - 1
        assert (middle, foot) == (f"<middle> {number}", "<foot>")
    tmux("send-keys", "-t", "s", "C-c", "")
    wait_until(lambda: "ended" in screen(tmux))
    shown = screen(tmux)
    end = shown.index("ended")
    assert shown[:end] == [f"log line {each}" for each in range(7)]
    assert set(shown[end + 1 :]) <= {"$"}
