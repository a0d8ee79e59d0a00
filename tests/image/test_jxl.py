"""JPEG XL: its boxes and its header, read here, and judged by Debian's djxl and by exiftool."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mapillary_crawler.image import exif, jpeg, jxl, xmp
from mapillary_crawler.image.jxl import JxlError, boxes, dimensions, verify, with_plain_metadata
from mapillary_crawler.image.jxl_codec import Codec, Decoder, installed_encoder
from mapillary_crawler.image.jxl_reconstruction import Unreadable, needs_later_reader
from tests.image.jxl_codecs import KINDS, bits, box
from tests.image.jxl_mutations import check, given_back
from tests.shared_data import files

#: Reconstruction data up to its markers: a restart interval, a scan, the end.
_BEHIND_MARKERS = (0x1D << 1 | 0x1A << 7 | 0x19 << 13).to_bytes(3, "little")
needs_djxl = pytest.mark.skipif(shutil.which("djxl") is None, reason="djxl is not installed")


def photo(width: int = 64, height: int = 48) -> bytes:
    packed = BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(packed, "JPEG")
    return packed.getvalue()


def described(body: bytes) -> bytes:
    """Return a JPEG with our metadata, a panorama's."""
    row = {
        "id": "1", "make": "Sony", "is_pano": True, "width": 64, "height": 32,
        "computed_geometry": {"type": "Point", "coordinates": [13.5, 52.25]},
    }  # fmt: skip
    at = 1_700_000_000_000
    body = exif.write(body, row, captured_at=at, username="ada").data
    return xmp.write(body, row, image_id="1", username="ada", captured_at=at).data


# Boxes


def test_boxes_of_each_size() -> None:
    large = (1).to_bytes(4, "big") + b"jbrd" + (16 + 2).to_bytes(8, "big") + b"xy"
    last = (0).to_bytes(4, "big") + b"jxlc" + b"to the end"
    found = list(boxes(jxl.START + box(b"ftyp", b"jxl ") + large + last))
    assert [(each.type, bytes(each.content)) for each in found] == [
        (b"JXL ", b"\r\n\x87\n"), (b"ftyp", b"jxl "), (b"jbrd", b"xy"), (b"jxlc", b"to the end"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "file",
    [
        b"", b"\xff\x0a\x00", jxl.START + b"\0\0\0", jxl.START + box(b"jxlc", b"abc")[:-1],
        jxl.START + (4).to_bytes(4, "big") + b"jxlc", jxl.START + (1).to_bytes(4, "big") + b"jbrd",
    ],
)  # fmt: skip
def test_what_is_not_made_of_boxes(file: bytes) -> None:
    with pytest.raises(JxlError) as caught:
        list(boxes(file))
    assert caught.value.reason == "broken-output"


@given(st.binary(max_size=200))
def test_any_bytes_are_boxes_or_are_not(data: bytes) -> None:
    for file in (data, jxl.START + data):
        try:
            assert b"".join(bytes(each.whole) for each in boxes(file)) == file
            dimensions(file)
        except JxlError:
            pass


# The header


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (bits((1, 1), (3, 5), (0, 3), (7, 5)), (64, 32)),
        (bits((1, 1), (31, 5), (1, 3)), (256, 256)),
        (bits((0, 1), (1, 2), (2159, 13), (5, 3)), (3840, 2160)),
        (bits((0, 1), (0, 2), (0, 9), (0, 3), (3, 2), (2**30 - 1, 30)), (2**30, 1)),
        (bits((0, 1), (2, 2), (9_999, 18), (7, 3)), (20_000, 10_000)),
    ],
)
def test_dimensions(header: bytes, size: tuple[int, int]) -> None:
    assert dimensions(jxl.START + box(b"jxlc", header)) == size
    parts = box(b"jxlp", bytes(4) + header[:3]) + box(b"jbrd") + box(b"jxlp", bytes(4) + header[3:])
    assert dimensions(jxl.START + parts) == size


def test_no_codestream() -> None:
    with pytest.raises(JxlError, match="no codestream"):
        dimensions(jxl.START + box(b"jbrd", b"\xff\x0a"))


# Metadata


def test_packed_metadata_is_put_as_it_is_and_all_else_stays() -> None:
    source = described(photo())
    file = jxl.START + b"".join(
        (box(b"jbrd", b"1"), box(b"brob", b"Exif?"), box(b"brob", b"xml ?"), box(b"brob", b"jumb?"))
    )
    found = [(each.type, bytes(each.content)) for each in boxes(with_plain_metadata(file, source))]
    parsed = jpeg.parse(source)
    assert found[1:] == [
        (b"jbrd", b"1"),
        (b"Exif", bytes(4) + parsed.app1(jpeg.EXIF)[0][1:]),
        (b"xml ", parsed.app1(jpeg.XMP)[0]),
        (b"brob", b"jumb?"),
    ]
    assert with_plain_metadata(file, photo()) == file, "what the JPEG has not is not made up"


