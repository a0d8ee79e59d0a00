"""The picture that archive.org shows."""

import io
from pathlib import Path

import pytest
from PIL import Image

from mapillary_crawler.archive.finish.pictures import shrink
from tests.archive.finish.made import ANN, DAY, NOON, Picture, add, finish, jpeg

DATA = Path(__file__).parents[4] / "shared" / "data"


def opened(body: bytes | None) -> Image.Image:
    assert body
    image = Image.open(io.BytesIO(body))
    image.load()
    assert image.format == "JPEG"
    assert image.mode == "RGB"
    return image


def test_it_is_small_and_keeps_the_shape():
    assert opened(shrink(jpeg(400, 300))).size == (256, 192)
    assert opened(shrink(jpeg(3000, 1500))).size == (256, 128)
    assert opened(shrink(jpeg(40, 30))).size == (40, 30)


def test_it_is_upright():
    image = opened(shrink(jpeg(400, 300, "white", orientation=6)))  # the left side is on top
    assert image.size == (192, 256)
    top, bottom = image.getpixel((96, 10)), image.getpixel((96, 245))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert max(top) < 30
    assert min(bottom) > 225
    assert not image.getexif()


@pytest.mark.parametrize(("kind", "mode"), [("WEBP", "RGB"), ("WEBP", "RGBA"), ("JPEG", "CMYK")])
def test_other_kinds_of_files(kind, mode):
    packed = io.BytesIO()
    Image.new(mode, (600, 300)).save(packed, kind)
    assert opened(shrink(packed.getvalue())).size == (256, 128)


@pytest.mark.parametrize("body", [b"", b"no image", jpeg()[:300], b"\xff\xd8\xff\xe1\x00\x04Ex"])
def test_what_is_no_image_has_none(body):
    assert shrink(body) is None


def test_odd_photographs():
    photos = sorted((DATA / "photos").glob("*.jpg")) if DATA.exists() else []
    if not photos:
        pytest.skip("the photographs of ../shared/data are not there")
    for photo in photos:
        with Image.open(photo) as image:
            largest = min(256, max(image.size))
        assert max(opened(shrink(photo.read_bytes())).size) == largest


@pytest.mark.parametrize("tar", [True, False])
def test_the_first_saved_image_that_opens_is_taken(tmp_path, tar):
    folder = tmp_path / "staging" / ANN.name
    some = [
        Picture("4", NOON + DAY, body=jpeg(100, 50, "blue")),
        Picture("3", NOON, body=jpeg(100, 50, "red")),
        Picture("2", NOON - DAY, body=b"\xff\xd8 odd"),
        Picture("1", None, body=jpeg(100, 50, "green")),
    ]
    add(folder, some)
    finish(folder, tmp_path, tar=tar)
    image = opened((tmp_path / ANN.name / "__ia_thumb.jpg").read_bytes())
    red, green, blue = image.getpixel((90, 25))  # type: ignore[misc]
    assert red > 200
    assert green < 60
    assert blue < 60


def test_without_an_image_there_is_none(tmp_path):
    add(tmp_path / "staging" / ANN.name, [Picture("1", body=b"odd")])
    finish(tmp_path / "staging" / ANN.name, tmp_path)
    assert not (tmp_path / ANN.name / "__ia_thumb.jpg").exists()
