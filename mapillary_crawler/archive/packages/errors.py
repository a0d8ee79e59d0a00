"""Why a package cannot be used; nothing is lost by any of them."""

from __future__ import annotations

from pathlib import Path

from mapillary_crawler.collection.outcome import Outcome, ProjectError


class DamagedPackage(ProjectError):
    """What lies on the shared folder is not what was put there."""

    outcome = Outcome.REFUSED

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} {what}; check the disk of the shared folder. Put it back from a backup, or "
            f"move the package away, and what is missing is fetched again"
        )


class Moved(ProjectError):
    """A package gave way to a newer one while it was copied: to be looked at again."""

    outcome = Outcome.LOCKED
