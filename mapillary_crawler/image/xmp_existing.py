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
    from collections.abc import Mapping, Set

# Properties that say again, so may say otherwise, what we write into XMP or EXIF:
# always, and if we know position, altitude, heading, time.
_CONTRADICT = xmp_names.names(
    "dc:rights dc:source dc:creator xmpRights:Marked xmpRights:WebStatement "
    "xmpRights:UsageTerms cc:license cc:attributionName cc:attributionURL "
    "mapillary:ImageID mapillary:SequenceID mapillary:Geometry "
    "exif:PixelXDimension exif:PixelYDimension tiff:ImageWidth tiff:ImageLength"
)
_POSITION = xmp_names.names("exif:GPSLatitude exif:GPSLongitude exif:GPSMapDatum")
_ALTITUDE = xmp_names.names("exif:GPSAltitude exif:GPSAltitudeRef")
_HEADING = xmp_names.names("exif:GPSImgDirection exif:GPSImgDirectionRef GPano:PoseHeadingDegrees")
_TIME = xmp_names.names(
    "exif:DateTimeOriginal exif:DateTimeDigitized exif:GPSTimeStamp "
    "xmp:CreateDate photoshop:DateCreated"
)
# Of a panorama's own fields, those that we write or that are in pixels of another size.
_SPHERE = xmp_names.names(
    "GPano:ProjectionType GPano:UsePanoramaViewer "
    "GPano:FullPanoWidthPixels GPano:FullPanoHeightPixels "
    "GPano:CroppedAreaImageWidthPixels GPano:CroppedAreaImageHeightPixels "
    "GPano:CroppedAreaLeftPixels GPano:CroppedAreaTopPixels "
    "GPano:LargestValidInteriorRectLeft GPano:LargestValidInteriorRectTop "
    "GPano:LargestValidInteriorRectWidth GPano:LargestValidInteriorRectHeight"
)

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


def extension(theirs: list[etree._Element], extensions: Set[bytes]) -> bytes | None:
    """Return the one extended XMP their descriptions refer to, if the file has it whole."""
    named = [d.get(xmp_names.EXTENDED) or d.findtext(xmp_names.EXTENDED) for d in theirs]
    found = {name.strip().encode() for name in named if name}
    return found.pop() if len(found) == 1 and found <= extensions else None


def contradictions(
    metadata: Mapping[str, Any], size: tuple[int, int], captured_at: int | None
) -> frozenset[str]:
    """Return the properties that the file's own packet must not have beside ours."""
    known = (
        (_SPHERE, image_fields.is_sphere(metadata, *size) is not None),
        (_POSITION, image_fields.camera_position(metadata) is not None),
        (_ALTITUDE, image_fields.altitude(metadata) is not None),
        (_HEADING, image_fields.heading(metadata) is not None),
        (_TIME, captured_at is not None),
    )
    return _CONTRADICT.union(*(names for names, is_known in known if is_known))


def without(theirs: list[etree._Element], names: frozenset[str]) -> str:
    """Return what remains of their descriptions without some properties, as XML."""
    kept = []
    for description in theirs:
        for name in names & set(description.attrib):
            del description.attrib[name]
        for child in [child for child in description if child.tag in names]:
            description.remove(child)
        # All descriptions of a packet are about the same; ours, as usual, about "".
        description.attrib.pop("about", None)
        description.set(xmp_names.ABOUT, "")
        description.tail = None
        if len(description) or len(description.attrib) > 1:
            kept.append(etree.tostring(description, encoding="unicode"))
    return "".join(kept)


def whole_extensions(picture: jpeg.Jpeg) -> frozenset[bytes]:
    """Return the identifiers of extended XMP of which no part is missing.

    A part is 32 bytes of identifier, the full length, its own offset, and its bytes.
    """
    missing: dict[bytes, int] = {}
    for part in picture.app1(jpeg.XMP_EXTENSION):
        identifier, length = part[:32], int.from_bytes(part[32:36], "big")
        missing[identifier] = missing.get(identifier, length) - len(part[40:])
    return frozenset(name for name, length in missing.items() if length == 0)
