"""archive.org: the metadata of items, by identifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answer import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .answer import Request


class ArchiveOrg:
    """Answers as archive.org and its S3 do; `items` maps identifiers to their metadata answer."""

    def __init__(self, items: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.items = dict(items or {})

    def owns(self, request: Request) -> bool:
        """Whether a request is for archive.org and not for the Graph API."""
        return request.path.startswith("/metadata/")

    def answer(self, request: Request) -> Answer:
        """Answer a request; an absent item is an empty object with status 200."""
        identifier = request.path.removeprefix("/metadata/").partition("/")[0]
        return Answer.of_json(self.items.get(identifier, {}))
