"""Whole images pass, JPEGs with their size; damaged ones do not, whatever they end in."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mapillary_crawler.image import inspection, walk
from mapillary_crawler.image.inspection import (
    PIXELS,
    DamagedImage,
    NotAnImage,
    NotJudged,
    State,
    Verdict,
    judge,
    judge_file,
    judge_webp,
    most_pixels,
)
from tests import shared_data
from tests.native.streams import DHT, DQT, SOI, SOS, segment, stuffed

END = b"\xff\xd9"
START_OF_SCAN = b"\xff\xda"


def inspect(body: bytes) -> Verdict:
    """Return the verdict on a whole JPEG, or raise what says that it is none."""
    verdict = judge(body)
    verdict.check()
    return verdict


def inspect_webp(body: bytes) -> None:
    judge_webp(body).check()


@cache
def picture(mode: str = "RGB", size: tuple[int, int] = (200, 100), **options: Any) -> bytes:
    """Return a JPEG that is hard to compress, so that its scan is most of it."""
    output = BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(output, "JPEG", **options)
    return output.getvalue()


def webp(size: tuple[int, int] = (200, 100), mode: str = "RGB", **options: Any) -> bytes:
    output = BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(output, "WEBP", **options)
    return output.getvalue()


def frame(body: bytes) -> int:
    """Return where the frame header's length is."""
    return min(
        found + 2 for marker in (b"\xff\xc0", b"\xff\xc2") if (found := body.find(marker)) > 0
    )


def claiming(width: int, height: int, body: bytes) -> bytes:
    """Return a JPEG whose header says that it is so large."""
    start = frame(body)
    sizes = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return body[: start + 3] + sizes + body[start + 7 :]


