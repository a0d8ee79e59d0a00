"""The keys for archive.org, which only uploads need; how they are asked about is the caller's."""

from __future__ import annotations

from collections.abc import Callable

from mapillary_crawler.archive.internet_archive.trouble import Denied, Unavailable
from mapillary_crawler.collection.outcome import ProjectError
from mapillary_crawler.crawl.doctor.finding import Finding, note, ok, warning

_WHERE = "https://archive.org/account/s3.php"
_WHAT = "archive.org"


def keys(ask: Callable[[], bool | None]) -> Finding:
    """Judge the keys; nothing about them is a fault, since a crawl needs none.

    `ask` returns whether uploads with them are taken now, None where there are no keys, and
    raises `Denied`, `Unavailable`, or another `ProjectError` for keys that cannot be sent.
    """
    try:
        takes_uploads = ask()
    except Denied as error:
        return warning(_WHAT, f"the keys are refused: {error}", f"get new ones at {_WHERE}")
    except Unavailable as error:
        return note(_WHAT, f"the keys could not be tried: {error}")
    except ProjectError as error:
        return warning(_WHAT, str(error), f"see {_WHERE}, or run: ia configure")
    if takes_uploads is None:
        return note(
            _WHAT, "no keys, which only uploads need",
            f"to upload, set IA_ACCESS_KEY_ID and IA_SECRET_ACCESS_KEY: {_WHERE}",
        )  # fmt: skip
    if not takes_uploads:
        return note(_WHAT, "the keys are accepted; uploads are not taken now", "upload later")
    return ok(_WHAT, "the keys are accepted, and uploads are taken")
