"""The captures in docs/ are what the commands show: the same headings, columns and words."""

from __future__ import annotations

import shutil

import pytest

from tests import captures

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


def committed(columns: int) -> dict[str, str]:
    """Return the captures of docs/ at a width, by name."""
    if columns == captures.PAGE_WIDTH:
        return captures.blocks(captures.PAGE.read_text())
    return captures.blocks((captures.FOLDER / f"{columns}.md").read_text())


@pytest.mark.parametrize("columns", captures.WIDTHS)
def test_every_width_has_every_capture(columns: int) -> None:
    names = [capture.name for capture in captures.STILL + captures.MOVING]
    assert sorted(committed(columns)) == sorted(names)
    for capture in captures.STILL + captures.MOVING:
        if capture.drawn:
            drawn = (captures.FOLDER / f"{capture.name}-{columns}.svg").read_text()
            assert "url(" not in drawn.replace("url(#", "")  # it loads nothing


@pytest.mark.parametrize("columns", captures.WIDTHS)
def test_commands_show_what_is_committed(columns: int) -> None:
    """Otherwise run `python -m tests.captures`, and look at what has changed."""
    before = committed(columns)
    for capture, screen in captures.captured(columns, captures.STILL):
        now = captures.plain(screen)
        assert captures.shape(now) == captures.shape(before[capture.name]), capture.name
