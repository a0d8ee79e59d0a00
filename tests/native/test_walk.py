"""What the walk calls whole, libjpeg decodes without a warning; and what is whole, it calls so."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mapillary_crawler.image import walk
from tests import shared_data
from tests.crawling import PROJECT
from tests.native.pictures import HOSTILE, KINDS, START_OF_SCAN, libjpeg_warns, picture
from tests.native.streams import EOI, SOS, Maker, segment, stuffed

jpeg_entropy = pytest.importorskip(
    "jpeg_entropy", reason="native/ is not installed: it takes a C compiler"
)

#: Sampling factors of three components in one direction: the largest is a multiple of each.
FACTORS = [
    each for each in product(range(1, 5), repeat=3) if not any(max(each) % one for one in each)
]

options = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 90), st.integers(1, 90)),
        "mode": st.sampled_from(["RGB", "L"]),
        "grain": st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        "quality": st.integers(1, 100),
        "progressive": st.booleans(),
        "optimize": st.booleans(),
        "subsampling": st.integers(0, 2),
    },
    optional={"restart_marker_blocks": st.integers(1, 5)},
)


@given(options)
def test_whole_pictures_are_called_whole(options: dict[str, Any]) -> None:
    assert jpeg_entropy.is_whole(picture(**options))


@pytest.mark.parametrize("path", shared_data.files("cdn-files/*.jpg", "photos/*.jpg"))
def test_real_pictures_are_called_whole(path: Path) -> None:
    body = path.read_bytes()
    assert jpeg_entropy.is_whole(body)
    assert not jpeg_entropy.is_whole(body[: len(body) // 2])


@pytest.mark.parametrize("progressive", [False, True])
def test_three_components_without_chroma_are_called_whole(progressive: bool) -> None:
    assert jpeg_entropy.is_whole(picture((40, 30), keep_rgb=True, progressive=progressive))


@pytest.mark.parametrize("progressive", [False, True])
def test_four_inks_are_called_whole(progressive: bool) -> None:
    body = picture((40, 30), "CMYK", progressive=progressive)
    assert jpeg_entropy.is_whole(body)
    assert not jpeg_entropy.is_whole(body[:-30] + EOI)


@pytest.mark.parametrize("across", FACTORS)
def test_any_legal_sampling_is_called_whole_by_both_walks(across: tuple[int, ...]) -> None:
    maker = Maker(1)
    for down in FACTORS:
        body = maker.jpeg([wide << 4 | high for wide, high in zip(across, down, strict=True)])
        assert jpeg_entropy.is_whole(body)
        assert not jpeg_entropy.is_whole(body[: len(body) * 2 // 3] + EOI)
        if down == across[::-1]:  # of those in Python, which take long, some
            assert walk.is_whole(body)
            assert not walk.is_whole(body[: len(body) * 2 // 3] + EOI)


def test_bytes_after_the_end_are_no_matter() -> None:
    assert jpeg_entropy.is_whole(KINDS[0] + b"\0" * 100)


def test_a_scan_for_each_component_is_whole() -> None:
    """Sequential, but not interleaved: every block is "no difference, end of block"."""
    output = BytesIO()
    Image.new("RGB", (24, 16), (128, 128, 128)).save(output, "JPEG", subsampling=2)
    start = output.getvalue()[: output.getvalue().index(START_OF_SCAN)]
    bits = {1: "001010" * 3 * 2, 2: "0000" * 2, 3: "0000" * 2}  # 3 x 2 blocks, and 2 x 1
    scans = {
        number: segment(SOS, bytes([1, number, 0x11 * (number > 1), 0, 63, 0])) + stuffed(each)
        for number, each in bits.items()
    }
    body = start + b"".join(scans.values()) + EOI
    assert not libjpeg_warns(body)
    assert jpeg_entropy.is_whole(body)
    assert not jpeg_entropy.is_whole(start + scans[1] + scans[2] + EOI)
    assert not jpeg_entropy.is_whole(start + scans[1] * 2 + scans[2] + scans[3] + EOI)
    assert not jpeg_entropy.is_whole(start + scans[1] + scans[2] + scans[3][:-1] + EOI)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_no_cut_is_called_whole(kind: int) -> None:
    body = KINDS[kind]
    for cut in range(len(body)):
        for damaged in (body[:cut], body[:cut] + EOI):
            if jpeg_entropy.is_whole(damaged):
                assert cut >= len(body) - 2


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_zeros_for_the_rest_are_never_called_whole(kind: int) -> None:
    body = KINDS[kind]
    start = body.index(START_OF_SCAN) + 14
    for part in range(10):
        kept = start + (len(body) - 12 - start) * part // 10
        zeroed = body[:kept] + bytes(len(body) - 2 - kept) + EOI
        assert not jpeg_entropy.is_whole(zeroed)


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_was_once_called_whole_is_not(body: bytes) -> None:
    assert libjpeg_warns(body)
    assert not jpeg_entropy.is_whole(body)


@pytest.mark.parametrize("seed", range(4))
def test_any_valid_stream_is_called_whole_and_damage_as_libjpeg_does(seed: int) -> None:
    maker, random = Maker(seed), Random(seed)
    for _ in range(100):
        body = maker.jpeg()
        assert not libjpeg_warns(body)
        assert jpeg_entropy.is_whole(body)
        assert walk.is_whole(body)
        damaged = bytearray(body)
        damaged[random.randrange(20, len(body))] = random.choice((0, 0xFF, random.randrange(256)))
        whole = jpeg_entropy.is_whole(bytes(damaged))
        assert walk.is_whole(bytes(damaged)) == whole
        if whole:
            assert not libjpeg_warns(bytes(damaged))


changes = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.floats(0, 1), st.binary(min_size=1, max_size=3)),
        st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("delete"), st.floats(0, 1), st.binary(min_size=1, max_size=30)),
        st.tuples(st.just("end"), st.floats(0, 1), st.just(EOI)),
    ),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from(KINDS), changes)
def test_what_is_called_whole_libjpeg_decodes_without_a_warning(
    body: bytes, changes: list[tuple[str, float, bytes]]
) -> None:
    for kind, where, some in changes:
        at = 2 + int(where * (len(body) - 2))
        after = {"set": at + len(some), "insert": at, "delete": at + len(some), "end": len(body)}
        body = body[:at] + (b"" if kind == "delete" else some) + body[after[kind] :]
    if jpeg_entropy.is_whole(body):
        assert not libjpeg_warns(body)


def test_many_changed_bytes_never_make_it_differ_from_libjpeg() -> None:
    random, whole = Random(2), 0
    for _ in range(20_000):
        body = bytearray(random.choice(KINDS))
        for _ in range(random.randrange(1, 4)):
            body[random.randrange(20, len(body))] = random.choice((0, 0xFF, random.randrange(256)))
        if jpeg_entropy.is_whole(bytes(body)):
            whole += 1
            assert not libjpeg_warns(bytes(body))
    assert whole > 1000  # most damage within a scan is seen by neither


@given(st.binary(max_size=200), st.integers(0, 4))
def test_no_bytes_are_called_whole(tail: bytes, start: int) -> None:
    assert not jpeg_entropy.is_whole(b"\xff\xd8\xff\xc2"[:start] + tail)


def test_a_library_that_cannot_be_loaded_is_as_none(tmp_path: Path) -> None:
    installed = Path(jpeg_entropy.__file__).parent
    copy = tmp_path / "jpeg_entropy"
    copy.mkdir()
    (copy / "__init__.py").write_bytes((installed / "__init__.py").read_bytes())
    for library in installed.glob("_walk*"):
        (copy / library.name).write_bytes(b"cut off")
    code = "import mapillary_crawler.image.inspection as i; print(i._native_walk)"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert ran.stdout == "None\n", ran.stderr
