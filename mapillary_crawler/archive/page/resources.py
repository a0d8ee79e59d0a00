"""The files that a page is made of, from the package, be it zipped."""

from __future__ import annotations

from importlib import resources


def read(name: str) -> bytes:
    """Return the bytes of a file beside this module."""
    return resources.files(__package__).joinpath(name).read_bytes()
