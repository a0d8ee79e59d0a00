"""Names of the XMP properties that we write, read or take out."""

from __future__ import annotations

#: Namespace of our own properties: ImageID, SequenceID, Geometry (`computed` or `raw`).
OURS = "urn:mapillary-crawler:xmp:1.0/"

_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "cc": "http://creativecommons.org/ns#",
    "mapillary": OURS,
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
}


def declared(*prefixes: str) -> str:
    """Return the attributes that declare some prefixes in an element."""
    return "".join(f' xmlns:{prefix}="{_NAMESPACES[prefix]}"' for prefix in prefixes)


def name(prefixed: str) -> str:
    """Return the full name of a property given as `prefix:Name`."""
    prefix, local = prefixed.split(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


def names(prefixed: str) -> frozenset[str]:
    """Return the full names of properties separated by blanks."""
    return frozenset(map(name, prefixed.split()))


RDF = name("rdf:RDF")
DESCRIPTION = name("rdf:Description")
ABOUT = name("rdf:about")
EXTENDED = name("xmpNote:HasExtendedXMP")
#: What holds several values in `rdf:li`.
CONTAINERS = names("rdf:Seq rdf:Bag rdf:Alt")
