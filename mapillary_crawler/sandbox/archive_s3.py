"""archive.org's S3: what a PUT says, and the errors it can come to."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote
from xml.sax.saxutils import escape

from .answer import Answer, Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from .answer import Request

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,99}")
_METADATA = re.compile(r"x-archive-meta(?P<number>[0-9]*)-(?P<tag>.+)")
_URI = re.compile(r"uri\((?P<quoted>.*)\)")


@dataclass(frozen=True, slots=True)
class S3Error:
    """Status, code and message of an error; `resource` is what archive.org says besides."""

    status: int
    code: str
    message: str
    resource: str = ""

    def answer(self, path: str) -> Answer:
        """Return the answer as XML."""
        resource = self.resource or path
        body = (
            "<?xml version='1.0' encoding='UTF-8'?>\n"
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
            f"<Resource>{escape(resource)}</Resource><RequestId>sandbox</RequestId></Error>"
        )
        return Answer(self.status, body.encode(), "application/xml")


SLOW_DOWN = S3Error(503, "SlowDown", "Please reduce your request rate.")
BAD_DIGEST = S3Error(
    400, "BadDigest", "The Content-MD5 you specified did not match what we received."
)
ACCESS_DENIED = S3Error(403, "AccessDenied", "Access Denied")
#: Why archive.org refuses an upload, in its own words.
REFUSALS = {
    "keys": S3Error(
        403,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    "item": replace(
        ACCESS_DENIED, resource="You lack sufficient privileges to write to this item."
    ),
    "collection": replace(
        ACCESS_DENIED, resource="You lack sufficient privileges to write to those collections."
    ),
    "account": replace(ACCESS_DENIED, resource="Your account is locked; write to info@archive.org"),
    "spam": S3Error(
        503,
        "SlowDown",
        "Please reduce your request rate.",
        "Your upload appears to be spam. If you believe this is a mistake, write to "
        "info@archive.org and include your entire upload log.",
    ),
}
#: Those that have to do with whose the keys are, whatever they are used for.
OF_THE_ACCOUNT = frozenset({"keys", "account"})
NO_KEYS = S3Error(403, "AccessDenied", "You need to send your access and secret key.")
NO_BUCKET = S3Error(404, "NoSuchBucket", "The specified bucket does not exist.")
BAD_BUCKET = S3Error(400, "InvalidBucketName", "The specified bucket is not valid.")
BAD_NAME = S3Error(400, "InvalidURI", "Couldn't parse the specified URI.")
CHUNKED = S3Error(501, "NotImplemented", "Transfer-Encoding chunked is not implemented.")


async def receive(
    content: AsyncIterator[bytes], cut_after: int | None, keep: BinaryIO | None
) -> Upload | None:
    """Read a body, or stop once so many bytes of it came and return None.

    A whole body is left in `keep`, which is removed otherwise.
    """
    size, md5 = 0, hashlib.md5(usedforsecurity=False)
    kept = Path(keep.name) if keep else None
    whole = False
    try:
        if cut_after == 0:
            return None
        async for chunk in content:
            size += len(chunk)
            md5.update(chunk)
            if keep:
                keep.write(chunk)
            if cut_after is not None and size >= cut_after:
                return None
        whole = True
    finally:
        if keep:
            keep.close()
        if kept and not whole:
            kept.unlink()
    return Upload(size, md5.hexdigest(), kept)


def access_key(headers: Mapping[str, str]) -> str | None:
    """Return the access key of `Authorization: LOW access:secret`, None where it is none."""
    scheme, _, keys = headers.get("Authorization", "").partition(" ")
    access, _, secret = keys.partition(":")
    return access if scheme == "LOW" and access and secret else None


def account(key: str | None) -> str:
    """Return whose an access key is."""
    return f"{key}@example.org"


def error_of_request(request: Request) -> S3Error | None:
    """Return what is wrong with a PUT itself, None if nothing is."""
    _, identifier, *parts = request.path.split("/")
    if not _IDENTIFIER.fullmatch(identifier):
        return BAD_BUCKET
    if not parts or any(part in ("", ".", "..") or "\0" in part for part in parts):
        return BAD_NAME
    if access_key(request.headers) is None:
        return NO_KEYS
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        return CHUNKED
    return None


def digest_agrees(headers: Mapping[str, str], upload: Upload) -> bool:
    """Whether `Content-MD5`, in hexadecimal or base64, is that of the body."""
    claimed = headers.get("Content-MD5")
    encoded = base64.b64encode(bytes.fromhex(upload.md5)).decode()
    return claimed is None or claimed.lower() == upload.md5 or claimed == encoded


def metadata_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the item metadata in the headers: one value as text, several as a list."""
    values: dict[str, list[tuple[int, str]]] = {}
    for name, value in headers.items():
        found = _METADATA.fullmatch(name.lower())
        if found:
            tag = found["tag"].replace("--", "_")
            quoted = _URI.fullmatch(value)
            plain = unquote(quoted["quoted"]) if quoted else value
            values.setdefault(tag, []).append((int(found["number"] or 0), plain))
    listed = {tag: [text for _, text in sorted(each)] for tag, each in values.items()}
    return {tag: texts if len(texts) > 1 else texts[0] for tag, texts in listed.items()}
