"""What an item has, and bytes of its files, one request at a time; nobody has to say who asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests

from mapillary_crawler.archive.internet_archive.retry import Retry
from mapillary_crawler.archive.internet_archive.trouble import (
    Denied,
    StillUnavailable,
    Trouble,
    Unavailable,
    trouble,
)
from mapillary_crawler.collection.addresses import is_loopback
from mapillary_crawler.collection.limits import ANSWER_BYTES
from mapillary_crawler.collection.outcome import RunStopped

_AGENT = "mapillary_crawler (reads images of its collections)"
#: Redirects that are followed: an item's files lie on some server of archive.org.
_REDIRECTS = 5
_CHUNK = 1 << 16
#: Bytes of an answer that is no success and may say why.
_WORDS = 10_000

_Result = TypeVar("_Result")


class Ranges:
    """Reads from `{url}/download/{item}/{name}` and `{url}/metadata/{item}`; for any thread.

    `timeout` is how many seconds an answer may stand still, `wait` and `patience` those of
    `Retry`. Once archive.org has been away for longer nothing more is asked of it.
    """

    def __init__(
        self,
        url: str,
        *,
        wait: float,
        patience: float,
        timeout: float,
        say: Callable[[str], None],
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._stopped = threading.Event()
        self._retry = Retry(wait, patience, say, sleep=self._sleep)
        self._lock = threading.Lock()
        #: Why nothing more is asked.
        self.away: StillUnavailable | None = None
        self._session = requests.Session()
        self._session.max_redirects = _REDIRECTS
        self._session.headers.update({"User-Agent": _AGENT, "Accept-Encoding": "identity"})
        self._session.auth = _nobody  # not who the user's .netrc names
        if is_loopback(urlsplit(url).hostname or ""):
            self._session.trust_env = False  # no proxy

    def read(self, item: str, name: str, start: int, size: int) -> bytes:
        """Return `size` bytes of a file from `start` on; raises `Trouble`, `RunStopped`."""
        return self._once(f"{item}/{name}", lambda: self._read(item, name, start, size))

    def metadata(self, item: str) -> dict[str, Any]:
        """Return what the metadata API says of an item now, nothing for an absent one.

        Raises `Trouble`, `RunStopped`.
        """
        return self._once(item, lambda: self._metadata(item))

    def _once(self, what: str, work: Callable[[], _Result]) -> _Result:
        """Ask as often as it takes, but nothing more once archive.org has been away too long."""
        with self._lock:
            if self.away:
                raise self.away
            try:
                return self._retry(what, work)
            except StillUnavailable as error:
                self.away = error
                raise

    def stop(self) -> None:
        """Let nobody wait any longer."""
        self._stopped.set()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RunStopped

    def _read(self, item: str, name: str, start: int, size: int) -> bytes:
        return self._get(
            f"download/{quote(item, safe='')}/{quote(name, safe='')}",
            {"Range": f"bytes={start}-{start + size - 1}"},
            lambda answer: self._body(answer, start, size),
        )

    def _metadata(self, item: str) -> dict[str, Any]:
        body = self._get(f"metadata/{quote(item, safe='')}", {}, self._whole)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise Unavailable("an answer that is no JSON") from None
        return answer if isinstance(answer, dict) else {}

    def _get(
        self,
        path: str,
        headers: dict[str, str],
        read: Callable[[requests.Response], bytes],
    ) -> bytes:
        try:
            with self._session.get(
                f"{self._url}/{path}", headers=headers, timeout=self._timeout, stream=True
            ) as answer:
                return read(answer)
        except requests.Timeout:
            raise Unavailable("no answer in time") from None
        except requests.TooManyRedirects:
            raise Denied(f"more than {_REDIRECTS} redirects", 302) from None
        except (requests.RequestException, OSError) as error:
            raise Unavailable(f"the connection failed ({type(error).__name__})") from None

    def _body(self, answer: requests.Response, start: int, size: int) -> bytes:
        if answer.status_code != 206:
            raise self._refusal(answer)
        span = answer.headers.get("Content-Range", "")
        if not span.startswith(f"bytes {start}-{start + size - 1}/"):
            raise Denied("the file there is shorter, or another range was sent", 206)
        body = self._at_most(answer, size)
        if len(body) != size:
            raise Unavailable(f"{len(body)} bytes came instead of {size}")
        return body

    def _whole(self, answer: requests.Response) -> bytes:
        if answer.status_code != 200:
            raise self._refusal(answer)
        body = self._at_most(answer, ANSWER_BYTES)
        if len(body) > ANSWER_BYTES:
            raise Denied(f"the answer has more than {ANSWER_BYTES:,} bytes", 200)
        return body

    def _at_most(self, answer: requests.Response, size: int) -> bytes:
        """Return the body, cut off once it has more than `size` bytes."""
        body = bytearray()
        for chunk in answer.iter_content(_CHUNK):
            if self._stopped.is_set():
                raise RunStopped
            body += chunk
            if len(body) > size:
                break
        return bytes(body)

    def _refusal(self, answer: requests.Response) -> Trouble:
        """Return what an answer means that is not the range."""
        if answer.status_code == 404:
            return Denied("archive.org has no such file", 404)
        if answer.status_code == 416:
            return Denied("the file there is shorter", 416)
        if answer.ok:
            return Denied("the whole file was sent instead of a range", answer.status_code)
        words = next(answer.iter_content(_WORDS), b"")
        return trouble(answer.status_code, words, answer.headers.get("Retry-After"))


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
