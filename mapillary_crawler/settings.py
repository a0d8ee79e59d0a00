"""Settings of mapillary_crawler, in the order of Scrapy's template.

Beside each changed value stand Scrapy's default and the reason. The last part holds the
project's own settings: each can also be set by an environment variable of the same name, or in
`mapillary-crawler.toml` (`-s` and Scrapyd's `setting=` win over the environment, the environment
over that file, the file over the default; an empty variable counts as unset).

    https://docs.scrapy.org/en/latest/topics/settings.html
"""

from __future__ import annotations

import os
from typing import Any

from mapillary_crawler.collection.configuration_file import files_or_end

_FILES = files_or_end()


def _setting(name: str, default: Any) -> Any:
    return os.environ.get(name) or _FILES.settings.get(name) or default


BOT_NAME = "mapillary_crawler"

SPIDER_MODULES = ["mapillary_crawler.spiders"]
NEWSPIDER_MODULE = "mapillary_crawler.spiders"

# Default {}: this file is for the spiders of a run; any other, that of `scrapy shell` too, finds
# Scrapy's own values (docs/extending.md).
ADDONS = {"mapillary_crawler.crawl.other_spiders.OtherSpiders": 0}

# scrapy crawl, archive, plan, status, verify, extract, tracks, export, clean, adopt, doctor,
# sandbox, demo, ia_stats, ia_upload, completion
COMMANDS_MODULE = "mapillary_crawler.commands"

# Default "Scrapy/VERSION (+https://scrapy.org)": the service should know who asks.
USER_AGENT = "mapillary_crawler (archives one user's images; Scrapy)"

# Default False, too, and decided so: an API with a token and its CDN, not a site.
ROBOTSTXT_OBEY = False

# Default 16; 0 is no limit: the slots limit themselves (crawl/transfer/), and
# a backlog of images must not block the API.
CONCURRENT_REQUESTS = 0
# Default 8; the slots have limits of their own, but this is how many connections to a host there
# are at most. `scrapy crawl` raises it, and the next one, to a larger MAPILLARY_CONCURRENCY_MAX.
CONCURRENT_REQUESTS_PER_DOMAIN = 128
# Default 100: images on their way at once: MAPILLARY_CONCURRENCY_MAX in transfer and one batch of
# 64 that waits for its commit, which is what a SIGKILL can cost. Bytes are bounded by
# IN_FLIGHT_BYTES.
CONCURRENT_ITEMS = 192
# Default 5,000,000: API pages are held while the listing waits, and are few.
SCRAPER_SLOT_MAX_ACTIVE_SIZE = 1 << 40
# Default {}: a slot for each service whatever the host, since the CDN has many names and they share
# one line.
DOWNLOAD_SLOTS = {
    # 60 ms apart is at most 1,000 requests a minute, and 50,000 images by id, 50 a request; the API
    # allows 10,000 searches and 60,000 entities.
    "api": {"concurrency": 2, "delay": 0.06, "jitter": 0},
    "images": {"concurrency": 16, "delay": 0, "jitter": 0},
    "archive.org": {"concurrency": 1, "delay": 0, "jitter": 0},
}

# Default: queues of pickles where JOBDIR is set. What is to be asked next is in the ledger, and a
# queue that a kill has cut would end every later run of its job.
SCHEDULER_DISK_QUEUE = "scrapy.squeues.LifoMemoryQueue"
SCHEDULER_START_DISK_QUEUE = "scrapy.squeues.FifoMemoryQueue"

# Default scrapy.core.downloader.Downloader, which under asyncio does not enforce slot limits.
DOWNLOADER = "mapillary_crawler.crawl.transfer.downloader.LimitedDownloader"
# Default 1 GiB: no image of the service is near 128 MiB, and a body is held whole.
DOWNLOAD_MAXSIZE = 128 * 1024 * 1024
# Default 32 MiB: originals of tens of megabytes are nothing to warn of.
DOWNLOAD_WARNSIZE = 0
# Default False: a token is sent.
DOWNLOAD_VERIFY_CERTIFICATES = True
# Default: all schemes, HTTP by Twisted. The API's answers name URLs; none may read a file or
# another protocol. aiohttp costs an image less processor time (docs/performance.md).
DOWNLOAD_HANDLERS = {
    "file": None, "ftp": None, "s3": None,
    "http": "mapillary_crawler.crawl.transfer.download_handler.DownloadHandler",
    "https": "mapillary_crawler.crawl.transfer.download_handler.DownloadHandler",
}  # fmt: skip

