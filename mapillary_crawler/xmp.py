"""XMP of an image: licence, origin, and for panoramas the photo sphere's fields.

Pure (ISO 16684-1; Adobe XMP specification, part 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from lxml import etree  # type: ignore[import-untyped]

from mapillary_crawler import image_fields, jpeg, xmp_existing, xmp_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

LICENCE_URL = "https://creativecommons.org/licenses/by-sa/4.0/"
#: Where a person sees the image on Mapillary.
PHOTO_PAGE = "https://www.mapillary.com/app/?pKey="

# Why XMP of the file was not kept.
UNREADABLE = "XMP of the file unreadable, replaced"
TOO_LONG = "XMP of the file over 64 KB with ours, replaced"
EXTENSION_LEFT_OUT = "extended XMP of the file without a packet or incomplete, left out"

_MAX_PACKET = jpeg.MAX_PAYLOAD - len(jpeg.XMP)
_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode()
_TAIL = b'<?xpacket end="w"?>'


class Packet(NamedTuple):
    """An XMP packet of at most 65,504 bytes."""

    data: bytes
    #: Identifier of the extended XMP that the packet refers to, if any.
    extension: bytes | None
    troubles: tuple[str, ...]


def write(
    data: bytes,
    metadata: Mapping[str, Any],
    *,
    image_id: str,
    username: str,
    captured_at: int | None,
) -> jpeg.Written:
    """Return the JPEG with one XMP packet, behind EXIF; `jpeg.JpegError` if that cannot be."""
    picture = jpeg.parse(data)
    packets = picture.app1(jpeg.XMP)
    packet = xmp_packet(
        metadata,
        image_id=image_id,
        username=username,
        captured_at=captured_at,
        size=(picture.width, picture.height),
        existing=packets[0] if packets else None,
        extensions=xmp_existing.whole_extensions(picture),
    )

    def goes(segment: jpeg.Segment) -> bool:
        if segment.is_app1(jpeg.XMP_EXTENSION):
            kept = packet.extension
            return kept is None or not segment.is_app1(jpeg.XMP_EXTENSION + kept)
        return segment.is_app1(jpeg.XMP)

    written = picture.with_app1(jpeg.XMP + packet.data, instead_of=goes, after=(jpeg.EXIF,))
    lost = any(map(goes, (s for s in picture.segments if s.is_app1(jpeg.XMP_EXTENSION))))
    return jpeg.Written(written, packet.troubles + (EXTENSION_LEFT_OUT,) * lost)


def xmp_packet(
    metadata: Mapping[str, Any],
    *,
    image_id: str,
    username: str,
    captured_at: int | None,
    size: tuple[int, int],
    existing: bytes | None = None,
    extensions: Set[bytes] = frozenset(),
) -> Packet:
    """Return the packet for a file of `size` pixels, merged with the `existing` one.

    `extensions` are the identifiers of the extended XMP that the file has whole.
    """
    root = etree.Element(xmp_names.name("x:xmpmeta"), nsmap=xmp_names.namespaces("x"))
    rdf = etree.SubElement(root, xmp_names.RDF, nsmap=xmp_names.namespaces("rdf"))
    _describe(rdf, metadata, size, image_id=image_id, username=username)
    extension: bytes | None = None
    troubles = []
    theirs = xmp_existing.parse(existing) if existing is not None else []
    if theirs is None:
        troubles.append(UNREADABLE)
    elif theirs:
        extension = xmp_existing.extension(theirs, extensions)
        names = xmp_existing.contradictions(metadata, size, captured_at)
        if extension is None:
            names |= {xmp_names.EXTENDED}
        xmp_existing.merge(rdf, theirs, names)
    data = _serialise(root)
    if len(data) > _MAX_PACKET:
        del rdf[1:]
        extension = None
        troubles.append(TOO_LONG)
        data = _serialise(root)
    return Packet(data, extension, tuple(troubles))


def _describe(
    rdf: etree._Element,
    metadata: Mapping[str, Any],
    size: tuple[int, int],
    *,
    image_id: str,
    username: str,
) -> None:
    """Add our own description: rights, origin and, of a panorama, the sphere."""
    sphere = image_fields.is_sphere(metadata, *size)
    used = ("dc", "xmpRights", "cc", "mapillary", *(("GPano",) if sphere else ()))
    ours = etree.SubElement(
        rdf, xmp_names.DESCRIPTION, {xmp_names.ABOUT: ""}, nsmap=xmp_names.namespaces(*used)
    )
    author = image_fields.author(username)
    identity = image_fields.text(image_id, limit=1000)
    page = PHOTO_PAGE + quote(identity, safe="")
    rights = _add(_add(ours, "dc:rights"), "rdf:Alt")
    _add(rights, "rdf:li", image_fields.rights(username)).set(xmp_names.LANGUAGE, "x-default")
    _add(_add(_add(ours, "dc:creator"), "rdf:Seq"), "rdf:li", author)
    _add(ours, "dc:source", page)
    _add(ours, "xmpRights:Marked", "True")
    _add(ours, "xmpRights:WebStatement", LICENCE_URL)
    _add(ours, "cc:license").set(xmp_names.RESOURCE, LICENCE_URL)
    _add(ours, "cc:attributionName", f"{author}, Mapillary")
    _add(ours, "cc:attributionURL").set(xmp_names.RESOURCE, page)
    _add(ours, "mapillary:ImageID", identity)
    sequence = image_fields.text(metadata.get("sequence"), limit=1000)
    if sequence:
        _add(ours, "mapillary:SequenceID", sequence)
    position = image_fields.position(metadata)
    if position is not None:
        _add(ours, "mapillary:Geometry", position.geometry)
    if sphere:
        _add_photo_sphere(ours, size, image_fields.heading(metadata))


def _add_photo_sphere(ours: etree._Element, size: tuple[int, int], heading: float | None) -> None:
    """Add the photo sphere's nine fields, of this file and uncropped.

    As elements: OpenSfM does not see attributes. Google: all must be there, with
    0 <= PoseHeadingDegrees < 360; Panoramax refuses an incomplete set of sizes.
    """
    width, height = map(str, size)
    _add(ours, "GPano:ProjectionType", "equirectangular")
    _add(ours, "GPano:UsePanoramaViewer", "True")
    if heading is not None:
        degrees = f"{heading:.6f}".rstrip("0").rstrip(".")
        _add(ours, "GPano:PoseHeadingDegrees", degrees)
    _add(ours, "GPano:FullPanoWidthPixels", width)
    _add(ours, "GPano:FullPanoHeightPixels", height)
    _add(ours, "GPano:CroppedAreaImageWidthPixels", width)
    _add(ours, "GPano:CroppedAreaImageHeightPixels", height)
    _add(ours, "GPano:CroppedAreaLeftPixels", "0")
    _add(ours, "GPano:CroppedAreaTopPixels", "0")


def _add(parent: etree._Element, prefixed: str, text: str | None = None) -> etree._Element:
    child = etree.SubElement(parent, xmp_names.name(prefixed))
    child.text = text
    return child


def _serialise(root: etree._Element) -> bytes:
    return b"".join((_HEAD, etree.tostring(root, encoding="utf-8"), _TAIL))
