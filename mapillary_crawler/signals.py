"""Signals of this project, sent through `crawler.signals` as Scrapy's own are."""

from __future__ import annotations

#: Sent once at the end of every run that began, whatever its outcome; whether the collection is
#: finished is in that. Everything is on the disk by then. Handlers, which may be coroutines, are
#: called with `spider`, `name` of the collection, its absolute `folder`, `balance` and `outcome`.
#: A crawl that is refused before it begins has no run, and sends nothing.
collection_finished = object()
