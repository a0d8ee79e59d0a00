"""The project's settings, checked before anything else happens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings

from mapillary_crawler.collection.addresses import proxy_of, split_url
from mapillary_crawler.collection.configuration_file import in_force
from mapillary_crawler.collection.layout import STAGING
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.processors import usable_processors
from mapillary_crawler.collection.token import API_HOST, may_have_token
from mapillary_crawler.collection.units import read_size, read_span

_Value = TypeVar("_Value")

_ENCODERS = {
    "WEBP_ENCODER": ("auto", "cwebp", "pillow"),
    "JXL_ENCODER": ("auto", "pylibjxl", "cjxl"),
}
#: The settings that a collection's first saved image fixes, or its first tar.
_FIXED = (*_ENCODERS, "WEBP_QUALITY", "WEBP_METHOD", "JXL_EFFORT", "TAR_MAX_BYTES")
#: What a shell would have replaced: $NAME or ${NAME}.
_VARIABLE = re.compile(r"\$[A-Za-z_{]")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings that a crawl works by; sizes in bytes, times in seconds."""

    api_url: str
    archive_org_url: str
    store: Path
    staging: Path
    concurrency_start: int
    concurrency_min: int
    concurrency_max: int
    concurrency_fixed: int
    api_patience: float
    searches_per_minute: int
    entities_per_minute: int
    image_attempts: int
    jpeg_walk: bool
    #: Images that are decoded or encoded at once.
    processors: int
    in_flight_bytes: int
    min_free_bytes: int
    tar_max_bytes: int
    max_bytes_per_second: int
    staging_max_bytes: int
    webp_quality: int
    webp_method: int
    webp_encoder: str
    new_store: bool = False
    jxl_encoder: str = "auto"
    jxl_effort: int = 3
    slice_images: int = 20_000
    #: Names of the settings that a collection fixes and the user set; the others are defaults.
    explicit: frozenset[str] = frozenset()
    #: Those of them that only a configuration file has: defaults where a collection is finished.
    of_files: frozenset[str] = frozenset()


def read_configuration(
    settings: Mapping[str, Any], environment: Mapping[str, str]
) -> Configuration:
    """Return the checked settings; raises `ArgumentRefused` naming the one that is wrong."""
    store = read_path("MAPILLARY_STORE", str(settings["MAPILLARY_STORE"]))
    confined = environment.get("MAPILLARY_STORE_ROOT")
    elsewhere = str(settings["MAPILLARY_STAGING"] or "")
    staging = read_path("MAPILLARY_STAGING", elsewhere) if elsewhere else store / STAGING
    if staging.resolve() == store.resolve():
        raise ArgumentRefused(
            f"MAPILLARY_STAGING {staging} is the store itself; name another folder, or none"
        )
    for name, path in (("MAPILLARY_STORE", store), ("MAPILLARY_STAGING", staging)):
        if confined and not is_below(path, Path(confined)):
            raise ArgumentRefused(f"{name} {path} is not below MAPILLARY_STORE_ROOT {confined}")
    given = frozenset(name for name in _FIXED if environment.get(name) or _is_set(settings, name))
    of_files = frozenset(_FIXED) & in_force().settings.keys()
    configuration = Configuration(
        api_url=read_web_address(settings, "MAPILLARY_API_URL"),
        archive_org_url=read_web_address(settings, "ARCHIVE_ORG_URL"),
        store=store,
        staging=staging,
        concurrency_start=read_number(settings, "MAPILLARY_CONCURRENCY_START", 1),
        concurrency_min=read_number(settings, "MAPILLARY_CONCURRENCY_MIN", 1),
        concurrency_max=read_number(settings, "MAPILLARY_CONCURRENCY_MAX", 1),
        concurrency_fixed=read_number(settings, "MAPILLARY_CONCURRENCY_FIXED", 0),
        api_patience=read_number(settings, "API_PATIENCE", 0, read_span),
        searches_per_minute=read_number(settings, "SEARCHES_PER_MINUTE", 1),
        entities_per_minute=read_number(settings, "ENTITIES_PER_MINUTE", 1),
        image_attempts=read_number(settings, "IMAGE_ATTEMPTS", 1),
        jpeg_walk=bool(read_number(settings, "JPEG_WALK", 0, int, 1)),
        processors=read_number(settings, "PROCESSORS", 0) or usable_processors(),
        in_flight_bytes=read_number(settings, "IN_FLIGHT_BYTES", 1, read_size),
        min_free_bytes=read_number(settings, "MIN_FREE_BYTES", 0, read_size),
        tar_max_bytes=read_number(settings, "TAR_MAX_BYTES", 1, read_size),
        max_bytes_per_second=read_number(settings, "MAX_BYTES_PER_SECOND", 0, read_size),
        staging_max_bytes=read_number(settings, "STAGING_MAX_BYTES", 0, read_size),
        webp_quality=read_number(settings, "WEBP_QUALITY", 0, int, 100),
        webp_method=read_number(settings, "WEBP_METHOD", 0, int, 6),
        webp_encoder=str(settings["WEBP_ENCODER"]),
        new_store=bool(read_number(settings, "NEW_STORE", 0, int, 1)),
        jxl_encoder=str(settings["JXL_ENCODER"]),
        jxl_effort=read_number(settings, "JXL_EFFORT", 1, int, 9),
        slice_images=read_number(settings, "SLICE_IMAGES", 1),
        explicit=given | of_files,
        of_files=of_files - given,
    )
    if configuration.concurrency_min > configuration.concurrency_max:
        raise ArgumentRefused("MAPILLARY_CONCURRENCY_MIN is greater than MAPILLARY_CONCURRENCY_MAX")
    for name, encoder in (
        ("WEBP_ENCODER", configuration.webp_encoder),
        ("JXL_ENCODER", configuration.jxl_encoder),
    ):
        if encoder not in _ENCODERS[name]:
            allowed = ", ".join(_ENCODERS[name])
            raise ArgumentRefused(f"{name} {encoder!r} is unknown; allowed are {allowed}")
    if not may_have_token(configuration.api_url, environment):
        raise ArgumentRefused(
            f"MAPILLARY_API_URL {configuration.api_url} may not get the token; only "
            f"https://{API_HOST}, loopback, or the host named by the environment variable "
            "MAPILLARY_TRUSTED_API_HOST may"
        )
    refuse_clear("MAPILLARY_API_URL", configuration.api_url, "the token")
    return configuration


