import struct
from io import BytesIO
from pathlib import Path

import pytest
import simplejpeg
from PIL import Image

from mapillary_crawler.sandbox import damage
from mapillary_crawler.sandbox.catalogue import Catalogue
from mapillary_crawler.sandbox.photographs import GENERATED, WIDTHS, Photograph, Photographs

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos"
pool = Photographs()
thumbs = pytest.mark.parametrize("quality", ["256", "1024", "2048"])
generated = pytest.mark.parametrize("photograph", GENERATED, ids=lambda each: each.name)


def segments(body: bytes) -> dict[int, bytes]:
    """Markers and payloads before the compressed data, read independently of the sandbox."""
    found, at = {}, 2
    while body[at + 1] != 0xDA:
        length = struct.unpack(">H", body[at + 2 : at + 4])[0]
        found[body[at + 1]] = body[at + 4 : at + 2 + length]
        at += 2 + length
    return found


@thumbs
@generated
def test_a_thumb_is_a_whole_jpeg_of_the_right_width(photograph: Photograph, quality: str) -> None:
    body = pool.body(photograph, quality, "123456789012345", False)
    picture = Image.open(BytesIO(body))
    assert picture.size == photograph.size(quality)
    assert picture.width == int(quality)
    assert picture.mode == photograph.mode
    assert bool(picture.info.get("progressive")) == photograph.progressive
    assert ("icc_profile" in picture.info) == photograph.icc
    simplejpeg.decode_jpeg(body, strict=True)
    assert 0xE1 not in segments(body), "the real thumbs have no EXIF"
    assert b"123456789012345" in segments(body)[0xED]


def test_files_are_about_as_large_as_the_real_ones() -> None:
    baseline = GENERATED[1]
    for quality, least, most in (
        ("256", 9e3, 25e3), ("1024", 80e3, 200e3), ("2048", 250e3, 700e3), ("original", 3e6, 5e6),
    ):  # fmt: skip
        size = len(pool.body(baseline, quality, "1", False))
        assert least < size < most, quality


@pytest.mark.parametrize("turned", [False, True])
def test_originals_have_an_exif_block_with_the_orientation_alone(turned: bool) -> None:
    photograph = GENERATED[3]
    body = pool.body(photograph, "original", "1", turned)
    picture = Image.open(BytesIO(body))
    assert picture.size == (photograph.width, photograph.height)
    assert dict(picture.getexif()) == {0x112: 3 if turned else 1}
    assert len(segments(body)[0xE1]) + 2 == 34, "as in the files the CDN served"
    simplejpeg.decode_jpeg(body, strict=True, min_height=100, min_width=100)


def test_a_few_originals_are_turned() -> None:
    catalogue = Catalogue([{"username": "alice", "images": 4000}])
    turned = sum(image.turned for image in catalogue.user("alice").images())
    assert 80 < turned < 180


def test_every_image_has_a_body_of_its_own_and_all_kinds_occur() -> None:
    catalogue = Catalogue([{"username": "alice", "images": 400, "panoramas": 0.2}])
    images = list(catalogue.user("alice").images())
    bodies = [catalogue.body(image, "256") for image in images]
    assert len(set(bodies)) == 400
    assert {image.photograph.name for image in images} == {each.name for each in GENERATED}
    assert all(image.panorama == image.photograph.panorama for image in images)
    marks = [segments(body) for body in bodies]
    assert any(0xFE in each for each in marks)
    assert any(0xED in each for each in marks)
    assert any(not body.endswith(b"\xff\xd9") for body in bodies), "no bytes after the end"


def test_a_folder_of_photos_is_served_in_its_place(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 1200), "red").save(tmp_path / "a.jpg", comment=b"kept")
    Image.new("RGB", (100, 50), "blue").save(tmp_path / "b.JPEG")
    (tmp_path / "notes.txt").write_text("no photo")
    catalogue = Catalogue([{"username": "alice", "images": 40, "panoramas": 0.5}], photos=tmp_path)
    for image in catalogue.user("alice").images():
        assert image.photograph.name == ("b.JPEG" if image.panorama else "a.jpg")
        width = Image.open(BytesIO(catalogue.body(image, "1024"))).width
        assert width == (100 if image.panorama else 1024)
        original = catalogue.body(image, "original")
        file = (tmp_path / image.photograph.name).read_bytes()
        pixels = file[file.index(b"\xff\xdb") :]
        assert original.endswith(pixels), "the original's compressed data was changed"


def test_an_empty_folder_of_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no JPEG in"):
        Photographs(tmp_path)


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos is absent")
def test_real_photographs_stay_readable() -> None:
    real = Photographs(PHOTOS)
    for photograph in real.flat:
        for quality in WIDTHS:
            body = real.body(photograph, quality, "123456789012345", False)
            Image.open(BytesIO(body)).load()
            assert b"123456789012345" in body


@thumbs
@generated
def test_every_damage_is_one_that_a_strict_decoder_sees(
    photograph: Photograph, quality: str
) -> None:
    body = pool.body(photograph, quality, "123456789012345", False)
    for change in (
        damage.truncated, damage.truncated_closed, damage.zero_filled, damage.zero_filled_closed,
    ):  # fmt: skip
        spoilt = change(body)
        assert spoilt.startswith(b"\xff\xd8")
        assert spoilt.endswith(b"\xff\xd9") == change.__name__.endswith("closed")
        with pytest.raises(ValueError, match=r"Premature|premature|extraneous"):
            simplejpeg.decode_jpeg(spoilt, strict=True)


@generated
def test_absurd_dimensions_are_in_the_header_alone(photograph: Photograph) -> None:
    body = pool.body(photograph, "256", "1", False)
    height, width, *_ = simplejpeg.decode_jpeg_header(damage.absurd(body))
    assert (width, height) == (65500, 65500)
    assert len(damage.absurd(body)) == len(body)
