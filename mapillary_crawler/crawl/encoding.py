"""How a collection's images are encoded: fixed by the first that is saved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.image import jxl_codec, webp
from mapillary_crawler.image.encoders import Encoder
from mapillary_crawler.ledger.ledger import Ledger

logger = logging.getLogger(__name__)


class WebpEncoding(NamedTuple):
    """How images become WebP, the same for all of a collection."""

    encoder: Encoder
    quality: int
    method: int


class JxlEncoding(NamedTuple):
    """How JPEGs become JPEG XL, the same for all of a collection."""

    encoder: Encoder
    effort: int


class _Asked(NamedTuple):
    """What the settings say, whose names begin with `prefix`."""

    prefix: str
    choice: str
    options: dict[str, int]
    installed: Callable[[str], Encoder]


def fix_encoding(
    ledger: Ledger, configuration: Configuration, collection: Collection
) -> WebpEncoding | JxlEncoding | None:
    """Return how images are encoded, None where they stay JPEGs; what was fixed stays.

    Raises `Refused` for other settings than those, and for an encoder that is not installed.
    """
    asked = _asked(configuration, collection)
    if asked is None:
        return None
    is_fixed = ledger.images.balance().saved or ledger.slices.is_slice
    fixed = ledger.facts.get("encoder") if is_fixed else None
    if fixed is not None:
        ensure_same_encoding(fixed, configuration, collection)
    encoder, fixed = _fix(ledger, asked, fixed)
    if collection.jxl:
        return JxlEncoding(encoder, fixed["effort"])
    return WebpEncoding(encoder, fixed["quality"], fixed["method"])


def ensure_same_encoding(
    fixed: Mapping[str, Any], configuration: Configuration, collection: Collection
) -> None:
    """Raise `Refused` for other settings than those that a collection was begun with."""
    asked = _asked(configuration, collection)
    if asked is None:
        return
    kind = fixed["kind"]
    values: dict[str, tuple[int | str, int | str]] = {
        name: (value, fixed[name]) for name, value in asked.options.items()
    }
    values["encoder"] = (asked.choice if asked.choice != "auto" else kind, kind)
    for name, (value, before) in values.items():
        setting = f"{asked.prefix}_{name.upper()}"
        if setting in configuration.explicit and value != before:
            raise Refused(
                Outcome.REFUSED,
                f"{setting}={value} does not fit: this collection was begun with {before}",
            )


def _asked(configuration: Configuration, collection: Collection) -> _Asked | None:
    """Return what the settings say of how this collection is encoded, None where it is not."""
    if collection.webp:
        options = {"quality": configuration.webp_quality, "method": configuration.webp_method}
        return _Asked("WEBP", configuration.webp_encoder, options, webp.installed_encoder)
    if collection.jxl:
        options = {"effort": configuration.jxl_effort}
        return _Asked("JXL", configuration.jxl_encoder, options, jxl_codec.installed_encoder)
    return None


def _fix(
    ledger: Ledger, asked: _Asked, fixed: dict[str, Any] | None
) -> tuple[Encoder, dict[str, Any]]:
    """Return the encoder, and what is fixed: its kind, its version, and options."""
    try:
        encoder = asked.installed(fixed["kind"] if fixed is not None else asked.choice)
    except ValueError as error:
        raise Refused(Outcome.REFUSED, str(error)) from None
    if fixed is None:
        fixed = asked.options | {"kind": encoder.kind, "version": encoder.version}
        ledger.facts.set(encoder=fixed)
    elif encoder.version not in (versions := ledger.facts.get("encoder_versions", [])):
        if encoder.version != fixed["version"]:
            logger.warning(
                "This collection was begun with %s %s, here is %s; images may differ in detail",
                encoder.kind, fixed["version"], encoder.version,
            )  # fmt: skip
        ledger.facts.set(encoder_versions=[*versions, encoder.version])
    return encoder, fixed
