"""What a user of the sandbox is made of: the USERS file."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def _key(default: Any, explanation: str) -> Any:
    return field(default=default, metadata={"explanation": explanation})


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpecification:
    """One entry of `{"users": [...]}`; rates are 0 to 1, counts are images."""

    username: str
    images: int = _key(100, "how many images")
    days: float = _key(7.0, "how many days they spread over")
    newest: str = _key("2024-05-31T18:00:00Z", "capture time of the newest")
    sequence_length: int = _key(250, "images in a sequence")
    streets: int = _key(0, "images between corners, sequences are outings; 0: straight lines")
    panoramas: float = _key(0.1, "rate of 360° images (2:1)")
    missing_fields: float = _key(0.05, "rate of images that lack several optional fields")
    undated: float = _key(0.0, "rate without captured_at")
    no_sequence: float = _key(0.0, "rate without sequence")
    no_url: float = _key(0.0, "rate without any thumb URL")
    missing_thumbs: float = _key(0.0, "rate that lacks a single one of the four thumb URLs")
    url_by_id_only: float = _key(0.0, "rate whose URLs the entity has but no page")
    bad_urls: float = _key(0.0, "rate whose thumb URLs are no URLs")
    dead: int = _key(0, "images that are listed but no longer exist")
    late: int = _key(0, "images among the others that appear with api.appear_after")
    new: int = _key(0, "newest images that appear with api.appear_after")
    equal_times: float = _key(0.0, "rate of runs of eight images with the same captured_at")
    odd_values: float = _key(0.0, "rate of values seen in reality that trip programs")
    odd_types: float = _key(0.0, "rate of images with fields of a wrong type")
    nameless: int = _key(0, "rows without a usable id")
    integer_ids: int = _key(0, "rows whose id is a JSON number")
    hostile: int = _key(0, "images with ids or sequences meant to break out of a folder")

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> UserSpecification:
        """Check one entry of the USERS file; ValueError names what is wrong."""
        known = {each.name: each for each in fields(cls)}
        if "username" not in entry:
            raise ValueError(f"a user needs a username, got {json.dumps(entry)[:80]}")
        values: dict[str, Any] = {}
        for name, value in entry.items():
            if name not in known:
                raise ValueError(f"unknown key {name!r} of a user, allowed: {', '.join(known)}")
            values[name] = _checked(name, value, known[name].default)
        try:
            user = cls(**values)
            user.newest_ms  # noqa: B018 - raises on a malformed time
        except ValueError as error:
            raise ValueError(f"user {entry['username']!r}: {error}") from error
        return user

    @property
    def newest_ms(self) -> int:
        """Capture time of the newest image in milliseconds since 1970."""
        time = datetime.fromisoformat(self.newest)
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _checked(name: str, value: Any, default: Any) -> Any:
    if default is MISSING or isinstance(default, str):
        good = isinstance(value, str)
    else:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
        good = good and (isinstance(default, float) or isinstance(value, int))
    if not good:
        raise ValueError(f"{name} of a user cannot be {value!r}")
    return value


def explanation() -> list[tuple[str, str, str]]:
    """Return (key, default, meaning) of every key but the username, for the command's help."""
    return [
        (each.name, str(each.default), each.metadata["explanation"])
        for each in fields(UserSpecification)
        if each.metadata
    ]