def oddly_sampled(side: int) -> bytes:
    """Return a grey picture whose chroma has samplings that simplejpeg does not know.

    Y is 2x2, Cb 2x1, Cr 1x2. The scan is written here: every block is "no difference, end of
    block" in the codes of the standard tables, 00 1010 for Y and 00 00 for the others.
    """
    output = BytesIO()
    Image.new("RGB", (side, side), (128, 128, 128)).save(output, "JPEG", subsampling=2)
    body = bytearray(output.getvalue())
    for component, sampling in enumerate((0x22, 0x21, 0x12)):
        body[frame(body) + 9 + 3 * component] = sampling
    scan = body.find(START_OF_SCAN) + 2
    header = bytes(body[: scan + int.from_bytes(body[scan : scan + 2], "big")])
    bits = ("001010" * 4 + "0000" * 4) * (side // 16) ** 2
    return header + int(bits, 2).to_bytes(len(bits) // 8, "big") + END


KINDS = {
    "colour": picture(),
    "progressive": picture(progressive=True),
    "grey": picture("L"),
    "grey progressive": picture("L", progressive=True),
    "four inks": picture("CMYK"),
    "four inks progressive": picture("CMYK", progressive=True),
    "no chroma subsampling": picture(subsampling=0),
    "rgb": picture(keep_rgb=True),
    "optimized": picture(optimize=True),
    "restart markers": picture(restart_marker_rows=1),
    "portrait": picture(size=(30, 300)),
    "one pixel": picture(size=(1, 1)),
    "comment and profile": picture(comment=b"x" * 60_000, icc_profile=b"y" * 100_000),
    "widest": picture(size=(65500, 2)),
}
LARGE = {name: body for name, body in KINDS.items() if name != "one pixel"}


def scans(body: bytes) -> tuple[int, int]:
    """Return where the picture's own first scan starts and its last one ends."""
    start = 2
    while body[start : start + 2] != START_OF_SCAN:  # a thumbnail in EXIF has scans, too
        start += 2 + int.from_bytes(body[start + 2 : start + 4], "big")
    return start + 20, body.index(END, start)


def ways_to_damage(body: bytes) -> dict[str, bytes]:
    """Return what a cut or a zero-filled transfer leaves, with and without an end marker."""
    start, end = scans(body)
    damaged = {}
    for part in (0.0, 0.3, 0.9):
        kept = body[: start + int((end - start) * part)]
        lost = len(body) - len(kept)
        damaged |= {
            f"cut at {part}": kept,
            f"cut at {part}, ended": kept + END,
            f"zeros from {part}": kept + bytes(lost),
            f"zeros from {part}, ended": kept + bytes(lost - 2) + END,
        }
    return damaged


@pytest.fixture(params=[True, False], ids=["walked", "decoded"])
def _walked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the walk of native/, and as if that were not installed.

    The walk in Python is not given a process here, which takes longer than the picture.
    """
    if not request.param:
        monkeypatch.setattr(inspection, "_native_walk", None)
        monkeypatch.setattr(inspection, "_walk_apart", walk.is_whole)


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize("body", KINDS.values(), ids=KINDS)
def test_whole_pictures_pass(body: bytes) -> None:
    found = inspect(body)
    with Image.open(BytesIO(body)) as image:
        assert (found.width, found.height) == image.size
    assert found.sha256 == hashlib.sha256(body).digest()


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_damaged_pictures_do_not(body: bytes) -> None:
    for way, damaged in ways_to_damage(body).items():
        with pytest.raises(DamagedImage):
            pytest.fail(f"{way} passed as {inspect(damaged)}")


def test_the_inks_of_four_may_be_ycck() -> None:
    body = bytearray(picture("CMYK"))
    body[body.find(b"Adobe") + 11] = 2
    assert inspect(bytes(body)).width == 200


@pytest.mark.parametrize("more", [b"\x00", b"\x00" * 5000, b"hello", END, b"\xff\xd8\xff", b"\xff"])
@pytest.mark.parametrize("progressive", [True, False])
def test_bytes_after_the_end_marker_are_no_fault(more: bytes, progressive: bool) -> None:
    body = picture(progressive=progressive) + more
    assert inspect(body).sha256 == hashlib.sha256(body).digest()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF"])
def test_another_format_is_whole_or_no_image(kind: str) -> None:
    """Never damaged: only a JPEG is stored as served where it is damaged at the source."""
    packed = BytesIO()
    Image.new("RGB", (64, 48), "teal").save(packed, kind)
    verdict = judge(packed.getvalue())
    assert (verdict.state, verdict.extension) == (State.WHOLE, kind.lower())
    assert (verdict.width, verdict.height) == (64, 48)
    assert judge(packed.getvalue()[:-30]).state is State.NO_IMAGE
    assert judge(packed.getvalue(), 1000).state is State.NO_IMAGE
    assert judge_file(packed.getvalue(), kind.lower()).has_all_pixels
    assert judge_file(packed.getvalue(), "jpg").state is State.NO_IMAGE


def test_an_end_marker_before_the_picture_is_no_picture() -> None:
    assert not judge(b"\xff\xd8\xff\xd9" + picture()).has_all_pixels


def test_two_pictures_in_one_file_are_one() -> None:
    assert inspect(picture() + picture("L", (16, 16))).width == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "an empty body"),
        (b" \r\n\t", "an empty body"),
        (b"<html>", "an HTML page"),
        (b"\n <!DOCTYPE html>", "an HTML page"),
        (b"URL signature expired", "no image"),
        (b"\x89PNG\r\n\x1a\n", "no whole PNG"),
        (b"RIFF\x00\x00\x00\x00WEBP", "no whole WEBP"),
        (b"\xff", "no image"),
        (b"\x00\xff\xd8", "no image"),
    ],
)
def test_what_does_not_start_as_a_jpeg_is_no_image(body: bytes, said: str) -> None:
    with pytest.raises(NotAnImage, match=said):
        inspect(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xd8",
        b"\xff\xd8" + END,
        b"\xff\xd8<html>",
        b"\xff\xd8" + bytes(1000),
        b"\xff\xd8\xff" + bytes(1000),
        b"\xff\xd8\xff\xe1\xff\xff" + bytes(100),
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 10_000,
        b"\xff\xd8" + picture()[2 : picture().find(START_OF_SCAN)] + END,
    ],
)
def test_what_only_starts_as_a_jpeg_is_damaged(body: bytes) -> None:
    with pytest.raises(DamagedImage) as damaged:
        inspect(body)
    assert "0x" not in str(damaged.value)  # no address of an object: the reason is compared
    assert len(str(damaged.value)) < 300


@given(st.binary(max_size=300), st.integers(0, 3))
def test_no_bytes_break_it(tail: bytes, start: int) -> None:
    with pytest.raises((NotAnImage, DamagedImage)):
        inspect(b"\xff\xd8\xff"[:start] + tail)


@given(st.data())
def test_no_changed_byte_breaks_it(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([picture(size=(40, 40)), picture("CMYK", (8, 8))])))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(2, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = inspect(bytes(body))
    except DamagedImage:
        return
    assert found.width * found.height <= 250_000_000


# Absurd dimensions


@pytest.mark.parametrize("size", [(65535, 65535), (16000, 16000), (65500, 4000)])
@pytest.mark.parametrize("progressive", [True, False])
def test_absurd_dimensions_are_not_even_tried(
    size: tuple[int, int], progressive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    monkeypatch.setattr(inspection, "_native_walk", None)
    verdict = judge(claiming(*size, picture(progressive=progressive)))
    assert verdict.state is State.REFUSED
    assert "absurd dimensions" in verdict.reason
    assert verdict.is_damaged


@pytest.mark.parametrize("size", [(0, 0), (0, 100), (200, 0)])
def test_no_dimensions_are_damage(size: tuple[int, int]) -> None:
    with pytest.raises(DamagedImage):
        inspect(claiming(*size, picture()))


def test_the_largest_of_the_service_is_not_absurd() -> None:
    output = BytesIO()
    Image.new("L", (11_000, 5_500)).save(output, "JPEG")
    found = inspect(output.getvalue())
    assert (found.width, found.height) == (11_000, 5_500)


@pytest.mark.parametrize(
    ("body", "inspect_large"),
    [(picture(), inspect), (oddly_sampled(256), inspect), (webp(), inspect_webp)],
    ids=["colour", "odd", "webp"],
)
def test_large_pictures_take_turns_and_small_ones_do_not_wait(
    body: bytes, inspect_large: Callable[[bytes], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_LARGE_PIXELS", 200 * 100 - 1)
    done = threading.Event()

    def work() -> None:
        inspect_large(body)
        done.set()

    with inspection._large:
        thread = threading.Thread(target=work)
        thread.start()
        assert inspect(picture(size=(64, 64))).width == 64
        assert not done.wait(0.2)
    thread.join(30)
    assert done.is_set()


def test_a_large_picture_that_is_damaged_lets_the_next_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "_LARGE_PIXELS", 0)
    for _ in range(2):
        with pytest.raises(DamagedImage):
            inspect(picture()[:-100] + END)
    assert inspect(picture()).width == 200


# What TurboJPEG does not take


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize("side", [16, 256, 1024])
def test_odd_sampling_passes_with_its_full_size(side: int) -> None:
    found = inspect(oddly_sampled(side))
    assert (found.width, found.height) == (side, side)


@pytest.mark.usefixtures("_walked")
def test_odd_sampling_that_is_cut_is_damaged() -> None:
    body = oddly_sampled(256)
    for damaged in (body[: len(body) // 2], body[: len(body) // 2] + END):
        verdict = judge(damaged)
        assert verdict.state is State.DAMAGED
        assert verdict.reason == "its codes do not give a whole picture"


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize("error", [KeyError(6), SystemError("odd"), IndexError(), OSError("no")])
def test_whatever_a_decoder_raises_the_walk_has_the_last_word(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(simplejpeg, "decode_jpeg", fail)
    assert judge(picture()).state is State.WHOLE
    assert judge(ways_to_damage(picture())["cut at 0.3, ended"]).state is State.DAMAGED
    monkeypatch.setattr(simplejpeg, "decode_jpeg_header", fail)
    assert judge(picture()).state is State.WHOLE


def test_the_walk_in_python_has_a_process_of_its_own() -> None:
    body = oddly_sampled(128)
    assert judge(body, walk=False).state is State.WHOLE
    assert judge(body[:-20] + END, walk=False).state is State.DAMAGED


# What says nothing of the body


@pytest.mark.parametrize(
    ("decode", "error"),
    [
        ("decode_jpeg_header", MemoryError()),
        ("decode_jpeg", MemoryError()),
        ("decode_jpeg", ValueError("Insufficient memory (case 4)")),
    ],
)
def test_want_of_memory_is_no_verdict(
    decode: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(simplejpeg, decode, fail)
    verdict = judge(picture(), walk=False)
    assert verdict.state is State.NOT_JUDGED
    assert not verdict.is_damaged
    with pytest.raises(NotJudged, match="MemoryError"):
        verdict.check()


def test_a_walk_that_takes_too_long_is_ended_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "_CLOCK", 0.01)
    verdict = judge(oddly_sampled(256), walk=False)
    assert verdict.state is State.NOT_JUDGED
    assert "TimeoutExpired" in verdict.reason


def test_a_walk_that_cannot_be_started_or_breaks_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in (str(tmp_path / "none"), "/bin/false"):
        monkeypatch.setattr(inspection.sys, "executable", program)
        assert judge(oddly_sampled(16), walk=False).state is State.NOT_JUDGED


# Odd headers


JFIF_2 = b"\xff\xe0\0\x10JFIF\0\2\1\0\0\1\0\1\0\0"
#: Before the first scan; libjpeg warns of most of them, and decodes all the picture.
ODDITIES = {
    "JFIF 2": JFIF_2,
    "JFIF without its thumbnail": b"\xff\xe0\0\x10JFIF\0\1\2\7\0\1\0\1\x09\x09",
    "a JFIF extension": b"\xff\xe0\0\x08JFXX\0\x13",
    "a transform that Adobe does not know": b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\x07",
    "two inks too few for Adobe's transform": b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\2",
    "a cut Adobe segment": b"\xff\xee\0\4Ad",
    "an application segment of length 0": b"\xff\xe1\0\0",
    "an application segment of length 1": b"\xff\xe1\0\1",
    "stray bytes": b"stray bytes, 44 of them or so, as in a10-pixel",
    "stray zeros": bytes(100),
    "a stuffed byte": b"\xff\0",
    "fill bytes": b"\xff" * 20,
    "a comment without text": b"\xff\xfe\0\2",
    "a restart marker": b"\xff\xd3",
    "a temporary marker": b"\xff\1",
    "a number of lines": b"\xff\xdc\0\4\0\x10",
    "restarts switched off": b"\xff\xdd\0\4\0\0",
}


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize("oddity", ODDITIES.values(), ids=ODDITIES)
@pytest.mark.parametrize(
    "body",
    [picture(), picture(progressive=True), picture("L"), oddly_sampled(128)],
    ids=["colour", "progressive", "grey", "odd"],
)
def test_an_odd_header_makes_no_difference(body: bytes, oddity: bytes) -> None:
    odd = body[:2] + oddity + body[2:]
    assert judge(odd).state is State.WHOLE
    for way, damaged in ways_to_damage(body).items():
        found = judge(damaged[:2] + oddity + damaged[2:])
        assert found.state is judge(damaged).state, way
        assert found.is_damaged, way


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xd8" + END + picture(), "it ends before its first scan"),
        (b"\xff\xd8" * 2 + picture()[2:], "it starts a second time"),
        (picture()[: frame(picture()) - 2] + END, "it ends before its first scan"),
        (picture()[:2] + picture()[picture().find(START_OF_SCAN) :], "no frame"),
        (picture()[: frame(picture()) + 3], "header cut off"),
        (picture()[:2] + b"\xff\xe1\xff\xff" + picture()[2:2000], "header cut off"),
    ],
)
def test_a_header_without_a_picture_is_damaged(body: bytes, reason: str) -> None:
    verdict = judge(body)
    assert verdict.state is State.DAMAGED
    assert reason in verdict.reason


# What ends early


def between_scans(body: bytes) -> list[int]:
    """Return where a marker follows the codes of a scan."""
    start = scans(body)[0]
    return [
        found.start()
        for found in re.finditer(rb"\xff[\xc4\xda\xd9]", body)
        if found.start() > start
    ]


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("ended", [True, False])
def test_a_file_that_ends_between_two_scans_is_cut(mode: str, ended: bool) -> None:
    body = picture(mode, progressive=True)
    *places, end = between_scans(body)
    assert len(places) >= 5
    for place in places:
        verdict = judge(JFIF_2.join((body[:2], body[2:place])) + END * ended)
        assert verdict.state is State.CUT
        assert verdict.is_damaged
        assert "coefficients are missing" in verdict.reason
    assert judge(body[: end + 2]).state is State.WHOLE


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize(
    "body",
    [picture(), picture(progressive=True), picture("CMYK"), oddly_sampled(128)],
    ids=["colour", "progressive", "inks", "odd"],
)
def test_pixels_that_are_all_there_lack_their_end(body: bytes) -> None:
    body = body[: body.rindex(END)]
    assert judge(body).state is State.NO_END
    for zeros in (20, 5000):
        assert judge(body + bytes(zeros)).state is State.NO_END
        verdict = judge(body + bytes(zeros) + END)
        assert verdict.state is State.NO_END
        assert verdict.has_all_pixels
        assert not verdict.is_damaged
        assert "zeros" in verdict.reason


# Work that the header asks for


def many_scans(count: int, side: int) -> bytes:
    """Return a progressive picture of scans that bring nothing."""
    body = picture("L", (16, 16), progressive=True)
    (first, *_), size = between_scans(body), side.to_bytes(2, "big")
    table = b"\xff\xc4\0\x14\x10\1" + bytes(16)  # one code: the end of 16,384 blocks, say
    scan = START_OF_SCAN + b"\0\x08\1\1\0\1\x3f\0" + b"\x55"
    body = body[:first] + (table + scan) * count + END
    at = frame(body) + 3
    return body[:at] + size * 2 + body[at + 4 :]


@pytest.mark.parametrize("walked", [True, False])
@pytest.mark.parametrize(
    ("scans", "side", "refused"),
    [(499, 16, False), (500, 16, True), (9, 15_800, True), (7, 15_800, False), (100, 5_000, True)],
)
def test_scans_are_counted_before_any_is_decoded(
    scans: int, side: int, refused: bool, walked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fault(*_: object) -> str:
        asked.append("libjpeg")
        return "it has none"

    monkeypatch.setattr(inspection, "_fault", fault)
    verdict = judge(many_scans(scans, side), walk=walked)
    assert (verdict.state is State.REFUSED) == refused
    assert bool(asked) != refused
    assert (verdict.width, verdict.height) == (side, side)


def whole_of_scans(bits: int) -> bytes:
    """Return a grey block that is whole, after one scan and 63 for each bit of coefficients."""
    size = b"\0\x08\0\x08"
    header = SOI + segment(DQT, b"\0" + b"\1" * 64) + segment(0xC2, b"\x08" + size + b"\1\1\x11\0")
    for kind in (0x00, 0x10):  # one code: no difference, and end of block
        header += segment(DHT, bytes([kind, 1]) + bytes(16))
    scans = segment(SOS, b"\1\1\0\0\0\0") + stuffed("0")
    for low in range(bits - 1, -1, -1):
        high = 0 if low == bits - 1 else low + 1
        for coefficient in range(1, 64):
            band = bytes([coefficient, coefficient, high << 4 | low])
            scans += segment(SOS, b"\1\1\0" + band) + stuffed("0")
    return header + scans + END


@pytest.mark.usefixtures("_walked")
def test_more_scans_than_500_are_refused_also_where_they_make_a_whole_picture() -> None:
    assert judge(whole_of_scans(7)).state is State.WHOLE
    assert judge(whole_of_scans(8)).state is State.REFUSED
    assert judge(whole_of_scans(8)).reason == "505 scans of 8 x 8 pixels, 500 at most"


def test_scans_of_a_thumbnail_or_behind_the_end_do_not_count() -> None:
    thumbnails = (b"\xff\xe1" + b"\x50\0" + START_OF_SCAN * 0x2800)[: 2 + 0x5000]
    body = picture()
    verdict = judge(body[:2] + thumbnails + body[2:] + START_OF_SCAN * 1000)
    assert verdict.state is State.WHOLE


@pytest.mark.parametrize("walked", [True, False])
def test_too_many_segments_are_refused(walked: bool) -> None:
    for many in (b"\xff\xe0\0\2", b"\xff\xd0"):
        verdict = judge(picture()[:2] + many * 5000 + picture()[2:], walk=walked)
        assert verdict.state is State.REFUSED
    body = picture(progressive=True)
    place = between_scans(body)[0]
    verdict = judge(body[:place] + b"\xff\xfe\0\2" * 5000 + body[place:], walk=False)
    assert verdict.state is State.REFUSED


@pytest.mark.parametrize(
    ("quality", "width", "height", "most"),
    [
        ("original", 10, 10, PIXELS),
        ("256", 4000, 3000, 2 * 256 * 256 * 4 // 3),
        ("256", 3000, 4000, 2 * 256 * 256 * 4 // 3),
        ("1024", 8000, 4000, 4 * 1024 * 1024),
        ("2048", 1, 10**9, PIXELS),
        ("2048", None, 3000, 8 * 2048 * 2048),
        ("2048", 0, 3000, 8 * 2048 * 2048),
        ("2048", "4000", [3000], 8 * 2048 * 2048),
    ],
)
def test_pixels_are_limited_by_quality_and_row(
    quality: str, width: object, height: object, most: int
) -> None:
    assert most_pixels(quality, width, height) == most


def test_what_is_larger_than_that_is_refused() -> None:
    assert judge(picture(), 200 * 100).state is State.WHOLE
    assert judge(picture(), 200 * 100 - 1).state is State.REFUSED
    assert judge_webp(webp(), 200 * 100 - 1).state is State.REFUSED


def test_a_file_s_extension_says_what_it_is() -> None:
    assert judge_file(webp(), "webp").state is State.WHOLE
    assert judge_file(picture(), "jpg").state is State.WHOLE
    assert judge_file(picture(), "webp").state is State.DAMAGED
    assert judge_file(webp(), "jpg").state is State.NO_IMAGE


# The inputs of ../shared/data/faults


RIGHT = {
    "jfif2-whole": State.WHOLE,
    "jfif2-zero-tail": State.DAMAGED,
    "jfif2-hole": State.DAMAGED,
    "sampling-2x2-2x1-1x1-whole": State.WHOLE,
    "sampling-3x1-whole": State.WHOLE,
    "sampling-2x2-2x1-1x1-zero-tail": State.DAMAGED,
    "sampling-3x1-zero-tail": State.DAMAGED,
    "sampling-1x4-whole": State.WHOLE,
    "sampling-1x4-zero-tail": State.DAMAGED,
    "progressive-whole": State.WHOLE,
    "progressive-cut-between-scans": State.CUT,
    "scan-bomb": State.REFUSED,
}


@pytest.mark.usefixtures("_walked")
@pytest.mark.parametrize("path", shared_data.files("faults/*.jpg"))
def test_faults_are_judged_rightly(path: Path) -> None:
    assert judge(path.read_bytes()).state is RIGHT.get(path.stem, State.WHOLE)


# WebP


WEBPS = {
    "lossy": webp(),
    "lossless": webp(lossless=True),
    "extended": webp(icc_profile=b"y" * 100),
    "transparent": webp(mode="RGBA"),
    "one pixel": webp((1, 1)),
    "widest": webp((16_383, 2)),
    "animated": webp(save_all=True, append_images=[Image.new("RGB", (200, 100))]),
}
#: A chunk of each kind that starts a WebP and says that it has so many pixels.
CLAIMS = {
    "lossy": (16_383, 16_383, b"VP8 \x0a\0\0\0" + bytes(3) + b"\x9d\x01\x2a" + b"\xff\x3f" * 2),
    "lossless": (16_384, 16_384, b"VP8L\x05\0\0\0\x2f" + b"\xff\xff\xff\x0f" + bytes(5)),
    "extended": (1 << 24, 255, b"VP8X\x0a\0\0\0" + bytes(4) + b"\xff\xff\xff\xfe\0\0"),
}


@pytest.mark.parametrize("body", WEBPS.values(), ids=WEBPS)
def test_whole_webp_passes_also_where_pillow_s_guard_is_lower(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 0)
    inspect_webp(body)


@pytest.mark.parametrize("body", WEBPS.values(), ids=WEBPS)
def test_webp_that_is_cut_is_damaged(body: bytes) -> None:
    for length in (0, 11, 12, 25, 29, 30, len(body) // 2, len(body) - 2):
        with pytest.raises(DamagedImage, match="no whole WebP"):
            inspect_webp(body[:length])
    with pytest.raises(DamagedImage):
        inspect_webp(picture())


@pytest.mark.parametrize(("width", "height", "chunk"), CLAIMS.values(), ids=CLAIMS)
def test_webp_of_absurd_dimensions_is_not_even_tried(width: int, height: int, chunk: bytes) -> None:
    body = b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk
    with pytest.raises(DamagedImage, match=f"absurd dimensions, {width} x {height} pixels"):
        inspect_webp(body)


@given(st.data())
def test_no_changed_byte_of_webp_breaks_it(data: st.DataObject) -> None:
    kinds = ["lossy", "lossless", "extended"]
    body = bytearray(WEBPS[data.draw(st.sampled_from(kinds))])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    with suppress(DamagedImage):
        inspect_webp(bytes(body))


# Photographs


@pytest.mark.parametrize("path", shared_data.files("photos/*.jpg", "cdn-files/*.jpg"))
def test_photographs(path: Path) -> None:
    body = path.read_bytes()
    found = inspect(body)
    with Image.open(path) as image:
        assert (found.width, found.height) == image.size
    assert found.sha256 == hashlib.sha256(body).digest()
    assert inspect(body + b"more").width == found.width
    assert judge(body[: scans(body)[1]]).state is State.NO_END


@pytest.mark.parametrize("path", shared_data.files("photos/[bds]*.jpg", "cdn-files/*.jpg"))
def test_damaged_photographs(path: Path) -> None:
    for way, damaged in ways_to_damage(path.read_bytes()).items():
        with pytest.raises(DamagedImage):
            pytest.fail(f"{way} passed as {inspect(damaged)}")
