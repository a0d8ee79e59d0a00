"""Pure: how many bytes a listing has, judged by a sample of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

#: Bytes of ledger and manifests for an image.
_BESIDES = 700
#: The part of a normal distribution within ± this many standard deviations is 95 %.
_NORMAL = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes of all images at one quality, ± `error` with 95 % confidence.

    `error` is None where the sample is too small to tell one; `mean` is an image's bytes,
    `sample` are images that were measured, `without` those that the service does not offer
    at this quality.
    """

    size: float
    error: float | None
    mean: float
    sample: int
    without: int


def estimate(sizes: Sequence[int], images: int, without: int = 0) -> Estimate | None:
    """Return the estimate for `images` of which some were measured; None without a sample.

    The error is that of a mean (Student's t), smaller the more of all images the sample is.
    """
    if not sizes:
        return None
    count = len(sizes)
    offered = images * count / (count + without)
    mean = fmean(sizes)
    error = None
    if count > 2:
        rest = math.sqrt(max(0.0, (offered - count) / max(1.0, offered - 1)))
        error = offered * student(count - 1) * stdev(sizes) / math.sqrt(count) * rest
    return Estimate(offered * mean, error, mean, count, without)


def disk_needed(
    mean: float, *, left: int, images: int, largest_day: int, tar_max_bytes: int
) -> int:
    """Return the bytes that a crawl still needs, by the bytes of an image.

    `left` images are to come, of `images` in all; beside them come the largest day's tar, of at
    most `tar_max_bytes` (0 without tars), the ledger and the manifests.
    """
    largest = min(tar_max_bytes, largest_day * mean)
    return round(left * mean + largest + images * _BESIDES)


def student(freedom: int) -> float:
    """Return Student's t for 95 % (two-sided), by its expansion around the normal distribution.

    Source: Abramowitz and Stegun, 26.7.5. Within 2 % from three degrees of freedom on.
    """
    z: float = _NORMAL
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum(term / freedom**power for power, term in enumerate(terms))
