"""A file system so small that it gets full, where this machine lets us mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system in memory; `folder` is its root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: int) -> None:
        """Give it so many bytes."""
        _run("mount", "-o", f"remount,size={size}", str(self.folder))

    def make_read_only(self) -> None:
        """Let nobody write to it any more."""
        _run("mount", "-o", "remount,ro", str(self.folder))

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        status = os.statvfs(self.folder)
        return (status.f_blocks - status.f_bfree) * status.f_frsize


@contextmanager
def formatted(folder: Path, size: int) -> Iterator[Path]:
    """Mount an ext4 of so many bytes, which lies in a file; skip the test where that fails."""
    image = folder.with_name(f"{folder.name}.image")
    with image.open("wb") as file:
        file.truncate(size)
    folder.mkdir()
    try:
        _run("mkfs.ext4", "-q", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let us mount a file system in a file")
    try:
        yield folder
    finally:
        _run("umount", str(folder))


def fill(folder: Path, left: int) -> None:
    """Fill a disk until no more than so many bytes are free on it."""
    with (folder / "filling").open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 12):
            while os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize > left + block:
                file.write(bytes(block))
            os.fsync(file.fileno())


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a file system of so many bytes; skip the test where that is not allowed."""
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let us mount a small file system")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", str(folder))


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of so many bytes, in a file or in memory, or skip the test."""
    image = folder.with_name(f"{folder.name}.image")
    folder.mkdir()
    try:
        try:
            image.write_bytes(b"")
            os.truncate(image, size)
            _run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image))
            _run("mount", "-o", "loop", str(image), str(folder))
        except (OSError, subprocess.CalledProcessError):
            _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let us mount a small file system")
    try:
        yield folder
    finally:
        _run("umount", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
