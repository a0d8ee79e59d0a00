"""How a collection's images become WebP: fixed by the first that is saved."""

from __future__ import annotations

import logging
from typing import NamedTuple

from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.image.webp import Encoder, installed_encoder
from mapillary_crawler.ledger.ledger import Ledger

logger = logging.getLogger(__name__)


class Encoding(NamedTuple):
    """How images become WebP, the same for all of a collection."""

    encoder: Encoder
    quality: int
    method: int


def fix_encoding(ledger: Ledger, configuration: Configuration) -> Encoding:
    """Return how images become WebP; what the first saved image fixed stays.

    Raises `Refused` for other settings than those, and for an encoder that is not installed.
    """
    fixed = ledger.facts.get("encoder") if ledger.images.balance().saved else None
    choice = configuration.webp_encoder
    if fixed is not None:
        asked = {
            "WEBP_QUALITY": (configuration.webp_quality, fixed["quality"]),
            "WEBP_METHOD": (configuration.webp_method, fixed["method"]),
            "WEBP_ENCODER": (choice if choice != "auto" else fixed["kind"], fixed["kind"]),
        }
        for name, (value, before) in asked.items():
            if name in configuration.webp_set and value != before:
                raise Refused(
                    Outcome.REFUSED,
                    f"{name}={value} does not fit: this collection was begun with {before}",
                )
        choice = fixed["kind"]
    try:
        encoder = installed_encoder(choice)
    except ValueError as error:
        raise Refused(Outcome.REFUSED, str(error)) from None
    if fixed is None:
        fixed = {"quality": configuration.webp_quality, "method": configuration.webp_method}
        fixed |= {"kind": encoder.kind, "version": encoder.version}
        ledger.facts.set(encoder=fixed)
    elif encoder.version not in (versions := ledger.facts.get("encoder_versions", [])):
        if encoder.version != fixed["version"]:
            logger.warning(
                "This collection was begun with %s %s, here is %s; images may differ in detail",
                encoder.kind, fixed["version"], encoder.version,
            )  # fmt: skip
        ledger.facts.set(encoder_versions=[*versions, encoder.version])
    return Encoding(encoder, fixed["quality"], fixed["method"])
