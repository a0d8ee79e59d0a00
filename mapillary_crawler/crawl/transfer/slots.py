"""The names of Scrapy's slots: what shares a concurrency and a pause."""

from __future__ import annotations

#: All requests to the Graph API, and no other: they carry the token.
API = "api"
#: The images of the pipelines, whatever host of the CDN has them.
IMAGES = "images"
#: An image that is known to exist, fetched to see whether the CDN is well.
PROBE = "probe"
#: Images that `scrapy plan` fetches to weigh them only.
SAMPLE = "sample"
ARCHIVE_ORG = "archive.org"

#: Those whose URLs come out of an answer of the API.
OF_IMAGES = frozenset({IMAGES, PROBE, SAMPLE})
