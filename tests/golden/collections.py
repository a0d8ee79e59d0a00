"""The golden collections: how each is crawled, and how its files are hashed.

The sandbox serves the pictures in `photographs/` as originals, byte for byte, so that what is
served depends on no library. They were made once and are never made again. The user has one of
each thing: panoramas, several days, undated images, images without a sequence, without a URL, no
longer there, damaged at the source (which takes two runs), never to be had (accepted in the
second run), and every hostile name of the sandbox.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL
from PIL import features

from mapillary_crawler.sandbox.catalogue import Catalogue
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import Crawling

HERE = Path(__file__).parent
PHOTOGRAPHS = HERE / "photographs"

USER = {
    "username": ".Zoë _u2e_Straße",
    "images": 80,
    "days": 2.5,
    "sequence_length": 12,
    "panoramas": 0.2,
    "missing_fields": 0.2,
    "undated": 0.06,
    "no_sequence": 0.1,
    "no_url": 0.03,
    "missing_thumbs": 0.1,
    "dead": 2,
    "nameless": 2,
    "integer_ids": 2,
    "hostile": 42,
    "equal_times": 0.1,
    "odd_values": 0.2,
    "odd_types": 0.1,
}
SEED = 16
_FOLDER = "mapillary-_u2e_Zo_ueb__u20__u5f_u2e_Stra_udf_e-original"


@dataclass(frozen=True)
class Golden:
    """One golden collection: arguments and settings of its crawl."""

    name: str
    folder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: The bytes of its pictures are an encoder's.
    encoded: bool = False

    @property
    def record(self) -> Path:
        """Where its hashes are recorded."""
        return HERE / f"{self.name}.json"


GOLDEN = (
    # Days of more than one part.
    Golden("jpeg", _FOLDER, settings={"TAR_MAX_BYTES": 65_536}),
    Golden("loose", _FOLDER, arguments={"tar": 0}),
    # One part a day: where a part ends depends on the sizes of the pictures.
    Golden(
        "webp",
        f"{_FOLDER}-webp",
        arguments={"webp": 1},
        settings={"WEBP_ENCODER": "pillow", "WEBP_QUALITY": 75, "WEBP_METHOD": 4},
        encoded=True,
    ),
)


@contextmanager
def golden_sandbox() -> Iterator[Sandbox]:
    """Run the sandbox that all golden collections are crawled from."""
    plain = [
        image.image_id
        for image in Catalogue([USER], SEED, PHOTOGRAPHS).user(USER["username"]).images()
        if image.image_id.isdecimal() and image.has_url("original") and not image.dead
    ]
    faults = {"cdn": {"damaged": plain[3:5], "empty": plain[5:6]}}
    with Sandbox.running([USER], seed=SEED, faults=faults, photos=PHOTOGRAPHS) as running:
        yield running


def crawl(golden: Golden, sandbox: Sandbox, store: Path, environment: Mapping[str, str]) -> Path:
    """Crawl a golden collection in two runs and return its folder."""
    crawling = Crawling(store, sandbox)
    crawling.environment |= environment
    settings = {"IMAGE_ATTEMPTS": 2, **golden.settings}
    options = [part for name, value in settings.items() for part in ("-s", f"{name}={value}")]
    arguments = {"username": USER["username"], "check_ia": 0, **golden.arguments}
    first = crawling.run(*options, **arguments)
    assert first.code == 3, first.output
    assert first.balance["failed"] == 3, first.output
    second = crawling.run(*options, **arguments, accept_failed=1)
    assert second.code == 3, second.output
    assert second.balance["failed"] == 1, second.output
    return store / golden.folder


def encoder() -> dict[str, str | None]:
    """Return the versions that the bytes of a WebP made by Pillow depend on."""
    return {
        "Pillow": PIL.__version__,
        "libwebp": features.version("webp"),
        "libjpeg-turbo": features.version("libjpeg_turbo"),
    }


def deterministic_set(folder: Path) -> dict[str, bytes]:
    """Return what is the same for the same state of the service, by path.

    Of a gzip file the content; that the file is this content at level 6, without time and name,
    is asserted. Of the page what it says: its looks are the program's, its pictures Pillow's, its
    packing zlib's. In `.meta` the versions are replaced. In SHA256SUMS each checksum, which is
    asserted to be the file's, is replaced by that of the bytes returned here.
    """
    paths = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_relative_to(folder / ".crawl")
    ]
    version = (folder / ".meta/mapillary_downloader/0").read_text("utf-8")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version)
    found = {}
    for path in paths:
        data = (folder / path).read_bytes()
        if path.endswith(".gz"):
            found[path] = _uncompressed(data)
        elif path.startswith(".meta/"):
            found[path] = _without_versions(data, version)
        elif path == "index.html":
            found[path] = _without_looks(data.decode()).encode()
        elif path not in {"SHA256SUMS", "__ia_thumb.jpg"} and not path.startswith("download.log."):
            found[path] = data
    found["SHA256SUMS"] = _sums_of_contents(folder, found)
    return found


def portable(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the deterministic set without what depends on the encoder of the pictures.

    Of a tar the headers without sizes. Of the checksums all but offset, size and sha256_stored,
    which are asserted to be those of the members; the image itself, but for the pixels of a
    WebP, is in their place. Of SHA256SUMS the paths. Of the page all but bytes and offsets.
    """
    rows = [json.loads(line) for line in contents["checksums.jsonl.gz"].splitlines()]
    places = {}
    for row in rows:
        start, size = row.pop("offset"), row.pop("size")
        data = contents[row["tar"]][start : start + size]
        assert row.pop("sha256_stored") == hashlib.sha256(data).hexdigest(), row
        row["stored"] = _without_pixels(row["member"], data)
        places[row["tar"], row["member"]] = start, size
    headers = {}
    for name in (path for path in contents if path.endswith(".tar")):
        with tarfile.open(fileobj=io.BytesIO(contents[name])) as tar:
            members = tar.getmembers()
        headers[name] = [_header(member) for member in members]
        for member in members:
            assert places.pop((name, member.name)) == (member.offset_data, member.size)
    assert not places
    sums = contents["SHA256SUMS"].decode().splitlines()
    return {
        **contents,
        **{name: _lines(described) for name, described in headers.items()},
        "checksums.jsonl.gz": _lines(rows),
        "SHA256SUMS": _lines(line.split("  ", 1)[1] for line in sums),
        "index.html": re.sub(
            rb"(?<=tail -c )\+\d+|(?<=head -c )\d+|(?<=curl -r )\d+-\d+|<b>[\d.]+ [kM]?B</b>",
            b"BYTES",
            contents["index.html"],
        ),
    }


