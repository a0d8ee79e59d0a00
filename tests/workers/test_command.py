"""Which users of the queue are cut, by what a machine's own file says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.collection import configuration_file
from mapillary_crawler.workers.command import may_be_cut
from mapillary_crawler.workers.work import Work

SENT = {"upload": "1", "remove": "1"}


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Return the file of the machine's user, which is not there."""
    path = tmp_path / "own.toml"
    monkeypatch.setattr(configuration_file, "user_file", lambda: path)
    monkeypatch.chdir(tmp_path)
    configuration_file.in_force.cache_clear()
    yield path
    configuration_file.in_force.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "told", "cut", "cut_shared"),
    [
        ("", {}, True, True),
        ("", SENT, True, False),
        ("check_ia = 0\ntar = 1", {}, True, True),
        ("upload = 1", {}, False, False),
        ("upload = 1\nremove = 1", {"upload": "1"}, False, False),
        ("upload = 1\nremove = 1", SENT, True, False),
        ("upload = 1", {"upload": "0"}, True, True),
        ("quality = 256", {}, False, False),
        ("quality = 256", {"quality": "1024"}, True, True),
    ],
)
def test_nobody_is_cut_by_what_a_task_does_not_say(
    file: Path, arguments: str, told: dict[str, str], cut: bool, cut_shared: bool
) -> None:
    file.write_text(f"[arguments]\n{arguments}\n")
    assert may_be_cut(Work("ann", told), is_shared=False) is cut
    assert may_be_cut(Work("ann", told), is_shared=True) is cut_shared
