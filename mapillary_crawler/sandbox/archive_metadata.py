"""archive.org's metadata write API: the request that replaces tags of an item."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jsonpatch
import jsonpointer

from . import archive_s3
from .answer import Answer

if TYPE_CHECKING:
    from .answer import Request

#: What applying a patch may raise: it does not fit, or is no patch at all.
PATCH_ERRORS = (
    jsonpatch.JsonPatchException,
    jsonpointer.JsonPointerException,
    TypeError,
    KeyError,
)
#: Tags that nobody can change.
_FIXED = ("identifier", "mediatype")


class Refused(Exception):
    """A metadata write is not accepted; `answer` says why."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.answer = Answer.of_json({"success": False, "error": error}, status)


def unavailable() -> Refused:
    """Return the refusal for an item that is dark or not there."""
    return Refused("Item not available", 403)


def unauthorized() -> Refused:
    """Return the refusal for keys that may not edit the item."""
    return Refused("Unauthorized to edit item", 403)


def form(request: Request) -> dict[str, str]:
    """Return what a metadata write sends."""
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


def access_key(request: Request) -> str | None:
    """Return the access key, which comes in the form or, as elsewhere, in a header."""
    sent = form(request)
    if sent.get("access") and sent.get("secret"):
        return sent["access"]
    return archive_s3.access_key(request.headers)


def patch_of(request: Request, metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch of a write to these metadata; `Refused` where it cannot be applied.

    `-patch` with `-target` metadata, or `-changes`, a list of {"target", "patch"}.
    """
    sent = form(request)
    try:
        if "-changes" in sent:
            changes = [(each["target"], each["patch"]) for each in json.loads(sent["-changes"])]
        else:
            changes = [(sent["-target"], json.loads(sent["-patch"]))]
        if any(target != "metadata" for target, _ in changes):
            raise Refused("the sandbox knows no target but metadata")
        patch: list[dict[str, Any]] = [step for _, steps in changes for step in steps]
        changed = jsonpatch.apply_patch(metadata, patch)
    except (*PATCH_ERRORS, ValueError) as error:
        raise Refused(f"could not apply the patch: {error}") from None
    if not isinstance(changed, dict):
        raise Refused("metadata are tags and their values")
    if changed == metadata:
        raise Refused("no changes to _meta.xml")
    if any(changed.get(tag) != metadata.get(tag) for tag in _FIXED):
        raise Refused(f"{' and '.join(_FIXED)} cannot be changed")
    return patch


def accepted(number: int) -> Answer:
    """Return the answer to a write that its task will carry out."""
    log = f"https://catalogd.archive.org/log/{number}"
    return Answer.of_json({"success": True, "task_id": number, "log": log})