def test_verify() -> None:
    source = described(photo(64, 32))
    header = box(b"jxlc", bits((1, 1), (3, 5), (7, 3)))
    good = with_plain_metadata(
        jxl.START + header + box(b"brob", b"Exif") + box(b"brob", b"xml "), source
    )
    verify(good, source)
    for file, reason in (
        (jxl.START + header, "metadata-lost"),
        (good.replace(b"Sony", b"Zony"), "metadata-lost"),
        (good + box(b"Exif"), "metadata-lost"),
        (good.replace(header, box(b"jxlc", bits((1, 1), (4, 5), (7, 3)))), "broken-output"),
        (good[:-1], "broken-output"),
    ):
        with pytest.raises(JxlError) as caught:
            verify(file, source)
        assert caught.value.reason == reason
    with pytest.raises(JxlError, match="JPEG"):
        verify(good, b"no JPEG")


# With the real encoders


@pytest.mark.parametrize("kind", KINDS)
def test_exiftool_reads_it_without_a_module(kind: str, tmp_path: Path) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    path = tmp_path / "a.jxl"
    source = described(photo(640, 320))
    with Codec(installed_encoder(kind)) as codec:
        path.write_bytes(codec.encode(source, effort=3, pixels=640 * 320))
    shown = subprocess.run(
        ["exiftool", "-s", "-n", "-GPSLatitude", "-GPSLongitude", "-Make", "-DateTimeOriginal",
         "-ProjectionType", path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    values = dict(line.replace(" ", "").split(":", 1) for line in shown.splitlines())
    assert (float(values["GPSLatitude"]), float(values["GPSLongitude"])) == (52.25, 13.5)
    assert (values["Make"], values["ProjectionType"]) == ("Sony", "equirectangular")
    assert values["DateTimeOriginal"].startswith("2023:11:14")


@needs_djxl
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", files("cdn-files/*.jpg", "photos/*.jpg", "faults/*.jpg"))
def test_real_files_come_back(path: Path, kind: str, tmp_path: Path) -> None:
    source = path.read_bytes()
    with Codec(installed_encoder(kind)) as codec, Decoder() as jpeg_of:
        # Cut or filled with zeros, sampled as libjxl cannot, or hardly a picture at all.
        if path.parent.name == "faults" or path.stem.startswith("odd-"):
            with suppress(JxlError):
                file = codec.encode(source, effort=3, pixels=20_000_000)
                assert given_back(file, tmp_path) == source == jpeg_of(file)
            return
        file = codec.encode(source, effort=3, pixels=20_000_000)
        assert given_back(file, tmp_path) == source == jpeg_of(file)
    if path.parent.name == "cdn-files":
        least = 0.20 if path.stem.endswith("-original") else 0.10
        assert len(file) < (1 - least) * len(source)
    assert dimensions(file) == (jpeg.parse(source).width, jpeg.parse(source).height)


@needs_djxl
@pytest.mark.parametrize("zeros", [False, True])
def test_padding_that_an_old_djxl_does_not_take(tmp_path: Path, zeros: bool) -> None:
    """Found by the mutations: libjxl 0.7 writes such files, too, and does not read them."""
    picture = Image.linear_gradient("L").rotate(30).convert("RGB")
    packed = BytesIO()
    picture.save(packed, "JPEG", restart_marker_blocks=7)
    body = bytearray(packed.getvalue())
    if zeros:  # in the last bit of each interval, which is padding in most
        for number in range(8):
            place = body.find(bytes((0xFF, 0xD0 + number)), body.index(b"\xff\xda"))
            body[place - 1] &= 0xFE
    with Codec(installed_encoder("auto")) as codec:
        if not zeros:
            file = codec.encode(bytes(body), effort=3, pixels=256**2)
            assert given_back(file, tmp_path) == body
            return
        with pytest.raises(JxlError) as caught:
            codec.encode(bytes(body), effort=3, pixels=256**2)
    assert caught.value.reason == "not-everywhere"


@given(st.binary(max_size=300))
def test_any_reconstruction_data_is_read_or_is_not(data: bytes) -> None:
    for content in (data, _BEHIND_MARKERS + data):
        with suppress(Unreadable):
            needs_later_reader(content)


@needs_djxl
@pytest.mark.long
def test_mutations_come_back() -> None:
    """5,000 of them: see jxl_mutations."""
    outcomes = check(300)
    assert outcomes.total() == 300
    assert outcomes["stored"] > 60
    assert outcomes["encoder-failed"] > 60
