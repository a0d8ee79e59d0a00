"""A refusal that nobody takes from the task, or the Deferred, of a crawl: a line, no traceback."""

from __future__ import annotations

import logging

from twisted.logger import globalLogBeginner

from mapillary_crawler.collection.outcome import ProjectError

#: What Twisted says before the error itself, in a record of its own.
_HEADING = "Unhandled error in Deferred:"


def untaken_in_a_line() -> None:
    """Let asyncio and Twisted log an error for people without its traceback.

    A `CrawlerProcess` fails before it runs, when Twisted would print it beside the log, too.
    """
    for name in ("asyncio", "twisted"):
        logging.getLogger(name).addFilter(_without_traceback)
    if globalLogBeginner._temporaryObserver is not None:  # nobody has begun to log, to Twisted
        globalLogBeginner.beginLoggingTo((), discardBuffer=True, redirectStandardIO=False)


def _without_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, ProjectError):
        record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
    return error is not None or record.getMessage().strip() != _HEADING
