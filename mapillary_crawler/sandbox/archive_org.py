"""archive.org: metadata, search, tasks, downloads, and S3, which takes files into items."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import archive_metadata, archive_s3, archive_tasks
from .answer import Answer
from .archive_answers import ODD
from .archive_bodies import Bodies
from .archive_control import changed
from .archive_items import Items
from .archive_log import ANSWERED, Log
from .archive_search import scrape
from .archive_tasks import Task, end_of
from .archive_uploads import Uploads
from .weather import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .answer import Request
    from .faults import ArchiveFaults
    from .weather import Chance

_SERVICES = {
    "/services/search/v1/scrape": "/scrape",
    "/services/tasks.php": "/tasks",
}
#: A file of an item at archive.org, and at the server that has the item.
_DOWNLOAD = re.compile("/(?P<where>download|1/items)/(?P<identifier>[^/]+)/(?P<name>.+)")


class ArchiveOrg:
    """Answers as archive.org and its S3 do.

    `items` maps identifiers to their metadata answer, `uploads` is the folder that keeps files.
    """

    def __init__(
        self,
        chance: Chance,
        items: Mapping[str, Mapping[str, Any]] | None = None,
        uploads: Path | None = None,
    ) -> None:
        self.log = Log()
        self._bodies = Bodies(uploads)
        self.items = Items(items, chance, self.log, self._bodies)
        self.uploads = Uploads(chance, self.items, self.log, self._bodies)
        self.chance = chance
        #: Answers of the metadata API about an item that is there.
        self._shown = 0

    @property
    def faults(self) -> ArchiveFaults:
        """The faults in force."""
        return self.chance.faults.archive

    def endpoint(self, request: Request) -> str | None:
        """Return the endpoint of a request that is for archive.org, None for the Graph API."""
        if request.method == "PUT":
            return "/s3"
        for check in ("check_limit", "check_auth"):
            if request.path == "/" and check in request.query:
                return f"/{check}"
        if re.match("/metadata/.", request.path):
            return "/metadata"
        if _DOWNLOAD.fullmatch(request.path):
            return "/download"
        return _SERVICES.get(request.path)

    def answer(self, request: Request, nth: int) -> Answer:
        """Answer a request; an absent item is an empty object with status 200."""
        match self.endpoint(request):
            case "/s3":
                answer = self.uploads.put(request, nth)
            case "/check_limit":
                answer = self.uploads.limit(request)
            case "/check_auth":
                answer = self._account(request)
            case "/tasks":
                answer = self._tasks(request)
            case "/scrape":
                answer = scrape(request, self.items.all())
            case "/download":
                answer = self._download(request, nth)
            case _ if request.method == "POST":
                answer = self._write(request, nth)
            case _:
                answer = self._metadata(request)
        return answer

    def note(self, request: Request, status: int, delivery: Delivery, since: int) -> None:
        """Note what a request came to, whose events are those of the log from `since` on."""
        read = delivery is Delivery.WHOLE
        events = self.log.events[since:]
        for event in events:
            event.read = read or event.what not in ANSWERED
        if request.upload:
            accepted = any(event.what == "put" for event in events)
            self.uploads.note(request, status, read=read, accepted=accepted)

    def change(self, changes: Any) -> None:
        """Change items as somebody else would; ValueError names what is wrong with it."""
        changed(self.items, self.log, changes)

    def report(self) -> dict[str, Any]:
        """Return every PUT, the log, and every item as it is now."""
        items = {name: item.shown() for name, item in self.items.all().items()}
        return {**self.log.report(), "items": items}

    def _metadata(self, request: Request) -> Answer:
        """Answer /metadata/{id}, and of /metadata/{id}/metadata/{tag} the one value."""
        identifier, *rest = request.path.removeprefix("/metadata/").rstrip("/").split("/")
        item = self.items.find(identifier)
        self.log.add("read", identifier, "/".join(rest))
        if item is None:
            return Answer.of_json({})
        if not rest:
            for name in item.replace_files():
                self.log.add("changed", identifier, f"files/{name}")
        shown: Any = item.shown(tasks=not self.faults.tasks_hidden)
        self._shown += 1
        if self.faults.odd_answer and self._shown > self.faults.odd_answer_after:
            shown = ODD[self.faults.odd_answer](shown)
        for part in rest:
            if not isinstance(shown, dict) or part not in shown:
                return Answer.of_json({"error": f"Couldn't locate item {'/'.join(rest)}"})
            shown = shown[part]
        return Answer.of_json({"result": shown} if rest else shown)

    def _write(self, request: Request, nth: int) -> Answer:
        """Answer a metadata write, which its task carries out."""
        identifier = request.path.removeprefix("/metadata/").rstrip("/")
        item = self.items.find(identifier)
        try:
            if item is None or item.is_dark:
                raise archive_metadata.unavailable()
            key = archive_metadata.access_key(request)
            if key is None or item.metadata.get("uploader") != archive_s3.account(key):
                raise archive_metadata.unauthorized()
            struck = {
                fault: self.chance.strikes("archive", fault, request.path, nth)
                for fault in ("write_refused", "write_lost", "write_error")
            }
            if struck["write_refused"] or self.faults.refusal in archive_s3.OF_THE_ACCOUNT:
                raise archive_metadata.unauthorized()
            patch = archive_metadata.patch_of(request, item.metadata)
        except archive_metadata.Refused as refused:
            return refused.answer
        self.log.add("write", identifier)
        end = end_of(lost=struck["write_lost"], error=struck["write_error"])
        task = Task(patch=patch, end=end)
        return archive_metadata.accepted(
            self.items.queue(identifier, task, self.faults.write_seconds)
        )

    def _download(self, request: Request, nth: int) -> Answer:
        """Answer with a file, or with where archive.org's servers have it."""
        found = _DOWNLOAD.fullmatch(request.path)
        assert found is not None
        identifier, name = found["identifier"], found["name"]
        if self.faults.redirect_downloads and found["where"] == "download":
            target = request.target.replace("/download/", "/1/items/", 1)
            return Answer(302, b"", "text/html", {"Location": f"{request.origin}{target}"})
        path = f"/download/{identifier}/{name}"
        if "Range" in request.headers and self.chance.strikes(
            "archive", "range_ignored", path, nth
        ):
            request = replace(request, headers={})
        return self._bodies.answer(request, identifier, self.items.find(identifier), name)

    def _account(self, request: Request) -> Answer:
        """Answer check_auth: whose keys they are, or why they are nobody's."""
        key = archive_s3.access_key(request.headers)
        error = archive_s3.NO_KEYS if key is None else None
        if self.faults.refusal in archive_s3.OF_THE_ACCOUNT:
            error = archive_s3.REFUSALS[self.faults.refusal]
        if error:
            return Answer.of_json({"authorized": False, "error": error.resource or error.message})
        account = {"username": archive_s3.account(key), "itemname": f"@{key}", "screenname": key}
        return Answer.of_json({"authorized": True, **account})

    def _tasks(self, request: Request) -> Answer:
        if self.faults.tasks_api:
            return archive_tasks.REFUSING[self.faults.tasks_api]
        identifier = request.query.get("identifier", "")
        answer = archive_tasks.listed(request, self.items.find(identifier))
        if answer.status == 200:
            self.log.add("tasks", identifier)
        return answer
