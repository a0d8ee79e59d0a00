"""Pure: user names as people know and write them."""

from __future__ import annotations

import re
from urllib.parse import unquote

#: A profile on the service's web site, where a name cannot have a slash.
_PROFILE = re.compile(
    r"\s*(?:https?://)?(?:www\.)?mapillary\.com/app/user/(?P<name>[^/?#\s]+)/?(?:[?#]\S*)?\s*",
    re.IGNORECASE,
)


def username_of(said: str) -> str:
    """Return the user name that a profile's address has; any other text is a name itself."""
    profile = _PROFILE.fullmatch(said)
    return unquote(profile["name"]) if profile else said


def plain(name: str) -> str | None:
    """Return a name without `@` before it and blanks around it, None if it has none of these.

    Somebody may be called so: it is for who has found nothing under the name as it is.
    """
    stripped = name.strip().removeprefix("@").strip()
    return stripped if stripped not in ("", name) else None
