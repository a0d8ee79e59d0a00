"""XMP of an image: licence, origin, and for panoramas the photo sphere's fields.

Pure (ISO 16684-1; Adobe XMP specification, part 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.image import jpeg, xmp_existing, xmp_names
from mapillary_crawler.image.xmp_panorama import Area, own_area

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

LICENCE_URL = "https://creativecommons.org/licenses/by-sa/4.0/"
#: Where a person sees the image on Mapillary.
PHOTO_PAGE = "https://www.mapillary.com/app/?pKey="

# Why XMP of the file was not kept.
UNREADABLE = "XMP of the file unreadable, replaced"
SEVERAL = "XMP of the file in several packets, merged"
TOO_LONG = "XMP of the file over 64 KB with ours, replaced"
EXTENSION_LEFT_OUT = "extended XMP of the file without a packet or incomplete, left out"

_MAX_PACKET = jpeg.MAX_PAYLOAD - len(jpeg.XMP)
_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f"<x:xmpmeta{xmp_names.declared('x')}><rdf:RDF{xmp_names.declared('rdf')}>"
)
_TAIL = '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
_OPENING = (
    f'<rdf:Description{xmp_names.declared("dc", "xmpRights", "cc", "mapillary")} rdf:about=""'
)
_PANORAMA = xmp_names.declared("GPano")
_EXTENDED = f'<rdf:Description{xmp_names.declared("xmpNote")} rdf:about="">'


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
    packet = xmp_packet(
        metadata,
        image_id=image_id,
        username=username,
        captured_at=captured_at,
        size=(picture.width, picture.height),
        existing=picture.app1(jpeg.XMP),
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
    existing: Sequence[bytes] = (),
    extensions: Set[bytes] = frozenset(),
) -> Packet:
    """Return the packet for a file of `size` pixels, merged with the `existing` ones.

    `extensions` are the identifiers of the extended XMP that the file has whole.
    """
    theirs, unreadable = xmp_existing.read(existing)
    troubles = [UNREADABLE] * bool(unreadable) + [SEVERAL] * (len(existing) > 1)
    sphere = image_fields.is_sphere(metadata, *size)
    own = own_area(theirs, size) if theirs and sphere is not False else None
    area = Area(*size) if sphere and own is None else own
    ours = _description(metadata, size, area, image_id=image_id, username=username)
    kept, extension = "", None
    if theirs:
        extension = xmp_existing.extension(theirs, extensions)
        names = xmp_existing.contradictions(metadata, captured_at, own_area=own is not None)
        kept = xmp_existing.without(theirs, names)
    if extension is not None:
        named = _element("xmpNote:HasExtendedXMP", extension.decode())
        kept += f"{_EXTENDED}{named}</rdf:Description>"
    data = _packet(ours + kept)
    if len(data) > _MAX_PACKET:
        extension = None
        troubles.append(TOO_LONG)
        data = _packet(ours)
    return Packet(data, extension, tuple(troubles))


def _description(
    metadata: Mapping[str, Any],
    size: tuple[int, int],
    area: Area | None,
    *,
    image_id: str,
    username: str,
) -> str:
    """Return our own description: rights, origin and, of a panorama, its `area`.

    As text, since to build a tree for it took a tenth of the reactor's time.
    """
    identity = image_fields.text(image_id, limit=1000)
    page = PHOTO_PAGE + quote(identity, safe="")
    author = escape(image_fields.author(username))
    rights = escape(image_fields.rights(username))
    sequence = image_fields.text(metadata.get("sequence"), limit=1000)
    position = image_fields.camera_position(metadata)
    parts = [
        _OPENING,
        _PANORAMA if area else "",
        ">",
        f'<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">{rights}</rdf:li></rdf:Alt></dc:rights>',
        f"<dc:creator><rdf:Seq><rdf:li>{author}</rdf:li></rdf:Seq></dc:creator>",
        _element("dc:source", page),
        _element("xmpRights:Marked", "True"),
        _element("xmpRights:WebStatement", LICENCE_URL),
        f'<cc:license rdf:resource="{LICENCE_URL}"/>',
        f"<cc:attributionName>{author}, Mapillary</cc:attributionName>",
        f'<cc:attributionURL rdf:resource="{page}"/>',
        _element("mapillary:ImageID", identity),
    ]
    if sequence:
        parts.append(_element("mapillary:SequenceID", sequence))
    if position is not None:
        parts.append(_element("mapillary:Geometry", position.geometry))
    if area is not None:
        parts += _photo_sphere(size, area, image_fields.heading(metadata))
    return "".join((*parts, "</rdf:Description>"))


def _photo_sphere(size: tuple[int, int], area: Area, heading: float | None) -> list[str]:
    """Return the photo sphere's nine fields, of this file.

    As elements: OpenSfM does not see attributes. Google: all must be there, with
    0 <= PoseHeadingDegrees < 360; Panoramax refuses an incomplete set of sizes.
    """
    fields: dict[str, object] = {
        "ProjectionType": area.projection,
        "UsePanoramaViewer": area.viewer,
    }
    if heading is not None:
        fields["PoseHeadingDegrees"] = f"{heading:.6f}".rstrip("0").rstrip(".")
    fields |= {
        "FullPanoWidthPixels": area.full_width,
        "FullPanoHeightPixels": area.full_height,
        "CroppedAreaImageWidthPixels": size[0],
        "CroppedAreaImageHeightPixels": size[1],
        "CroppedAreaLeftPixels": area.left,
        "CroppedAreaTopPixels": area.top,
    }
    return [_element(f"GPano:{name}", str(value)) for name, value in fields.items()]


def _element(prefixed: str, text: str) -> str:
    return f"<{prefixed}>{escape(text)}</{prefixed}>"


def _packet(descriptions: str) -> bytes:
    return f"{_HEAD}{descriptions}{_TAIL}".encode()
