"""A bounded number of what `make fuzz` tries: the judge against libjpeg, its warnings as errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapillary_crawler.image import inspection
from mapillary_crawler.image.inspection import State
from tests.native import fuzz

pytestmark = pytest.mark.long

pytest.importorskip("jpeg_entropy", reason="native/ is not installed: it takes a C compiler")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return fuzz.build(tmp_path_factory.mktemp("fuzz") / "changes.so", "-shared", "-fPIC")
    except fuzz.CannotBuild as absent:
        pytest.skip(str(absent))


@pytest.mark.parametrize("part", range(4))
def test_no_body_is_called_whole_that_libjpeg_calls_damaged(
    library: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_walk_apart", None)  # put back, since `try_judge` sets it
    found = fuzz.try_judge(library, fuzz.corpus(), part << 40, 4_000)
    assert all(found[state] for state in State if state is not State.NOT_JUDGED)
    assert found["not called whole, though libjpeg does"] < found[State.WHOLE] / 10


def test_libjpeg_itself_calls_whole_what_is_and_nothing_that_is_cut(library: Path) -> None:
    changes = fuzz.Changes(library)
    for body in fuzz.KINDS:
        assert changes.is_whole(body)
        assert not changes.is_whole(body[: len(body) // 2] + b"\xff\xd9")
