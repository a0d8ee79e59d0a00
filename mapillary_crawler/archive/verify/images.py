"""Whether an image is whole: its bytes by their checksum, its picture by decoding it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mapillary_crawler.archive.verify.inventory import ExpectedFile, Kind, Problem
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.limits import IMAGE_BYTES
from mapillary_crawler.image.inspection import DamagedImage, NotAnImage, inspect, inspect_webp
from mapillary_crawler.ledger.records import Member

CHUNK = 1 << 20


def decoding_fault(body: bytes, name: str) -> str | None:
    """Return why an image cannot be decoded, None if it can; the extension says what it is."""
    decode = inspect_webp if name.endswith(".webp") else inspect
    try:
        decode(body)
    except (DamagedImage, NotAnImage) as error:
        return f"cannot be decoded: {error}"
    except Exception as error:  # noqa: BLE001  the decoders raise many kinds
        return f"cannot be decoded: {type(error).__name__}: {error}"
    return None


def check_file(folder: Path, file: ExpectedFile, authority: str) -> list[Problem]:
    """Read a file that is no tar and compare it with its checksum; decode it if it is an image."""
    sha256 = hashlib.sha256()
    try:
        handle = descent.open_file(folder, file.path)
        try:
            if file.is_image and os.fstat(handle).st_size > IMAGE_BYTES:
                return [Problem(file.path, Kind.CHANGED, "too large for an image")]
            body = b""
            while chunk := os.read(handle, CHUNK):
                sha256.update(chunk)
                if file.is_image:
                    body += chunk
        finally:
            os.close(handle)
    except FileNotFoundError:
        return [Problem(file.path, Kind.MISSING, f"{authority} has it")]
    except OSError as error:
        return [Problem(file.path, Kind.UNREADABLE, str(error.strerror))]
    if file.sha256 is not None and sha256.digest() != file.sha256:
        return [Problem(file.path, Kind.CHANGED, f"its checksum is not that of {authority}")]
    if file.is_image and not file.damaged and (fault := decoding_fault(body, file.path)):
        return [Problem(file.path, Kind.CHANGED, fault)]
    return []


def check_members(tar: Path, members: Sequence[Member]) -> list[Problem]:
    """Read members where they lie in their tar; nothing is written anywhere."""
    problems = []
    handle = descent.open_file(tar.parent, tar.name)
    try:
        for member in members:
            try:
                body = os.pread(handle, min(member.size, IMAGE_BYTES), member.offset)
            except OSError as error:
                kind, detail = Kind.UNREADABLE, str(error.strerror)
            else:
                kind, detail = Kind.CHANGED, _fault(body, member)
            if detail:
                problems.append(Problem(tar.name, kind, detail, member.name))
    finally:
        os.close(handle)
    return problems


def _fault(body: bytes, member: Member) -> str:
    if len(body) < member.size:
        return f"only {len(body)} of {member.size} bytes are there"
    if hashlib.sha256(body).digest() != member.sha256:
        return "its checksum is another"
    return "" if member.damaged else decoding_fault(body, member.name) or ""
