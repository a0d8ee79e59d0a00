"""archive.org: metadata, search, tasks, and S3, which takes files into items."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from . import archive_s3
from .answer import Answer
from .archive_answers import ODD
from .archive_items import Item, Items, ReceivedFile
from .archive_search import scrape
from .identifiers import draw
from .weather import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from .answer import Request
    from .faults import ArchiveFaults
    from .weather import Chance

_SERVICES = {
    "/services/search/v1/scrape": "/scrape",
    "/services/tasks.php": "/tasks",
}


@dataclass(frozen=True, slots=True)
class Put:
    """A PUT as it came, and the status of its answer.

    `read` says whether the client could read the answer; a PUT that was reset while its body
    was sent has no status.
    """

    identifier: str
    name: str
    size: int
    md5: str
    status: int | None
    read: bool
    headers: dict[str, str]


class ArchiveOrg:
    """Answers as archive.org and its S3 do; `items` maps identifiers to their metadata answer."""

    def __init__(
        self, chance: Chance, items: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.items = Items(items)
        self.chance = chance
        #: Every PUT since the start or the last reset, in order.
        self.puts: list[Put] = []
        self._received: Counter[str] = Counter()
        #: Answers of the metadata API about an item that is there.
        self._shown = 0
        #: Answers of check_limit that still say "over".
        self._over_limit = 0

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
        return _SERVICES.get(request.path)

    async def receive(self, request: Request, content: AsyncIterator[bytes]) -> Request:
        """Return a PUT with its `upload`; without one, a fault has cut it."""
        nth = self._received[request.path] = self._received[request.path] + 1
        cut_after = None
        if self.chance.strikes("archive", "reset_in_upload", request.path, nth):
            length = int(request.headers.get("Content-Length", 0))
            cut_after = int(length * draw(self.chance.seed, "cut", request.path, nth))
        upload = await archive_s3.receive(content, cut_after)
        if upload is None:
            self._record(request, None, cut_after or 0, "", read=False)
        return replace(request, upload=upload)

    def answer(self, request: Request, nth: int) -> Answer:
        """Answer a request; an absent item is an empty object with status 200."""
        match self.endpoint(request):
            case "/s3":
                return self._put(request, nth)
            case "/check_limit":
                over, self._over_limit = self._over_limit > 0, max(0, self._over_limit - 1)
                return Answer.of_json({"bucket": "", "accesskey": "", "over_limit": int(over)})
            case "/check_auth":
                return self._account(request)
            case "/tasks":
                return self._tasks(request)
            case "/scrape":
                return scrape(request, self.items.all())
        return self._metadata(request)

    def note(self, request: Request, status: int, delivery: Delivery) -> None:
        """Note what a PUT came to."""
        assert request.upload is not None
        read = delivery is Delivery.WHOLE
        self._record(request, status, request.upload.size, request.upload.md5, read=read)

    def report(self) -> dict[str, Any]:
        """Return every PUT, and every item as it is now."""
        return {
            "puts": [asdict(each) for each in self.puts],
            "items": {name: item.shown() for name, item in self.items.all().items()},
        }

    def _record(
        self, request: Request, status: int | None, size: int, md5: str, *, read: bool
    ) -> None:
        identifier, name = _place(request)
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.puts.append(Put(identifier, name, size, md5, status, read, headers))

    def _put(self, request: Request, nth: int) -> Answer:
        assert request.upload is not None
        error = archive_s3.error_of_request(request) or self._fault(request, nth)
        if error is None and not archive_s3.digest_agrees(request.headers, request.upload):
            error = archive_s3.BAD_DIGEST
        if error is None:
            name = _place(request)[1]
            file = ReceivedFile(name, request.upload.size, request.upload.md5)
            error = self._take(request, file, nth)
        return error.answer(request.path) if error else Answer(200, b"", "text/plain")

    def _fault(self, request: Request, nth: int) -> archive_s3.S3Error | None:
        if self.faults.refusal:
            return archive_s3.REFUSALS[self.faults.refusal]
        for fault, error in (
            ("slow_down", archive_s3.SLOW_DOWN),
            ("bad_digest", archive_s3.BAD_DIGEST),
            ("forbidden", archive_s3.ACCESS_DENIED),
        ):
            if self.chance.strikes("archive", fault, request.path, nth):
                if fault == "slow_down":
                    self._over_limit = self.faults.over_limit
                return error
        return None

    def _take(self, request: Request, file: ReceivedFile, nth: int) -> archive_s3.S3Error | None:
        """Take a file into its item, which the first one makes."""
        identifier = _place(request)[0]
        uploader = f"{archive_s3.access_key(request.headers)}@example.org"
        item = self.items.find(identifier)
        if item is None:
            if request.headers.get("x-archive-auto-make-bucket") != "1":
                return archive_s3.NO_BUCKET
            metadata = archive_s3.metadata_of(request.headers)
            item = self.items.make(identifier, {**metadata, "uploader": uploader})
        if item.answer.get("is_dark") or item.metadata.get("uploader") != uploader:
            return archive_s3.ACCESS_DENIED
        if self.chance.strikes("archive", "altered", request.path, nth):
            file = ReceivedFile(file.name, file.size, "0" * 32)
        if not self.chance.strikes("archive", "lost", request.path, nth):
            fails = self.chance.strikes("archive", "task_error", request.path, nth)
            self.items.accept(item, file, self.faults.task_seconds, fails=fails)
        return None

    def _metadata(self, request: Request) -> Answer:
        """Answer /metadata/{id}, and of /metadata/{id}/metadata/{tag} the one value."""
        identifier, *rest = request.path.removeprefix("/metadata/").rstrip("/").split("/")
        item = self.items.find(identifier)
        if item is None:
            return Answer.of_json({})
        if request.method == "POST":
            return self._patch(item, request)
        shown: Any = item.shown()
        self._shown += 1
        if self.faults.odd_answer and self._shown > self.faults.odd_answer_after:
            shown = ODD[self.faults.odd_answer](shown)
        for part in rest:
            if not isinstance(shown, dict) or part not in shown:
                return Answer.of_json({"error": f"Couldn't locate item {'/'.join(rest)}"})
            shown = shown[part]
        return Answer.of_json({"result": shown} if rest else shown)

    def _patch(self, item: Item, request: Request) -> Answer:
        """Carry out a metadata write: a JSON patch of additions and replacements."""
        for change in json.loads(dict(parse_qsl(request.body.decode()))["-patch"]):
            tag = change["path"].lstrip("/")
            if change["op"] == "remove":
                item.metadata.pop(tag, None)
            elif change["op"] != "test":
                item.metadata[tag] = change["value"]
        return Answer.of_json({"success": True, "task_id": 1})

    def _account(self, request: Request) -> Answer:
        """Answer check_auth: whose keys they are, or why they are nobody's."""
        key = archive_s3.access_key(request.headers)
        error = archive_s3.NO_KEYS if key is None else None
        if self.faults.refusal in archive_s3.OF_THE_ACCOUNT:
            error = archive_s3.REFUSALS[self.faults.refusal]
        if error:
            return Answer.of_json({"authorized": False, "error": error.resource or error.message})
        account = {"username": f"{key}@example.org", "itemname": f"@{key}", "screenname": key}
        return Answer.of_json({"authorized": True, **account})

    def _tasks(self, request: Request) -> Answer:
        if archive_s3.access_key(request.headers) is None:
            return Answer.of_json({"success": False, "error": "Authentication required"}, 401)
        item = self.items.find(request.query.get("identifier", "")) or Item({})
        value: dict[str, Any] = {"summary": item.summary()}
        if request.query.get("catalog") == "1":
            value["catalog"] = [item.row(task) for task in item.tasks]
        return Answer.of_json({"success": True, "value": value})


def _place(request: Request) -> tuple[str, str]:
    """Return identifier and name of the file that a PUT names."""
    _, identifier, name = request.path.split("/", 2)
    return identifier, name