# Default True: neither the API nor the CDN needs them.
COOKIES_ENABLED = False
# Default True: the ports would be open to every user of the machine.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
# Default True: it costs time on every image, for the bytes of headers.
DOWNLOADER_STATS = False

# Default {}: Scrapy's spider middlewares do nothing for requests that the spider builds itself.
SPIDER_MIDDLEWARES = {
    "scrapy.spidermiddlewares.start.StartSpiderMiddleware": None,
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware": None,
    "scrapy.spidermiddlewares.referer.RefererMiddleware": None,
    "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware": None,
    "scrapy.spidermiddlewares.depth.DepthMiddleware": None,
}

# Default {}: Scrapy's own cost time on every image and none of these is needed. API redirects are
# never followed, retries wait in the ledger, and offsite rules have no meaning here.
DOWNLOADER_MIDDLEWARES = {
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
    "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware": None,
    "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware": None,
    "scrapy.downloadermiddlewares.redirect.RedirectMiddleware": None,
    "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
    # Replaced: Scrapy's own has a proxy for loopback, too.
    "scrapy.downloadermiddlewares.httpproxy.HttpProxyMiddleware": None,
    "mapillary_crawler.middlewares.ProxyMiddleware": 750,
    "mapillary_crawler.middlewares.TokenMiddleware": 900,
    "mapillary_crawler.middlewares.OutcomesMiddleware": 950,
}

EXTENSIONS = {
    # Default on: the project's own lines say what a person wants to know.
    "scrapy.extensions.logstats.LogStats": None,
    # Switched off above; so their modules, a web server among them, are not even imported.
    "scrapy.extensions.telnet.TelnetConsole": None,
    "scrapy.extensions.remote_control.RemoteControl": None,
    "scrapy.extensions.throttle.AutoThrottle": None,
    "mapillary_crawler.crawl.throttle.ImageThrottle": 0,
    "mapillary_crawler.extensions.secrets.Secrets": 50,
    "mapillary_crawler.extensions.log_file.LogFile": 100,
    "mapillary_crawler.extensions.progress.Progress": 200,
    "mapillary_crawler.extensions.stop_after.StopAfterExtension": 300,
    "mapillary_crawler.extensions.ending.Ending": 900,
}

# The way of an image, from its URL to the disk. The first is a subclass of Scrapy's ImagesPipeline
# whose IMAGES_* and MEDIA_ALLOW_REDIRECTS have no effect: an image is kept as served, and where it
# lies is the collection's matter. Who sets one of them is warned.
ITEM_PIPELINES = {
    "mapillary_crawler.pipelines.thumbnails.ThumbnailsPipeline": 100,
    "mapillary_crawler.pipelines.exif.ExifPipeline": 200,
    "mapillary_crawler.pipelines.xmp.XmpPipeline": 300,
    "mapillary_crawler.pipelines.webp.WebpPipeline": 400,
    "mapillary_crawler.pipelines.jxl.JxlPipeline": 410,
    "mapillary_crawler.pipelines.storage.StoragePipeline": 900,
}

# Default False: the adaptive concurrency control is a subclass of AutoThrottle. It sets no delay;
# the other AUTOTHROTTLE_* do nothing, and who sets one is warned. MAPILLARY_CONCURRENCY_* bound it.
AUTOTHROTTLE_ENABLED = True

# Default scrapy.logformatter.LogFormatter, which prints every item and signed URLs.
LOG_FORMATTER = "mapillary_crawler.terminal.log_formatter.QuietLogFormatter"
# Default DEBUG: one line a page and one a minute; images only with -L DEBUG, and then those that
# failed, are gone or unavailable.
LOG_LEVEL = "INFO"

# Default None, which is ASCII in JSON; Scrapy's template has utf-8.
FEED_EXPORT_ENCODING = "utf-8"
# Default None, all fields: bytes are no text, and signed URLs are nobody's.
FEED_EXPORT_FIELDS = [
    "image_id", "captured_at", "day", "sequence", "width", "height", "extension", "damaged",
    "path", "checksum", "size", "metadata",
]  # fmt: skip


# Project configuration. Values are checked before the first request (collection/configuration.py).