def recorded(golden: Golden, folder: Path) -> dict[str, Any]:
    """Return the record of a collection: sha256 of each file, and what the encoder changes."""
    contents = deterministic_set(folder)
    exact = _hashes(contents)
    if not golden.encoded:
        return {"files": exact}
    files = _hashes(portable(contents))
    changed = {path: digest for path, digest in exact.items() if digest != files[path]}
    return {"files": files, "encoder": encoder(), "encoded": changed}


def _hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(contents[path]).hexdigest() for path in sorted(contents)}


def _uncompressed(data: bytes) -> bytes:
    content = gzip.decompress(data)
    # RFC 1952: deflate, no flags, no time, no extra flags at level 6.
    assert data[:9] == b"\x1f\x8b\x08" + b"\0" * 6
    assert data[10:] == gzip.compress(content, 6, mtime=0)[10:]
    return content


def _without_versions(data: bytes, version: str) -> bytes:
    text = data.decode().replace(f"mapillary_crawler {version}", "mapillary_crawler VERSION")
    text = re.sub(r"libwebp \S+, Pillow [^,]+", "libwebp VERSION, Pillow VERSION", text)
    return b"VERSION" if text == version else text.encode()


def _without_looks(page: str) -> str:
    """Return a page without style and script, pictures as what they are, lines unpacked."""
    for name, inside in (("style", "<style>(.*?)</style>"), ("script", "<script>(.*?)</script>")):
        (text,) = re.findall(inside, page, re.DOTALL)
        policy = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert page.count(policy) == 1
        page = page.replace(text, name).replace(policy, name)
    for packed in re.findall("<script type=[^>]*>([^<]*)</script>", page):
        page = page.replace(packed, zlib.decompress(base64.b64decode(packed)).hex())
    for picture in re.findall('src="data:image/jpeg;base64,([^"]*)"', page):
        assert len(base64.b64decode(picture)) <= 8192
        page = page.replace(picture, "JPEG")
    return page


def _sums_of_contents(folder: Path, contents: Mapping[str, bytes]) -> bytes:
    lines = []
    for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines(keepends=True):
        digest, path = line.rstrip("\n").split("  ", 1)
        assert digest == hashlib.sha256((folder / path).read_bytes()).hexdigest(), path
        lines.append(line.replace(digest, hashlib.sha256(contents[path]).hexdigest(), 1))
    return "".join(lines).encode()


def _header(member: tarfile.TarInfo) -> dict[str, Any]:
    """Return what a tar says of a member, but for its size."""
    info = {name: value for name, value in member.get_info().items() if name != "size"}
    return {**info, "type": member.type.decode(), "pax": member.pax_headers}


def _without_pixels(name: str, data: bytes) -> Any:
    """Return the chunks of a WebP (RFC 9649), of its picture the size only; else the hash."""
    if not name.endswith(".webp"):
        return hashlib.sha256(data).hexdigest()
    chunks, start = [], 12
    while start < len(data):
        kind, size = struct.unpack_from("<4sI", data, start)
        chunk = data[start + 8 : start + 8 + size]
        if kind == b"VP8 ":
            chunk = chunk[6:10]  # width and height
        chunks.append([kind.decode(), hashlib.sha256(chunk).hexdigest()])
        start += 8 + size + size % 2
    return chunks


def _lines(rows: Iterable[Any]) -> bytes:
    return "".join(f"{json.dumps(row, sort_keys=True)}\n" for row in rows).encode()
