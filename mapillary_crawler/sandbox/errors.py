"""The error envelopes of the Graph API, as observed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .answer import Answer

_MLY = "MLYApiException"
_OAUTH = "OAuthException"


@dataclass(frozen=True, slots=True)
class GraphError:
    """Status and envelope of one error."""

    status: int
    message: str
    type: str = _MLY
    code: int | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def answer(self, **values: object) -> Answer:
        """Return the answer, with values put into the message."""
        error = {"message": self.message.format(**values), "type": self.type, **self.more}
        if self.code is not None:
            error["code"] = self.code
        return Answer.of_json(
            {"error": {**error, "fbtrace_id": "AMN5QfsCEBZg1LNVFA4bpvy"}}, self.status
        )


#: The disguises of a token that is refused.
TOKEN: dict[str, GraphError] = {
    "missing": GraphError(500, "Invalid OAuth 2.0 Access Token", _MLY, 190, {"error_data": {}}),
    "undecodable": GraphError(401, "Failed to decode", _OAUTH, 190),
    "unparsable": GraphError(
        400, "Invalid OAuth access token - Cannot parse access token", _OAUTH, 190
    ),
    "never_issued": GraphError(401, "Error validating application", _OAUTH, 190),
    "never_issued_query": GraphError(400, "Error validating application", _OAUTH, 190),
    "outage": GraphError(500, "Service temporarily unavailable", _OAUTH, 2, {"is_transient": True}),
    "extra_character": GraphError(400, "Error verifying the token", _OAUTH),
    "stopped": GraphError(400, "Invalid OAuth 2.0 Access Token", _MLY, 190, {"error_data": {}}),
    "withdrawn": GraphError(
        401,
        "Error validating access token: The user has not authorized application 4410152892354.",
        _OAUTH,
        190,
    ),
}
GONE = GraphError(
    400,
    "Unsupported get request. Object with ID '{id}' does not exist, cannot be loaded due to "
    "missing permissions, or does not support this operation",
    _MLY,
    100,
    {"error_subcode": 33},
)
UNKNOWN_FIELD = GraphError(
    400, "Tried accessing nonexisting field ({field}) on node type (ChunkObject)", _MLY, 100
)
INVALID_PARAMETER = GraphError(400, "(#100) Invalid parameter: {parameter}", _OAUTH, 100)
TOO_MANY_IDS = GraphError(
    400, "(#100) Too many IDs. Maximum: {maximum}. Provided: {provided}.", _OAUTH, 100
)
UNKNOWN_USER = GraphError(400, "Cannot find user with username {username}", _MLY, 100)
AREA = GraphError(
    500,
    "Bounding box area is too large. Maximum allowed area is 0.010 square degrees, "
    "but got {area:.3f} square degrees.",
    _MLY,
)
TOO_MUCH = GraphError(
    500,
    "Please reduce the amount of data you're asking for, then retry your request",
    _MLY,
    1,
)
UNKNOWN = GraphError(500, "An unknown error occurred", _MLY, 1, {"error_subcode": 99})
TIMEOUT = GraphError(
    400,
    "Timeout",
    _OAUTH,
    -2,
    {"error_subcode": 3404014, "is_transient": False, "error_user_title": "Query Timeout"},
)
TEMPORARY = GraphError(
    500, "The service is temporarily unavailable", _MLY, 2, {"is_transient": True}
)
RATE_LIMIT = GraphError(403, "Application request limit reached", _MLY, 4, {"is_transient": True})
