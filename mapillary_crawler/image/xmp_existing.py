"""The XMP that a file has already: hostile input, kept where it does not contradict.

Pure. Parsed without DTD, entities or network, at most one segment (64 KB) of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lxml import etree  # type: ignore[import-untyped]

from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.image import jpeg, xmp_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

# Properties that say again, so may say otherwise, what we write into XMP or EXIF:
# always, and if we know position, altitude, heading, time.
_CONTRADICT = xmp_names.names(
    "dc:rights dc:source dc:creator xmpRights:Marked xmpRights:WebStatement "
    "xmpRights:UsageTerms cc:license cc:attributionName cc:attributionURL "
    "mapillary:ImageID mapillary:SequenceID mapillary:Geometry "
    "exif:PixelXDimension exif:PixelYDimension tiff:ImageWidth tiff:ImageLength "
    "xmpNote:HasExtendedXMP "
    "GPano:ProjectionType GPano:UsePanoramaViewer "
    "GPano:FullPanoWidthPixels GPano:FullPanoHeightPixels "
    "GPano:CroppedAreaImageWidthPixels GPano:CroppedAreaImageHeightPixels "
    "GPano:CroppedAreaLeftPixels GPano:CroppedAreaTopPixels"
)
_POSITION = xmp_names.names("exif:GPSLatitude exif:GPSLongitude exif:GPSMapDatum")
_ALTITUDE = xmp_names.names("exif:GPSAltitude exif:GPSAltitudeRef")
_HEADING = xmp_names.names("exif:GPSImgDirection exif:GPSImgDirectionRef GPano:PoseHeadingDegrees")
_TIME = xmp_names.names(
    "exif:DateTimeOriginal exif:DateTimeDigitized exif:GPSTimeStamp "
    "xmp:CreateDate photoshop:DateCreated"
)
# Of a panorama's own fields those that are right only beside its own sizes.
_INTERIOR = xmp_names.names(
    "GPano:LargestValidInteriorRectLeft GPano:LargestValidInteriorRectTop "
    "GPano:LargestValidInteriorRectWidth GPano:LargestValidInteriorRectHeight"
)

# Namespaces of attributes that say something of their element, and may be on each.
_NO_PROPERTY = (xmp_names.name("rdf:"), "{http://www.w3.org/XML/1998/namespace}")

_XML_DECLARATION = re.compile(r"\A\s*<\?xml\s[^>]*\?>")
_PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)


def parse(packet: bytes) -> list[etree._Element] | None:
    """Return the descriptions of a packet, None if it is not sound XMP in UTF-8."""
    # Decoded here, so that no declared encoding hides a DTD from the test below.
    try:
        xml = _XML_DECLARATION.sub("", packet.decode().lstrip("\ufeff"))
        if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
            return None
        root = etree.fromstring(xml.rstrip("\0").encode(), _PARSER)
    except (ValueError, etree.XMLSyntaxError):
        return None
    rdf = root if root.tag == xmp_names.RDF else next(root.iter(xmp_names.RDF), None)
    return None if rdf is None else list(rdf.iterchildren(xmp_names.DESCRIPTION))


def read(packets: Sequence[bytes]) -> tuple[list[etree._Element], int]:
    """Return the descriptions of all packets in their order, and how many cannot be read."""
    found = [parse(packet) for packet in packets]
    sound = [descriptions for descriptions in found if descriptions is not None]
    return [each for descriptions in sound for each in descriptions], len(found) - len(sound)


def extension(theirs: list[etree._Element], extensions: Set[bytes]) -> bytes | None:
    """Return the extended XMP their descriptions refer to, of several the last that is whole."""
    named = [d.get(xmp_names.EXTENDED) or d.findtext(xmp_names.EXTENDED) for d in theirs]
    found = [name.strip().encode() for name in named if name]
    return next((name for name in reversed(found) if name in extensions), None)


def contradictions(
    metadata: Mapping[str, Any], captured_at: int | None, *, own_area: bool
) -> frozenset[str]:
    """Return the properties that the file's own packet must not have beside ours.

    `own_area`: what the file says of the panorama that it is, or is a part of, holds.
    """
    known = (
        (_INTERIOR, not own_area),
        (_POSITION, image_fields.camera_position(metadata) is not None),
        (_ALTITUDE, image_fields.altitude(metadata) is not None),
        (_HEADING, image_fields.heading(metadata) is not None),
        (_TIME, captured_at is not None),
    )
    return _CONTRADICT.union(*(names for names, is_known in known if is_known))


def without(theirs: list[etree._Element], names: frozenset[str]) -> str:
    """Return what remains of their descriptions without some properties, as XML.

    Of a property that is there twice the last one stays, as most readers take it; XMP forbids
    that, and some readers then read nothing of the packet.
    """
    gone = set(names)
    kept = []
    for description in reversed(theirs):
        _keep_one_of_each(description, gone)
        # All descriptions of a packet are about the same; ours, as usual, about "".
        description.set(xmp_names.ABOUT, "")
        description.tail = None
        if len(description) or len(description.attrib) > 1:
            kept.append(etree.tostring(description, encoding="unicode"))
    return "".join(reversed(kept))


def _keep_one_of_each(element: etree._Element, gone: set[str]) -> None:
    """Remove properties in `gone` and those without a namespace; what stays is then in `gone`."""
    if element.tag in xmp_names.CONTAINERS:
        for item in element:
            _keep_one_of_each(item, set())
        return
    for child in reversed(element):
        if child.tag in gone or not child.tag.startswith("{"):
            element.remove(child)
        else:
            gone.add(child.tag)
            _keep_one_of_each(child, set())
    for name in element.keys():  # noqa: SIM118  lxml: an element is no mapping
        if name in gone or not name.startswith("{"):
            del element.attrib[name]
        elif not name.startswith(_NO_PROPERTY):
            gone.add(name)


def whole_extensions(picture: jpeg.Jpeg) -> frozenset[bytes]:
    """Return the identifiers of extended XMP of which no part is missing.

    A part is 32 bytes of identifier, the full length, its own offset, and its bytes.
    """
    missing: dict[bytes, int] = {}
    for part in picture.app1(jpeg.XMP_EXTENSION):
        identifier, length = part[:32], int.from_bytes(part[32:36], "big")
        missing[identifier] = missing.get(identifier, length) - len(part[40:])
    return frozenset(name for name, length in missing.items() if length == 0)
