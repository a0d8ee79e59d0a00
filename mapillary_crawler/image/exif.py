"""EXIF of an image: what Mapillary knows about it, and what the file has already.

Pure, and the only importer of piexif, which knows the tags and their types. Blocks are read
and written by `tiff`: piexif's reader trusts the counts in a file, its `insert` drops the JFIF
segment, and its writer, which copies all it is given, took a tenth of the reactor's time.
Panoramax, OpenSfM, ODM, JOSM and QGIS read these tags in this form alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import piexif
from piexif import GPSIFD, ExifIFD, ImageIFD

from mapillary_crawler.image import fields as image_fields
from mapillary_crawler.image import jpeg, tiff, tiff_writer
from mapillary_crawler.image.tiff import ASCII, BYTE, RATIONAL, SHORT, UNDEFINED, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Why EXIF of the file was not kept whole.
UNREADABLE = "EXIF of the file unreadable, replaced"
SEVERAL = "EXIF of the file in several segments, merged"
ENTRIES_LEFT_OUT = "EXIF of the file has entries that cannot be kept"
NOTE_LEFT_OUT = "MakerNote of the file left out, it cannot be moved"
THUMBNAIL_LEFT_OUT = "EXIF thumbnail of the file broken or too long, left out"
TOO_LONG = "EXIF of the file too long beside ours, replaced"

#: Directories as piexif names them: their tags.
Directories = dict[str, dict[int, Entry]]

_piexif: Any = piexif  # has no type information
_TYPES: dict[str, dict[int, int]] = {
    name: {tag: entry["type"] for tag, entry in _piexif.TAGS[name].items()}
    for name in ("0th", "Exif", "GPS", "Interop", "1st")
}
_VERSION = Entry(UNDEFINED, b"0232")
_GPS_VERSION = Entry(BYTE, (2, 3, 0, 0))
_UTC = Entry(ASCII, b"+00:00")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIZE = (ExifIFD.PixelXDimension, ExifIFD.PixelYDimension)
_TIMES = (ExifIFD.DateTimeOriginal, ExifIFD.DateTimeDigitized)
_OFFSETS = (ExifIFD.OffsetTime, ExifIFD.OffsetTimeOriginal, ExifIFD.OffsetTimeDigitized)
_FRACTIONS = (ExifIFD.SubSecTime, ExifIFD.SubSecTimeOriginal, ExifIFD.SubSecTimeDigitized)

# Tags of a TIFF's own layout, and metadata that a JPEG has in segments of their own.
_NOT_IN_A_JPEG = frozenset(
    {
        *(ImageIFD.ImageWidth, ImageIFD.ImageLength, ImageIFD.SubIFDs),
        *(ImageIFD.StripOffsets, ImageIFD.StripByteCounts),
        *(ImageIFD.TileOffsets, ImageIFD.TileByteCounts),
        *(ImageIFD.JPEGInterchangeFormat, ImageIFD.JPEGInterchangeFormatLength),
        *(ImageIFD.XMLPacket, ImageIFD.ImageResources),
    }
)
# What a thumbnail needs; the rest of IFD1 repeats, or contradicts, the first directory.
_OF_A_THUMBNAIL = frozenset(
    {
        *(ImageIFD.Compression, ImageIFD.Orientation, ImageIFD.YCbCrPositioning),
        *(ImageIFD.XResolution, ImageIFD.YResolution, ImageIFD.ResolutionUnit),
    }
)
# How well the receiver knew its position, which says nothing about a computed one.
_OF_A_FIX = frozenset(
    {
        *(GPSIFD.GPSSatellites, GPSIFD.GPSStatus, GPSIFD.GPSMeasureMode, GPSIFD.GPSDOP),
        *(GPSIFD.GPSProcessingMethod, GPSIFD.GPSAreaInformation),
        *(GPSIFD.GPSDifferential, GPSIFD.GPSHPositioningError),
    }
)
_ORIENTATIONS = [Entry(SHORT, (value,)) for value in range(1, 9)]
# MakerNotes whose offsets begin within the note. In others they begin at the TIFF
# header: moved, such a note reads as nonsense.
_MOVABLE_NOTES = (b"Apple iOS\0", b"FUJIFILM", b"Nikon\0\x02", b"OLYMPUS\0", b"OM SYSTEM\0")


@dataclass
class _Tags:
    """What a file has, as far as it can be written again."""

    directories: Directories = field(default_factory=dict)
    thumbnail: bytes | None = None
    troubles: list[str] = field(default_factory=list)


def write(
    data: bytes, metadata: Mapping[str, Any], *, captured_at: int | None, username: str
) -> jpeg.Written:
    """Return the JPEG with EXIF behind its JFIF segment; `jpeg.JpegError` if that cannot be."""
    picture = jpeg.parse(data)
    blocks = picture.app1(jpeg.EXIF)
    block, troubles = exif_block(
        metadata,
        captured_at=captured_at,
        username=username,
        size=(picture.width, picture.height),
        existing=[block[1:] for block in blocks],
    )
    # XMP is to follow: a file takes both or neither.
    written = picture.with_app1(
        block, instead_of=lambda segment: segment.is_app1(jpeg.EXIF), following=1
    )
    return jpeg.Written(written, troubles)


def exif_block(
    metadata: Mapping[str, Any],
    *,
    captured_at: int | None,
    username: str,
    size: tuple[int, int],
    existing: Sequence[bytes] = (),
) -> tuple[bytes, tuple[str, ...]]:
    """Return an EXIF block of at most 65,533 bytes, `Exif` header and all.

    `captured_at` is milliseconds since 1970 in UTC, up to the year 2242; `size` the
    width and height of this file in pixels; `existing` the file's own blocks without
    the `Exif` header. What is known replaces what the file has, the rest stays; the
    second value says why not all of it.
    """
    ours: Directories = {
        "0th": _camera(metadata, username),
        "Exif": {ExifIFD.ExifVersion: _VERSION, **_lens(metadata)},
        "GPS": _place(metadata),
    }
    if captured_at is not None:
        _add_time(ours, captured_at)
    position = image_fields.camera_position(metadata)
    tags = _read(existing)
    _remove_contradictions(
        tags,
        size,
        computed=bool(position and position.geometry == "computed"),
        timed=captured_at is not None,
    )
    for name, values in ours.items():
        tags.directories.setdefault(name, {}).update(values)
    for directories in (tags.directories, ours):
        if directories["GPS"]:
            directories["GPS"][GPSIFD.GPSVersionID] = _GPS_VERSION
    return _fit(tags, ours), tuple(dict.fromkeys(tags.troubles))


def _camera(metadata: Mapping[str, Any], username: str) -> dict[int, Entry]:
    """Return who took it, with what. EXIF names no charset; readers expect UTF-8."""
    texts = {
        ImageIFD.Make: image_fields.text(metadata.get("make")),
        ImageIFD.Model: image_fields.text(metadata.get("model")),
        ImageIFD.Artist: image_fields.author(username),
        ImageIFD.Copyright: image_fields.rights(username),
    }
    return {tag: Entry(ASCII, text.encode()) for tag, text in texts.items() if text}


def _lens(metadata: Mapping[str, Any]) -> dict[int, Entry]:
    """Return the focal length on film, as OpenSfM and ODM take it.

    Not the one in mm: that needs the sensor's size, which Mapillary does not know, and who knows
    the camera's would compute a field of view from one that was made up.
    """
    focal_length = image_fields.focal_length(metadata)
    if focal_length is None:
        return {}
    return {ExifIFD.FocalLengthIn35mmFilm: Entry(SHORT, (focal_length,))}


def _place(metadata: Mapping[str, Any]) -> dict[int, Entry]:
    """Return position, altitude and direction, each only if known."""
    gps: dict[int, Entry] = {}
    position = image_fields.camera_position(metadata)
    if position is not None:
        gps[GPSIFD.GPSLatitude], south = _degrees(position.latitude)
        gps[GPSIFD.GPSLatitudeRef] = Entry(ASCII, b"S" if south else b"N")
        gps[GPSIFD.GPSLongitude], west = _degrees(position.longitude)
        gps[GPSIFD.GPSLongitudeRef] = Entry(ASCII, b"W" if west else b"E")
        gps[GPSIFD.GPSMapDatum] = Entry(ASCII, b"WGS-84")
    altitude = image_fields.altitude(metadata)
    if altitude is not None:
        millimetres = round(altitude * 1000)
        gps[GPSIFD.GPSAltitude] = Entry(RATIONAL, (abs(millimetres), 1000))
        gps[GPSIFD.GPSAltitudeRef] = Entry(BYTE, (1 if millimetres < 0 else 0,))
    heading = image_fields.heading(metadata)
    if heading is not None:
        gps[GPSIFD.GPSImgDirection] = Entry(RATIONAL, (round(heading * 10**6), 10**6))
        gps[GPSIFD.GPSImgDirectionRef] = Entry(ASCII, b"T")
    return gps


def _degrees(value: float) -> tuple[Entry, bool]:
    """Return degrees, minutes, seconds to 1e-7" (3 micrometres), and whether below zero.

    Rounded as a whole first, so that 59.99999999" carries into the minute, and what
    rounds to zero is north and east.
    """
    units = round(abs(value) * 3600 * 10**7)
    minutes, seconds = divmod(units, 60 * 10**7)
    degrees, minutes = divmod(minutes, 60)
    return Entry(RATIONAL, (degrees, 1, minutes, 1, seconds, 10**7)), value < 0 < units


def _add_time(directories: Directories, captured_at: int) -> None:
    """Write the time in UTC wherever a reader looks, with milliseconds and offset.

    ODM takes `DateTimeOriginal` for UTC whatever the offset says, and its fraction
    from `SubSecTime`; Panoramax takes the time of the GPS if it is as fine.
    """
    moment = _EPOCH + timedelta(milliseconds=captured_at)
    milliseconds = captured_at % 1000
    stamp = moment.strftime("%Y:%m:%d %H:%M:%S").encode()
    written = Entry(ASCII, stamp)
    directories["0th"][ImageIFD.DateTime] = written
    photo, gps = directories["Exif"], directories["GPS"]
    photo.update(dict.fromkeys(_TIMES, written))
    photo.update(dict.fromkeys(_OFFSETS, _UTC))
    photo.update(dict.fromkeys(_FRACTIONS, Entry(ASCII, b"%03d" % milliseconds)))
    seconds = moment.second * 1000 + milliseconds
    gps[GPSIFD.GPSDateStamp] = Entry(ASCII, stamp[:10])
    gps[GPSIFD.GPSTimeStamp] = Entry(RATIONAL, (moment.hour, 1, moment.minute, 1, seconds, 1000))


def _read(blocks: Sequence[bytes]) -> _Tags:
    """Return what is sound in the file's own EXIF: a later block goes over an earlier one.

    Readers take the first, the last or all of them, and each may hold what no other has. An
    orientation that is none does not take the place of one that is.
    """
    tags = _read_block(blocks[0]) if blocks else _Tags()
    for block in blocks[1:]:
        later = _read_block(block)
        tags.troubles += later.troubles
        main = later.directories.get("0th", {})
        if main.get(ImageIFD.Orientation) not in _ORIENTATIONS and tags.directories.get("0th"):
            main.pop(ImageIFD.Orientation, None)
        if later.thumbnail is not None:
            tags.thumbnail = later.thumbnail
            tags.directories.pop("1st", None)
        elif tags.thumbnail is not None:
            later.directories.pop("1st", None)
        for name, entries in later.directories.items():
            tags.directories.setdefault(name, {}).update(entries)
    if len(blocks) > 1:
        tags.troubles.append(SEVERAL)
    return tags


def _read_block(block: bytes) -> _Tags:
    """Return what is sound in a block and can be written again."""
    tags = _Tags()
    try:
        contents = tiff.read(block)
    except tiff.TiffError:
        tags.troubles.append(UNREADABLE)
        return tags
    left_out = contents.unsound
    for name, entries in contents.directories.items():
        values = {tag: entry.of_type(_TYPES[name].get(tag)) for tag, entry in entries.items()}
        tags.directories[name] = {tag: v for tag, v in values.items() if v is not None}
        left_out += len(values) - len(tags.directories[name])
    if left_out:
        tags.troubles.append(ENTRIES_LEFT_OUT)
    tags.thumbnail = contents.thumbnail
    return tags


def _remove_contradictions(
    tags: _Tags, size: tuple[int, int], *, computed: bool, timed: bool
) -> None:
    """Take out of the file's own tags what is wrong for this file or beside ours."""
    main, photo, gps, first = (tags.directories.get(n, {}) for n in ("0th", "Exif", "GPS", "1st"))
    for tag in _NOT_IN_A_JPEG & main.keys():
        del main[tag]
    for tag in first.keys() - _OF_A_THUMBNAIL:
        del first[tag]
    for tag, pixels in zip(_SIZE, size, strict=True):
        if tag in photo and photo[tag].value != (pixels,):
            del photo[tag]
    note = photo.get(ExifIFD.MakerNote)
    if note and not bytes(note.value).startswith(_MOVABLE_NOTES):
        del photo[ExifIFD.MakerNote]
        tags.troubles.append(NOTE_LEFT_OUT)
    if timed:  # TIFF/EP: hours that the camera's clock is ahead of UTC; ours is not
        main.pop(ImageIFD.TimeZoneOffset, None)
    if computed:
        for tag in _OF_A_FIX & gps.keys():
            del gps[tag]


def _fit(tags: _Tags, ours: Directories) -> bytes:
    """Return the block with as much of the file's own EXIF as fits into a segment."""
    if tags.thumbnail is not None:
        block = _dump(tags.directories, tags.thumbnail)
        if block is not None:
            return block
        tags.troubles.append(THUMBNAIL_LEFT_OUT)
    block = _dump(tags.directories)
    if block is None and ExifIFD.MakerNote in tags.directories["Exif"]:
        del tags.directories["Exif"][ExifIFD.MakerNote]
        tags.troubles.append(NOTE_LEFT_OUT)
        block = _dump(tags.directories)
    if block is None:
        tags.troubles.append(TOO_LONG)
        block = _dump(ours)
    assert block is not None, "our own tags are few and short"
    return block


def _dump(directories: Directories, thumbnail: bytes | None = None) -> bytes | None:
    """Return the block; None if it is too long for a segment, or its thumbnail is broken."""
    try:
        if thumbnail is not None:
            jpeg.parse(thumbnail)
    except jpeg.JpegError:
        return None
    block = jpeg.EXIF + b"\0" + tiff_writer.write(directories, thumbnail)
    return block if len(block) <= jpeg.MAX_PAYLOAD else None
