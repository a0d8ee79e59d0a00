"""What is installed here: versions, the judge of images, encoders, open files."""

from __future__ import annotations

import platform
import shutil
import sqlite3
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mapillary_crawler import __version__
from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.crawl.doctor.finding import Finding, fault, fault_of, note, ok, warning
from mapillary_crawler.crawl.open_files import fit_open_files

#: What a crawl runs on and an installation brings, besides what has no version of its own.
_DISTRIBUTIONS = ("Scrapy", "Twisted", "aiohttp", "Pillow", "simplejpeg", "internetarchive")
_REINSTALL = "install this program and what it requires again"
_ENCODER, _JUDGE = "encoder", "image check"


def versions() -> dict[str, str | None]:
    """Return the versions of what a crawl runs on, None for what is not installed."""
    found: dict[str, str | None] = {
        "mapillary_crawler": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found | {"system": platform.platform()}


def judge_versions(found: dict[str, str | None]) -> Finding:
    """Name all versions, or what is missing."""
    missing = [name for name, number in found.items() if number is None]
    if missing:
        return fault("versions", Outcome.ERROR, f"not installed: {', '.join(missing)}", _REINSTALL)
    return ok("versions", ", ".join(f"{name} {number}" for name, number in found.items()))


def judge_of_images(*, walk: bool) -> Finding:
    """Say how images will be checked; `walk` is whether JPEG_WALK allows the native walk."""
    try:
        inspection = _loaded("inspection")
        inspection.decoder()
    except ImportError as error:
        return fault(_JUDGE, Outcome.ERROR, f"it cannot be loaded ({error})", _REINSTALL)
    if not walk:
        return note(
            _JUDGE, "images are decoded, since JPEG_WALK is 0: the same verdicts, slower",
            "with JPEG_WALK=1 they are walked, where native/ is installed",
        )  # fmt: skip
    if not inspection.has_native_walk():
        return warning(
            _JUDGE, "the native walk is missing: images are decoded, the same verdicts, slower",
            "install a C compiler, then this program again",
        )  # fmt: skip
    return ok(_JUDGE, "images are walked natively")


def encoder(choice: str) -> Finding:
    """Say which encoder makes WebP by WEBP_ENCODER, which only webp=1 needs.

    One that somebody has chosen, and that is not there, is a fault all the same.
    """
    try:
        webp = _loaded("webp")
    except ImportError as error:
        return fault(_ENCODER, Outcome.ERROR, f"Pillow cannot be loaded ({error})", _REINSTALL)
    try:
        installed = webp.installed_encoder(choice)
    except ValueError as error:
        if choice != "auto":
            return fault_of(_ENCODER, Outcome.REFUSED, str(error))
        return warning(
            _ENCODER, "neither cwebp nor a Pillow with WebP is here: webp=1 is refused",
            "install cwebp (package webp), which webp=1 needs",
        )  # fmt: skip
    found = f"{installed.kind} {installed.version}".replace("pillow libwebp", "Pillow's libwebp")
    if installed.kind == "pillow" and choice == "auto" and (broken := shutil.which("cwebp")):
        return warning(
            _ENCODER, f"{broken} does not work; {found} is used",
            "install cwebp again, or set WEBP_ENCODER=pillow",
        )  # fmt: skip
    return ok(_ENCODER, found)


def open_files(configuration: Configuration) -> Finding:
    """Say whether all transfers that are allowed may be open at once."""
    what, remedy = "open files", "raise it: ulimit -n 4096"
    try:
        _, fewer = fit_open_files(configuration, encodes=False)
    except Refused as error:
        return fault(what, error.outcome, str(error), remedy)
    if fewer:
        return warning(what, fewer, remedy)
    most = max(configuration.concurrency_max, configuration.concurrency_fixed)
    return ok(what, f"enough for {most} transfers at once")


def _loaded(name: str) -> Any:
    """Return a module of images; whether it and its libraries can be loaded is the question."""
    return import_module(f"mapillary_crawler.image.{name}")
