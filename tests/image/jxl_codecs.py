"""Encoders of JPEG XL for tests: those installed here, and stand-ins for programs."""

from __future__ import annotations

import stat
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from mapillary_crawler.image.encoders import Encoder

needs_pylibjxl = pytest.mark.skipif(find_spec("pylibjxl") is None, reason="pylibjxl is absent")
needs_cjxl = pytest.mark.skipif(not (which("cjxl") and which("djxl")), reason="cjxl is absent")
#: The kinds of encoders, as parameters of a test.
KINDS = [
    pytest.param("pylibjxl", marks=needs_pylibjxl),
    pytest.param("cjxl", marks=needs_cjxl),
]


def box(kind: bytes, content: bytes = b"") -> bytes:
    """Return a box of ISO/IEC 18181-2."""
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def bits(*numbers: tuple[int, int]) -> bytes:
    """Return a codestream that begins with numbers of so many bits (ISO/IEC 18181-1)."""
    value = place = 0
    for number, count in numbers:
        value |= number << place
        place += count
    return b"\xff\x0a" + value.to_bytes(16, "little")


def programs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cjxl: str, djxl: str = "exit 1"
) -> Encoder:
    """Return an encoder of our own, a script that may leave files in `folder`.

    Its djxl is put on PATH. They are given the body at standard input; djxl writes to `$2`.
    """
    places = folder / "bin"
    places.mkdir(exist_ok=True)
    for name, script in (("cjxl", cjxl), ("djxl", djxl)):
        path = places / name
        path.write_text(f"#!/bin/sh\ncd '{folder}'\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(places), prepend=":")
    return Encoder("cjxl", "0", str(places / "cjxl"))


def is_running(pid: int) -> bool:
    """Say whether a process has not ended; one that nobody has waited for has."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def reason_of(caught: Any) -> str:
    """Return why an image stays a JPEG."""
    reason: str = caught.value.reason
    return reason
