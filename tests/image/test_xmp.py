"""XMP packets, read back with the parser of the standard library."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from mapillary_crawler.image import exif, jpeg, xmp
from tests import shared_data

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"
RIGHTS = "{http://ns.adobe.com/xap/1.0/rights/}"
CC = "{http://creativecommons.org/ns#}"
OURS = "{urn:mapillary-crawler:xmp:1.0/}"
GPANO = "{http://ns.google.com/photos/1.0/panorama/}"
SPHERE = {"camera_type": "spherical", "width": 5760, "height": 2880}
KEPT = '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/>'


def picture(size: tuple[int, int] = (64, 32)) -> bytes:
    output = BytesIO()
    Image.new("RGB", size, (90, 120, 30)).save(output, "JPEG")
    return output.getvalue()


def add_app1(data: bytes, payload: bytes) -> bytes:
    return jpeg.parse(data).with_app1(payload, instead_of=lambda _: False)


def packet(inner: str, head: str = "") -> bytes:
    rdf = f'<rdf:RDF xmlns:rdf="{RDF[1:-1]}">{inner}</rdf:RDF>'
    return f'{head}<x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>'.encode()


def write(
    data: bytes,
    metadata: dict[str, Any],
    *,
    image_id: str = "123",
    username: str = "ada",
    captured_at: int | None = 0,
) -> jpeg.Written:
    written = xmp.write(
        data, metadata, image_id=image_id, username=username, captured_at=captured_at
    )
    assert jpeg.parse(written.data).scan == jpeg.parse(data).scan
    return written


def descriptions(data: bytes) -> list[ET.Element]:
    (found,) = jpeg.parse(data).app1(jpeg.XMP)
    assert found.startswith(b'<?xpacket begin="\xef\xbb\xbf"')
    assert found.endswith(b'<?xpacket end="w"?>')
    return ET.fromstring(found).findall(f"{RDF}RDF/{RDF}Description")


def properties(data: bytes) -> dict[str, str]:
    """Return the properties of our own description."""
    return {
        child.tag: "".join(child.itertext()) or child.get(f"{RDF}resource", "")
        for child in descriptions(data)[0]
    }


def test_origin_and_licence():
    metadata = {
        "sequence": "-a_b",
        "geometry": {"coordinates": [1, 2]},
        "computed_geometry": {"coordinates": [3, 4]},
    }
    page = "https://www.mapillary.com/app/?pKey=123"
    licence = "https://creativecommons.org/licenses/by-sa/4.0/"
    assert properties(write(picture(), metadata).data) == {
        f"{DC}rights": "@ada, Mapillary, CC BY-SA 4.0",
        f"{DC}creator": "@ada",
        f"{DC}source": page,
        f"{RIGHTS}Marked": "True",
        f"{RIGHTS}WebStatement": licence,
        f"{CC}license": licence,
        f"{CC}attributionName": "@ada, Mapillary",
        f"{CC}attributionURL": page,
        f"{OURS}ImageID": "123",
        f"{OURS}SequenceID": "-a_b",
        f"{OURS}Geometry": "computed",
    }


def test_which_geometry_is_said_only_if_one_was_written():
    raw = properties(write(picture(), {"geometry": {"coordinates": [1, 2]}}).data)
    assert raw[f"{OURS}Geometry"] == "raw"
    assert f"{OURS}Geometry" not in properties(write(picture(), {}).data)


def test_text_is_escaped():
    hostile = "<b>&\"']]>\0\x1b\ud800é"
    data = write(picture(), {"sequence": hostile}, image_id=hostile, username=hostile).data
    found = properties(data)
    assert found[f"{OURS}ImageID"] == "<b>&\"']]> \ufffdé"
    assert found[f"{OURS}SequenceID"] == "<b>&\"']]> \ufffdé"
    assert found[f"{DC}creator"] == "@<b>&\"']]> \ufffdé"
    assert found[f"{DC}source"].isascii()


def test_photo_sphere_has_nine_fields_of_this_file():
    found = properties(write(picture((64, 32)), SPHERE | {"compass_angle": 0}).data)
    assert {k.removeprefix(GPANO): v for k, v in found.items() if k.startswith(GPANO)} == {
        "ProjectionType": "equirectangular",
        "UsePanoramaViewer": "True",
        "PoseHeadingDegrees": "0",
        "FullPanoWidthPixels": "64",
        "FullPanoHeightPixels": "32",
        "CroppedAreaImageWidthPixels": "64",
        "CroppedAreaImageHeightPixels": "32",
        "CroppedAreaLeftPixels": "0",
        "CroppedAreaTopPixels": "0",
    }


@pytest.mark.parametrize(
    ("angle", "text"),
    [(359.99999999, "0"), (1e-7, "0"), (-90, "270"), (1.25, "1.25"), (100, "100")],
)
def test_heading_of_a_sphere(angle: float, text: str):
    found = properties(write(picture(), SPHERE | {"computed_compass_angle": angle}).data)
    assert found[f"{GPANO}PoseHeadingDegrees"] == text


def test_unknown_heading_is_left_out():
    found = properties(write(picture(), SPHERE | {"compass_angle": -1}).data)
    assert f"{GPANO}PoseHeadingDegrees" not in found
    assert f"{GPANO}ProjectionType" in found


@pytest.mark.parametrize("metadata", [{}, {"camera_type": "fisheye"}, {"is_pano": True}])
def test_no_sphere_without_reason(metadata: dict[str, Any]):
    assert b"GPano" not in write(picture((64, 20)), metadata).data


def test_goes_behind_exif():
    with_exif = exif.write(picture(), {}, captured_at=0, username="ada").data
    kinds = [s.payload[:4] for s in jpeg.parse(write(with_exif, {}).data).segments[:3]]
    assert kinds == [b"JFIF", b"Exif", b"http"]


def test_writing_twice_changes_nothing():
    once = write(picture(), SPHERE).data
    assert write(once, SPHERE) == (once, ())


def test_existing_packet_is_merged_never_doubled():
    theirs = (
        KEPT + f'<rdf:Description about="uuid:1" xmlns:GPano="{GPANO[1:-1]}" xmlns:dc="{DC[1:-1]}" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="1,2N" exif:Flash="1" '
        'GPano:FullPanoWidthPixels="5760" GPano:PosePitchDegrees="2"><dc:rights>mine</dc:rights>'
        "<exif:GPSAltitude>1/1</exif:GPSAltitude></rdf:Description>"
    )
    data = add_app1(add_app1(picture(), jpeg.XMP + b"<old/>"), jpeg.XMP + packet(theirs))
    metadata = SPHERE | {"geometry": {"coordinates": [1, 2]}}
    written = write(data, metadata)
    assert written.troubles == ()
    ours, first, second = descriptions(written.data)
    assert first.attrib == {f"{RDF}about": "", "{http://ns.adobe.com/xap/1.0/}Rating": "4"}
    assert second.attrib == {
        f"{RDF}about": "",
        "{http://ns.adobe.com/exif/1.0/}Flash": "1",
        f"{GPANO}PosePitchDegrees": "2",
    }
    # The altitude of the file stays, since Mapillary knows none.
    assert [child.tag for child in second] == ["{http://ns.adobe.com/exif/1.0/}GPSAltitude"]
    assert ours.find(f"{GPANO}FullPanoWidthPixels").text == "64"
    assert write(written.data, metadata) == written


def test_other_prefixes_of_the_same_namespaces():
    other = (
        f'<m:xmpmeta xmlns:m="adobe:ns:meta/"><r:RDF xmlns:r="{RDF[1:-1]}">'
        f'<r:Description r:about="" xmlns:d="{DC[1:-1]}" d:format="image/jpeg">'
        "<d:rights>mine</d:rights></r:Description></r:RDF></m:xmpmeta>"
    )
    written = write(add_app1(picture(), jpeg.XMP + other.encode()), {})
    _, theirs = descriptions(written.data)
    assert theirs.attrib == {f"{RDF}about": "", f"{DC}format": "image/jpeg"}
    assert len(theirs) == 0


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    "hostile",
    [
        *(b"", b"\0" * 50, b"<x", b"not XML", b"\xff\xfe<\0x\0>\0", b"<x/>"),
        packet(KEPT, head=ENTITIES).replace(b'"4"', b'"&b;"'),
        packet(KEPT, head=FILE).replace(b"/>", b">&f;</rdf:Description>"),
        packet(KEPT, head='<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'),
        packet(KEPT, head=FILE).decode().encode("utf-16"),
        b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE x+AD4-' + packet(KEPT),
        b"<x>" * 10_000,
        packet(KEPT).replace(b"xmlns:xmp", b"xmlns:no"),
    ],
)
def test_hostile_packet_is_replaced_and_said(hostile: bytes):
    written = write(add_app1(picture(), jpeg.XMP + hostile), SPHERE)
    assert written.troubles == (xmp.UNREADABLE,)
    assert len(descriptions(written.data)) == 1


def test_packet_that_grows_too_long_is_replaced_and_said():
    long = packet(KEPT.replace('"4"', f'"{"4" * 65_000}"'))
    written = write(add_app1(picture(), jpeg.XMP + long), SPHERE)
    assert written.troubles == (xmp.TOO_LONG,)
    assert len(descriptions(written.data)) == 1


def test_enormous_texts_do_not_lose_the_image():
    long = "\U0001f4f7" * 100_000
    data = write(picture(), {"sequence": long}, image_id=long, username=long).data
    assert len(properties(data)[f"{OURS}SequenceID"]) == 1000


EXTENDED = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>" * 10
GUID = hashlib.md5(EXTENDED).hexdigest().upper().encode()


def parts(count: int, identifier: bytes = GUID) -> list[bytes]:
    size = -(-len(EXTENDED) // count)
    head = jpeg.XMP_EXTENSION + identifier + len(EXTENDED).to_bytes(4, "big")
    return [
        head + at.to_bytes(4, "big") + EXTENDED[at : at + size]
        for at in range(0, len(EXTENDED), size)
    ]


def extended(identifier: bytes = GUID) -> bytes:
    note = f'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{identifier.decode()}"'
    return jpeg.XMP + packet(KEPT.replace("xmlns:xmp", f"{note} xmlns:xmp"))


def has_extended(data: bytes) -> bool:
    return b"HasExtendedXMP" in jpeg.parse(data).app1(jpeg.XMP)[0]


def test_whole_extended_xmp_is_kept():
    data = picture()
    for payload in (*parts(3), extended()):
        data = add_app1(data, payload)
    written = write(data, {})
    assert written.troubles == ()
    assert has_extended(written.data)
    assert sorted(jpeg.parse(written.data).app1(jpeg.XMP_EXTENSION)) == sorted(
        payload[len(jpeg.XMP_EXTENSION) :] for payload in parts(3)
    )


@pytest.mark.parametrize(
    "payloads",
    [
        (*parts(3)[:2], extended()),
        (*parts(3, b"F" * 32), extended()),
        (*parts(2), jpeg.XMP + packet(KEPT)),
        (*parts(2), jpeg.XMP + b"<broken"),
        (*parts(2),),
    ],
    ids=["part missing", "another", "not named", "packet broken", "no packet"],
)
def test_extended_xmp_never_dangles(payloads: tuple[bytes, ...]):
    data = picture()
    for payload in payloads:
        data = add_app1(data, payload)
    written = write(data, {})
    assert xmp.EXTENSION_LEFT_OUT in written.troubles
    assert not has_extended(written.data)
    assert jpeg.parse(written.data).app1(jpeg.XMP_EXTENSION) == []


def test_identifier_without_its_parts_is_left_out():
    written = write(add_app1(picture(), extended()), {})
    assert not has_extended(written.data)
    assert len(descriptions(written.data)) == 2


@pytest.mark.parametrize("path", shared_data.files("photos/*.jpg"))
def test_photographs(path: Path):
    data = path.read_bytes()
    written = write(data, SPHERE)
    assert written.troubles == ()
    assert properties(written.data)[f"{OURS}ImageID"] == "123"
    others = [s.raw for s in jpeg.parse(data).segments if not s.is_app1(jpeg.XMP)]
    assert [s.raw for s in jpeg.parse(written.data).segments if not s.is_app1(jpeg.XMP)] == others
