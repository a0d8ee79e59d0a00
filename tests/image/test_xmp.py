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


def everything(data: bytes) -> dict[str, str]:
    """Return the properties of all descriptions by their local names; none is there twice."""
    pairs = [
        pair
        for description in descriptions(data)
        for pair in (
            *description.attrib.items(),
            *((child.tag, "".join(child.itertext())) for child in description),
        )
        if pair[0] != f"{RDF}about"
    ]
    assert len(pairs) == len({name for name, _ in pairs})
    return dict(pairs)


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


CROP = {
    "ProjectionType": "equirectangular",
    "UsePanoramaViewer": "True",
    "FullPanoWidthPixels": "96",
    "FullPanoHeightPixels": "48",
    "CroppedAreaImageWidthPixels": "64",
    "CroppedAreaImageHeightPixels": "20",
    "CroppedAreaLeftPixels": "16",
    "CroppedAreaTopPixels": "9",
    "PoseHeadingDegrees": "90.0",
    "LargestValidInteriorRectTop": "9",
}
WHOLE_SIZE = ("FullPano", "CroppedArea")


def gpano(data: bytes) -> dict[str, str]:
    return {
        name.removeprefix(GPANO): value
        for name, value in everything(data).items()
        if name.startswith(GPANO)
    }


def with_gpano(size: tuple[int, int], values: dict[str, str], *, attributes: bool = False) -> bytes:
    declared = f'<rdf:Description rdf:about="" xmlns:GPano="{GPANO[1:-1]}"'
    if attributes:
        text = "".join(f' GPano:{name}="{value}"' for name, value in values.items())
        inner = f"{declared}{text}/>"
    else:
        text = "".join(f"<GPano:{name}>{value}</GPano:{name}>" for name, value in values.items())
        inner = f"{declared}>{text}</rdf:Description>"
    return add_app1(picture(size), jpeg.XMP + packet(inner))


PANORAMAS = [SPHERE, {"camera_type": "equirectangular"}, {"is_pano": True}, {}]


@pytest.mark.parametrize("metadata", PANORAMAS)
@pytest.mark.parametrize("attributes", [True, False])
def test_a_cropped_panorama_stays_what_it_says(metadata: dict[str, Any], attributes: bool):
    written = write(with_gpano((64, 20), CROP, attributes=attributes), metadata)
    assert written.troubles == ()
    assert gpano(written.data) == CROP
    assert write(written.data, metadata) == written


def test_a_part_that_is_twice_as_wide_as_high_is_no_whole_sphere():
    crop = CROP | {"CroppedAreaImageHeightPixels": "32", "CroppedAreaTopPixels": "8"}
    assert gpano(write(with_gpano((64, 32), crop), SPHERE).data) == crop


def test_the_heading_of_the_row_replaces_that_of_a_cropped_panorama():
    written = write(with_gpano((64, 20), CROP), SPHERE | {"computed_compass_angle": 12.5})
    assert gpano(written.data) == CROP | {"PoseHeadingDegrees": "12.5"}


@pytest.mark.parametrize("metadata", [*PANORAMAS, {"camera_type": "perspective"}])
@pytest.mark.parametrize(
    "changes",
    [
        {"CroppedAreaImageWidthPixels": "640"},
        {"CroppedAreaImageHeightPixels": "21"},
        {"FullPanoHeightPixels": "28"},
        {"CroppedAreaLeftPixels": "33"},
        {"CroppedAreaTopPixels": "-9"},
        {"CroppedAreaTopPixels": ""},
        {"FullPanoWidthPixels": "many"},
        {"FullPanoWidthPixels": "9" * 5000},
        {"ProjectionType": "fisheye"},
    ],
)
def test_a_panorama_that_is_not_this_file_is_not_claimed(
    metadata: dict[str, Any], changes: dict[str, str]
):
    """And its heading, which the row knows, is not written anew either."""
    row = metadata | {"compass_angle": 12.5}
    assert gpano(write(with_gpano((64, 20), CROP | changes), row).data) == {}


@pytest.mark.parametrize("missing", [name for name in CROP if name.startswith(WHOLE_SIZE)])
def test_an_incomplete_set_is_not_written(missing: str):
    crop = {name: value for name, value in CROP.items() if name != missing}
    found = gpano(write(with_gpano((64, 20), crop), {"is_pano": True}).data)
    assert found == {"PoseHeadingDegrees": "90.0"}


