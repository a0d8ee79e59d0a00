"""archive.org's S3: takes files into items, or says why not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from . import archive_s3
from .answer import Answer, Upload
from .archive_control import changed
from .archive_item import SOMEBODY
from .archive_tasks import ReceivedFile, Task, end_of
from .identifiers import draw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .answer import Request
    from .archive_bodies import Bodies
    from .archive_item import Item
    from .archive_items import Items
    from .archive_log import Log
    from .faults import ArchiveFaults
    from .weather import Chance


class Uploads:
    """Answers PUTs, and whether more of them are welcome."""

    def __init__(self, chance: Chance, items: Items, log: Log, bodies: Bodies) -> None:
        self._chance = chance
        self._items = items
        self._log = log
        self._bodies = bodies
        self._received: Counter[str] = Counter()
        #: Answers of check_limit that still say "over".
        self._over_limit = 0

    @property
    def _faults(self) -> ArchiveFaults:
        return self._chance.faults.archive

    async def receive(self, request: Request, content: AsyncIterator[bytes]) -> Request:
        """Return a PUT with its `upload`; without one, a fault has cut it."""
        nth = self._received[request.path] = self._received[request.path] + 1
        cut_after = None
        if self._chance.strikes("archive", "reset_in_upload", request.path, nth):
            length = int(request.headers.get("Content-Length", 0))
            cut_after = int(length * draw(self._chance.seed, "cut", request.path, nth))
        upload = await archive_s3.receive(content, cut_after, self._bodies.begin())
        if upload is None:
            cut = Upload(cut_after or 0, "")
            self._log.put(_place(request), cut, _headers(request), None, read=False, accepted=False)
        return replace(request, upload=upload)

    def put(self, request: Request, nth: int) -> Answer:
        """Answer a PUT whose body was received."""
        assert request.upload is not None
        error = archive_s3.error_of_request(request) or self._fault(request, nth)
        if error is None and not archive_s3.digest_agrees(request.headers, request.upload):
            error = archive_s3.BAD_DIGEST
        if error is None:
            error = self._take(request, request.upload, nth)
        return error.answer(request.path) if error else Answer(200, b"", "text/plain")

    def _fault(self, request: Request, nth: int) -> archive_s3.S3Error | None:
        if self._faults.refusal:
            return archive_s3.REFUSALS[self._faults.refusal]
        for fault, error in (
            ("slow_down", archive_s3.SLOW_DOWN),
            ("bad_digest", archive_s3.BAD_DIGEST),
            ("forbidden", archive_s3.ACCESS_DENIED),
        ):
            if self._chance.strikes("archive", fault, request.path, nth):
                if fault == "slow_down":
                    self._over_limit = self._faults.over_limit
                return error
        return None

    def _take(self, request: Request, upload: Upload, nth: int) -> archive_s3.S3Error | None:
        """Take a file into its item, which the first one makes."""
        identifier, name = _place(request)
        uploader = archive_s3.account(archive_s3.access_key(request.headers))
        item = self._items.find(identifier)
        if item is None:
            if request.headers.get("x-archive-auto-make-bucket") != "1":
                return archive_s3.NO_BUCKET
            metadata = archive_s3.metadata_of(request.headers)
            item = self._items.make(identifier, {**metadata, "uploader": uploader})
        if item.is_dark or item.metadata.get("uploader") != uploader:
            return archive_s3.ACCESS_DENIED
        struck = {
            fault: self._chance.strikes("archive", fault, request.path, nth)
            for fault in ("altered", "lost", "task_error", "replaced")
        }
        md5 = "0" * 32 if struck["altered"] else upload.md5
        file = self._bodies.hold(ReceivedFile(name, upload.size, md5, upload.md5, upload.body))
        if struck["replaced"]:
            item.replaced[name] = self._faults.replaced_after
        self._log.add("put", identifier, name)
        task = Task(file, end=end_of(lost=struck["lost"], error=struck["task_error"]))
        jitter = self._faults.task_jitter * draw(self._chance.seed, "task", request.path, nth)
        self._items.queue(identifier, task, self._faults.task_seconds + jitter)
        self._befall(identifier, item)
        return None

    def _befall(self, identifier: str, item: Item) -> None:
        """Let happen to an item what happens after so many uploads."""
        item.accepted += 1
        if item.accepted == self._faults.taken_after:
            changed(self._items, self._log, {identifier: {"uploader": SOMEBODY}})
        if item.accepted == self._faults.dark_after:
            changed(self._items, self._log, {identifier: {"dark": True}})

    def limit(self, request: Request) -> Answer:
        """Answer check_limit: whether S3 takes uploads now."""
        over, self._over_limit = self._over_limit > 0, max(0, self._over_limit - 1)
        asked = {key: request.query.get(key, "") for key in ("bucket", "accesskey")}
        reason = "total_tasks_queued exceeds global_limit" if over else ""
        detail = {"limit_reason": reason, "rationing_engaged": int(over)}
        return Answer.of_json({**asked, "over_limit": int(over), "detail": detail})

    def note(self, request: Request, status: int, *, read: bool, accepted: bool) -> None:
        """Note what a PUT came to."""
        assert request.upload is not None
        self._log.put(
            _place(request), request.upload, _headers(request), status, read=read, accepted=accepted
        )
        if request.upload.body:  # it was not accepted, or it would have another name by now
            request.upload.body.unlink(missing_ok=True)


def _place(request: Request) -> tuple[str, str]:
    """Return identifier and name of the file that a PUT names."""
    identifier, _, name = request.path[1:].partition("/")
    return identifier, name


def _headers(request: Request) -> dict[str, str]:
    return {key.lower(): value for key, value in request.headers.items()}
