"""How many files and connections the system lets the process have open at once."""

from __future__ import annotations

import os
import resource
from dataclasses import replace

from mapillary_crawler.collection.configuration import Configuration
from mapillary_crawler.collection.outcome import Outcome, Refused

#: What a crawl has open besides its transfers: ledger, locks, manifests, pipes, the API and
#: archive.org (18 measured), and, for an instant, modules, certificates and names to resolve.
_BESIDES = 40
#: Connections a transfer may have: its own, and one to another server that is kept for the next.
_EACH = 2
#: Pipes of an encoder that is being started, of which there is one a processor.
_ENCODER = 8


def fit_open_files(
    configuration: Configuration, *, encodes: bool
) -> tuple[Configuration, str | None]:
    """Return the configuration with no more transfers than may be open, and a line if it is less.

    Raises the process's own limit (`ulimit -n`) first, as far as that is allowed. Raises `Refused`
    where not even one transfer fits.
    """
    besides = _BESIDES + (_ENCODER * (os.cpu_count() or 1) if encodes else 0)
    most = max(configuration.concurrency_max, configuration.concurrency_fixed)
    limit = _raise_limit(besides + _EACH * most)
    fitting = (limit - besides) // _EACH
    if fitting >= most:
        return configuration, None
    if fitting < 1:
        raise Refused(
            Outcome.REFUSED,
            f"ulimit -n is {limit}: so few open files do not do for a crawl; at least "
            f"{besides + _EACH} are needed, {besides + _EACH * most} for all transfers",
        )
    fitted = replace(
        configuration,
        concurrency_max=min(configuration.concurrency_max, fitting),
        concurrency_min=min(configuration.concurrency_min, fitting),
        concurrency_start=min(configuration.concurrency_start, fitting),
        concurrency_fixed=min(configuration.concurrency_fixed, fitting),
    )
    return fitted, f"ulimit -n is {limit}: at most {fitting} transfers at once instead of {most}"


def _raise_limit(wanted: int) -> int:
    """Raise the limit to `wanted`, or as far as the system allows; return what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))
    except (OSError, ValueError):  # a system with a limit of its own below the hard one
        return soft
    return best