@pytest.mark.parametrize("metadata", [SPHERE, {"camera_type": "equirectangular"}])
@pytest.mark.parametrize("size", [(64, 20), (64, 64), (32, 64)])
def test_no_whole_sphere_unless_twice_as_wide_as_high(
    metadata: dict[str, Any], size: tuple[int, int]
):
    assert gpano(write(picture(size), metadata).data) == {}


@pytest.mark.parametrize(
    ("size", "metadata", "whole"),
    [((64, 32), {}, True), ((64, 20), {}, False), ((64, 32), {"is_pano": False}, False)],
)
def test_a_file_that_says_equirectangular_and_no_sizes(
    size: tuple[int, int], metadata: dict[str, Any], whole: bool
):
    data = with_gpano(size, {"ProjectionType": "equirectangular"})
    found = gpano(write(data, metadata).data)
    assert found.get("FullPanoWidthPixels") == ("64" if whole else None)


TWICE = (
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:s="urn:s:" xmp:CreatorTool="first" s:only="1">'
    "<xmp:CreatorTool>second</xmp:CreatorTool><xmp:Rating>1</xmp:Rating><xmp:Rating>2</xmp:Rating>"
    '<s:struct rdf:parseType="Resource"><s:a>1</s:a><s:b>2</s:b><s:a>3</s:a></s:struct>'
    "<s:list><rdf:Bag><rdf:li>x</rdf:li><rdf:li>x</rdf:li></rdf:Bag></s:list>"
    "</rdf:Description>"
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/>'
)


def test_of_a_property_that_is_there_twice_the_last_one_stays():
    """XMP forbids that, and exiv2 then reads nothing of the packet, ours included."""
    written = write(add_app1(picture(), jpeg.XMP + packet(TWICE)), {})
    found = everything(written.data)
    xap = "{http://ns.adobe.com/xap/1.0/}"
    assert (found[f"{xap}CreatorTool"], found[f"{xap}Rating"]) == ("second", "3")
    struct, bag = (
        next(each for d in descriptions(written.data) for each in d.iter(f"{{urn:s:}}{name}"))
        for name in ("struct", "list")
    )
    assert [(field.tag, field.text) for field in struct] == [("{urn:s:}b", "2"), ("{urn:s:}a", "3")]
    assert len(list(bag.iter(f"{RDF}li"))) == 2


def test_a_property_without_a_namespace_is_left_out():
    inner = '<rdf:Description rdf:about="" bare="1"><naked>2</naked></rdf:Description>'
    written = write(add_app1(picture(), jpeg.XMP + packet(inner)), {})
    assert b"naked" not in written.data
    assert b"bare=" not in written.data


def test_several_packets_are_merged_and_said():
    """Readers take the first, the last, or all of them."""
    xap = 'xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    first, second = (
        jpeg.XMP + packet(f'<rdf:Description rdf:about="" {xap} {values}/>')
        for values in ('xmp:Rating="1" xmp:Label="kept"', 'xmp:Rating="2" xmp:Nickname="too"')
    )
    written = write(add_app1(add_app1(picture(), second), first), {})
    assert written.troubles == (xmp.SEVERAL,)
    found = {name.rpartition("}")[2]: value for name, value in everything(written.data).items()}
    assert (found["Rating"], found["Label"], found["Nickname"]) == ("2", "kept", "too")
    assert len(jpeg.parse(written.data).app1(jpeg.XMP)) == 1


def test_of_extended_xmp_of_several_packets_the_last_whole_one_is_kept():
    data = picture()
    for payload in (*parts(2), extended(), extended(b"0" * 32)):
        data = add_app1(data, payload)
    written = write(data, {})
    assert xmp.SEVERAL in written.troubles
    assert GUID in jpeg.parse(written.data).app1(jpeg.XMP)[0]
    assert b"0" * 32 not in written.data
    assert len(jpeg.parse(written.data).app1(jpeg.XMP_EXTENSION)) == 2


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
    assert written.troubles == (xmp.UNREADABLE, xmp.SEVERAL)
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
    assert write(written.data, metadata) == (written.data, ())


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

    def others(file: bytes) -> list[bytes]:
        # Of a list of further pictures the header, since their offsets are moved.
        return [
            s.raw[:12] if s.payload.startswith(b"MPF\0") else s.raw
            for s in jpeg.parse(file).segments
            if not s.is_app1(jpeg.XMP)
        ]

    assert others(written.data) == others(data)
