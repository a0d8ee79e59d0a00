"""Whether an image is whole: its bytes by their checksum, its picture by decoding it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mapillary_crawler.archive.verify.inventory import ExpectedFile, Kind, Problem
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.limits import IMAGE_BYTES
from mapillary_crawler.image.inspection import State, judge_file, judge_jxl
from mapillary_crawler.ledger.records import Member

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Eyes:
    """How images are looked at: `walk` as of `judge`, and what gives back the JPEG of a JXL."""

    walk: bool
    jpeg_of: Callable[[bytes], bytes]


def picture_fault(
    body: bytes, name: str, eyes: Eyes, sha256_jpeg: bytes | None
) -> tuple[Kind, str] | None:
    """Return what is wrong with an image, None if nothing is; the extension says what it is.

    A JPEG XL must give back the JPEG of that checksum, where one is known, and that be whole.
    """
    extension = name.rpartition(".")[2]
    if extension == "jxl":
        verdict, found = judge_jxl(body, eyes.jpeg_of, walk=eyes.walk)
        if found and sha256_jpeg not in (None, found):
            return Kind.CHANGED, "the JPEG that it gives back has another checksum"
    else:
        verdict = judge_file(body, extension, walk=eyes.walk)
    if verdict.has_all_pixels:
        return None
    if verdict.state is State.NOT_JUDGED:
        return Kind.UNREADABLE, verdict.reason
    return Kind.CHANGED, f"cannot be decoded: {verdict.reason}"


def check_file(folder: Path, file: ExpectedFile, authority: str, eyes: Eyes) -> list[Problem]:
    """Read a file that is no tar and compare it with its checksum; judge it if it is an image."""
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
    if not file.is_image or file.damaged:
        return []
    fault = picture_fault(body, file.path, eyes, file.sha256_jpeg)
    return [Problem(file.path, *fault)] if fault else []


def check_members(tar: Path, members: Sequence[Member], eyes: Eyes) -> list[Problem]:
    """Read members where they lie in their tar; nothing is written anywhere."""
    problems = []
    handle = descent.open_file(tar.parent, tar.name)
    try:
        for member in members:
            try:
                body = os.pread(handle, min(member.size, IMAGE_BYTES), member.offset)
            except OSError as error:
                fault: tuple[Kind, str] | None = Kind.UNREADABLE, str(error.strerror)
            else:
                fault = _fault(body, member, eyes)
            if fault:
                problems.append(Problem(tar.name, *fault, member.name))
    finally:
        os.close(handle)
    return problems


def _fault(body: bytes, member: Member, eyes: Eyes) -> tuple[Kind, str] | None:
    if len(body) < member.size:
        return Kind.CHANGED, f"only {len(body)} of {member.size} bytes are there"
    if hashlib.sha256(body).digest() != member.sha256:
        return Kind.CHANGED, "its checksum is another"
    if member.damaged:
        return None
    return picture_fault(body, member.name, eyes, member.sha256_jpeg)
