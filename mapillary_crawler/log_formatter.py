"""What Scrapy logs of requests and items: nothing with a signed URL in it."""

from __future__ import annotations

from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.logformatter import LogFormatter
from twisted.python.failure import Failure


class QuietLogFormatter(LogFormatter):
    """Says nothing of what goes well; pages and images have lines of their own."""

    def crawled(self, request: Request, response: Response, spider: Spider) -> None:  # type: ignore[override]
        """Say nothing: signed URLs must not be logged, and no record need be built."""

    def scraped(self, item: Any, response: Response | Failure | None, spider: Spider) -> None:  # type: ignore[override]
        """Say nothing of an image that was saved."""

    def dropped(self, item: Any, exception: BaseException, response: Any, spider: Spider) -> None:  # type: ignore[override]
        """Say nothing: the thumbnails pipeline has told the ledger why."""