def refuse_clear(name: str, url: str, secret: str) -> None:
    """Raise `ArgumentRefused` for an address that a proxy would be sent a secret for, in clear.

    Over https a proxy is only asked to connect, and sees neither requests nor headers.
    """
    if url.startswith("http:") and proxy_of(url):  # nor is the proxy shown: it may hold a password
        raise ArgumentRefused(
            f"{name} {url} is plain http, and a proxy of the environment (http_proxy) would see "
            f"{secret}; use https, or name the host in NO_PROXY"
        )


def _is_set(settings: Mapping[str, Any], name: str) -> bool:
    """Say whether a setting comes from the command line or from Scrapyd."""
    if not isinstance(settings, BaseSettings):
        return False
    return (settings.getpriority(name) or 0) > SETTINGS_PRIORITIES["project"]


def is_below(path: Path, root: Path) -> bool:
    """Say whether `path` is `root` or within it, links followed."""
    return path.resolve().is_relative_to(root.resolve())


def read_path(name: str, value: str) -> Path:
    """Return the absolute path of a setting, a home for `~`; raises `ArgumentRefused`."""
    if not value:
        raise ArgumentRefused(f"{name} is empty; say where")
    if _VARIABLE.search(value):  # not replaced here: some variables are secrets
        raise ArgumentRefused(
            f"{name} {value!r} has a variable that no shell has replaced; write the path out"
        )
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise ArgumentRefused(f"{name} {value!r}: there is no such user's home") from None


def read_web_address(settings: Mapping[str, Any], name: str) -> str:
    """Return the http(s) address of a setting, without a slash at its end.

    Raises `ArgumentRefused`, which never shows what may be a secret.
    """
    url = str(settings[name]).rstrip("/")
    if not url.isprintable() or set(url) & set(" ?#@"):  # not shown: it may hold a secret
        raise ArgumentRefused(
            f"{name} is no http(s) address that a path can follow: no user, query or space, please"
        )
    try:
        parts = split_url(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ArgumentRefused(f"{name} {url!r} is no http(s) address")
    return url


def read_number(
    settings: Mapping[str, Any],
    name: str,
    least: float,
    kind: Callable[[str], _Value] = int,  # type: ignore[assignment]
    most: float = 2**62,
) -> _Value:
    """Return a setting as a number of a kind, `least` to `most`; raises `ArgumentRefused`.

    `read_size` and `read_span` of collection/units.py are kinds, too.
    """
    value = str(settings[name])
    try:
        number = kind(value)
    except ValueError as error:
        why = error if kind in (read_size, read_span) else "is no number"
        raise ArgumentRefused(f"{name} {value!r}{_place(name, value)} {why}") from None
    if not least <= number <= most:  # type: ignore[operator]
        bounds = f"at least {least}" if most == 2**62 else f"from {least} to {most:g}"
        where = _place(name, value)
        raise ArgumentRefused(f"{name} {value!r}{where} is out of range; allowed is {bounds}")
    return number


def _place(name: str, value: str) -> str:
    """Say which file has a value, if one has it."""
    files = in_force()
    return f" of {files.origins[name]}" if files.settings.get(name) == value else ""
