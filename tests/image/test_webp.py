"""Encoders and what they write."""

from __future__ import annotations

import shutil
import stat
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat, features

from mapillary_crawler.image import exif, jpeg, webp, xmp

ROW: dict[str, Any] = {"camera_type": "spherical", "geometry": {"coordinates": [1, 2]}}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

needs_cwebp = pytest.mark.skipif(shutil.which("cwebp") is None, reason="cwebp is not installed")


def with_metadata(served: bytes) -> bytes:
    data = exif.write(served, ROW, captured_at=0, username="ada").data
    return xmp.write(data, ROW, image_id="1", username="ada", captured_at=0).data


def picture(size: tuple[int, int] = (80, 40), mode: str = "RGB", **options: Any) -> bytes:
    output = BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(output, "JPEG", **options)
    return with_metadata(output.getvalue())


def program(folder: Path, script: str) -> None:
    """Install a cwebp of our own in `folder`."""
    path = folder / "cwebp"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def encode(data: bytes, kind: str) -> bytes:
    if kind == "pillow":
        return webp.encode_with_pillow(data, quality=75, method=4)
    path = webp.installed_encoder("cwebp").path
    command = webp.cwebp_command(path, quality=75, method=4)
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


KINDS = [pytest.param("cwebp", marks=needs_cwebp), "pillow"]


@needs_cwebp
def test_auto_is_cwebp_where_it_is_installed():
    found = webp.installed_encoder("auto")
    assert found == webp.installed_encoder("cwebp")
    assert found.kind == "cwebp"
    assert found.version[0].isdigit()
    assert Path(found.path).is_absolute()


def test_auto_is_pillow_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = webp.installed_encoder("auto")
    assert found == webp.installed_encoder("pillow")
    assert found.version.startswith(f"libwebp {features.version('webp')}, Pillow ")


def test_cwebp_that_does_not_run_counts_as_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program(tmp_path, "exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert webp.installed_encoder("auto").kind == "pillow"


def test_version_is_the_first_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program(tmp_path, "echo 1.4.0; echo libsharpyuv: 0.4.1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert webp.installed_encoder("auto") == ("cwebp", "1.4.0", str(tmp_path / "cwebp"))


@pytest.mark.parametrize("choice", ["cwebp", "gif", "", "CWEBP"])
def test_missing_encoder_is_one_clear_line(
    choice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"^WEBP_ENCODER=[^\n]*$"):
        webp.installed_encoder(choice)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [{}, {"icc_profile": PROFILE}, {"mode": "L"}, {"progressive": True}, {"size": (79, 41)}],
    ids=["plain", "profile", "grey", "progressive", "odd size"],
)
def test_metadata_is_carried_over(kind: str, options: dict[str, Any]):
    source = picture(**options)
    encoded = encode(source, kind)
    webp.verify(encoded, source)
    with Image.open(BytesIO(encoded)) as image:
        image.load()
        assert image.format == "WEBP"
        assert image.getexif().get_ifd(0x8825)[29] == "1970:01:01"
        assert image.info["xmp"] == jpeg.parse(source).app1(jpeg.XMP)[0]
        assert image.info.get("icc_profile") == options.get("icc_profile")


@pytest.mark.parametrize("kind", KINDS)
def test_same_picture_same_bytes(kind: str):
    source = picture()
    assert encode(source, kind) == encode(source, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_picture_without_metadata(kind: str):
    output = BytesIO()
    Image.new("RGB", (16, 16)).save(output, "JPEG")
    webp.verify(encode(output.getvalue(), kind), output.getvalue())


def test_colours_that_webp_has_not():
    with pytest.raises(webp.WebpError, match="CMYK") as failed:
        webp.encode_with_pillow(picture(mode="CMYK"), quality=75, method=4)
    assert failed.value.reason == "encoder-failed"


@pytest.mark.parametrize("data", [b"", b"rubbish", picture()[:-200]], ids=["empty", "text", "cut"])
def test_what_pillow_cannot_read(data: bytes):
    with pytest.raises(webp.WebpError) as failed:
        webp.encode_with_pillow(data, quality=75, method=4)
    assert failed.value.reason == "encoder-failed"


def test_pillow_encodes_what_its_guard_against_bombs_would_refuse(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    source = picture()
    webp.verify(webp.encode_with_pillow(source, quality=75, method=4), source)


SOURCE = picture()
ENCODED = encode(SOURCE, "pillow")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", "broken-output"),
        (ENCODED[:-1], "broken-output"),
        (ENCODED + b"\0", "broken-output"),
        (ENCODED.replace(b"WEBP", b"WAVE"), "broken-output"),
        (ENCODED.replace(b"VP8 ", b"ABCD"), "broken-output"),
        (encode(picture((78, 40)), "pillow"), "broken-output"),
        (ENCODED.replace(b"EXIF", b"ABCD"), "metadata-lost"),
        (ENCODED.replace(b"XMP ", b"ABCD"), "metadata-lost"),
        (ENCODED.replace(b"1970:01:01", b"1970:01:02"), "metadata-lost"),
    ],
)
def test_output_that_is_not_whole(broken: bytes, reason: str):
    webp.verify(ENCODED, SOURCE)
    with pytest.raises(webp.WebpError) as failed:
        webp.verify(broken, SOURCE)
    assert failed.value.reason == reason


def test_lost_profile_is_noticed():
    with pytest.raises(webp.WebpError) as failed:
        webp.verify(ENCODED, picture(icc_profile=PROFILE))
    assert failed.value.reason == "metadata-lost"


def test_chunk_that_claims_too_much():
    at = ENCODED.index(b"EXIF") + 4
    broken = ENCODED[:at] + b"\xff\xff\xff\x7f" + ENCODED[at + 4 :]
    with pytest.raises(webp.WebpError, match="cut off"):
        webp.verify(broken, SOURCE)


@needs_cwebp
def test_both_encoders_agree_on_a_photograph(shared_folder: Path):
    source = with_metadata((shared_folder / "cdn-files" / "161759252476678-1024.jpg").read_bytes())
    pictures = []
    for kind in ("cwebp", "pillow"):
        encoded = encode(source, kind)
        webp.verify(encoded, source)
        with Image.open(BytesIO(encoded)) as image:
            pictures.append(image.convert("RGB"))
    # Other libwebp versions may differ in a few pixels, other settings would in most.
    assert max(ImageStat.Stat(ImageChops.difference(*pictures)).mean) < 1