# Where the Graph API is. The token goes there only if it is https://graph.mapillary.com, loopback,
# or the host that the environment variable MAPILLARY_TRUSTED_API_HOST names.
MAPILLARY_API_URL = _setting("MAPILLARY_API_URL", "https://graph.mapillary.com")
# Where finished collections are, and where unfinished ones are worked on
# (empty: STORE/.incomplete).
MAPILLARY_STORE = _setting("MAPILLARY_STORE", "./mapillary_data")
MAPILLARY_STAGING = _setting("MAPILLARY_STAGING", "")
# 1: begin a store where the disk of an earlier one of the same path is not plugged in.
NEW_STORE = _setting("NEW_STORE", 0)
ARCHIVE_ORG_URL = _setting("ARCHIVE_ORG_URL", "https://archive.org")
ARCHIVE_ORG_S3_URL = _setting("ARCHIVE_ORG_S3_URL", "https://s3.us.archive.org")

# Images in transfer at once: where the throttle starts, and its bounds. FIXED switches it off.
MAPILLARY_CONCURRENCY_START = _setting("MAPILLARY_CONCURRENCY_START", 16)
MAPILLARY_CONCURRENCY_MIN = _setting("MAPILLARY_CONCURRENCY_MIN", 1)
MAPILLARY_CONCURRENCY_MAX = _setting("MAPILLARY_CONCURRENCY_MAX", 128)
MAPILLARY_CONCURRENCY_FIXED = _setting("MAPILLARY_CONCURRENCY_FIXED", 0)

# A command that is run, without a shell, when a run is over (crawl/on_end.py).
ON_END = _setting("ON_END", "")

# Sizes may have a unit (500MB, 10 MiB) and so may times (90m, 2h): collection/units.py.

# Time that the API or the image servers may stay away before a run ends with exit code 7.
API_PATIENCE = _setting("API_PATIENCE", 7200)
# Pages, and images by their ids, that are asked of the API in a minute at most: 80 % of its limits,
# which hold for all that is asked with one token.
SEARCHES_PER_MINUTE = _setting("SEARCHES_PER_MINUTE", 8_000)
ENTITIES_PER_MINUTE = _setting("ENTITIES_PER_MINUTE", 48_000)
# Attempts an image has in a run; what the CDN as a whole does costs none.
IMAGE_ATTEMPTS = _setting("IMAGE_ATTEMPTS", 6)
# 0: images are not walked by native/ but decoded, for who would rather not have C of this project
# read what strangers send; the verdicts are the same.
JPEG_WALK = _setting("JPEG_WALK", 1)
# Images that are decoded or encoded at once; 0: as many as this process may use processors.
PROCESSORS = _setting("PROCESSORS", 0)
# Bytes of images on their way, every copy counted; one larger image passes alone.
IN_FLIGHT_BYTES = _setting("IN_FLIGHT_BYTES", 64 * 1024 * 1024)
# Bytes that stay free on the disk; below, a run ends with exit code 6.
MIN_FREE_BYTES = _setting("MIN_FREE_BYTES", 1_000_000_000)
# Bytes of images a second, all transfers together; 0 is off.
MAX_BYTES_PER_SECOND = _setting("MAX_BYTES_PER_SECOND", 0)
# Bytes a tar stays below; a day that has more goes on in the next part.
TAR_MAX_BYTES = _setting("TAR_MAX_BYTES", 10 * 1024**3)
# Bytes that a collection in the making may have here; 0 is what is free. With upload=1 remove=1 the
# crawl waits for room, and twice TAR_MAX_BYTES with IN_FLIGHT_BYTES must fit.
STAGING_MAX_BYTES = _setting("STAGING_MAX_BYTES", 0)
# Images of a slice, about: a user with more of them to be fetched is cut where several processes
# work on one, cut=1. Smaller slices cost less where one is lost, and more starts of processes.
SLICE_IMAGES = _setting("SLICE_IMAGES", 20_000)
# Time without a sign of life after which a worker's tasks are others'; the same on all machines.
QUEUE_LEASE = _setting("QUEUE_LEASE", 30)

# cwebp's -q and -m, and which encoder: cwebp, pillow, or auto: cwebp where it is installed. All
# three are fixed by a collection's first saved image.
WEBP_QUALITY = _setting("WEBP_QUALITY", 75)
WEBP_METHOD = _setting("WEBP_METHOD", 4)
WEBP_ENCODER = _setting("WEBP_ENCODER", "auto")

# Which encoder makes JPEG XL: pylibjxl, cjxl, or auto: pylibjxl where it works. And its effort, 1
# to 9: beyond 3 it takes longer for nothing. Both are fixed by a collection's first saved image.
JXL_ENCODER = _setting("JXL_ENCODER", "auto")
JXL_EFFORT = _setting("JXL_EFFORT", 3)
