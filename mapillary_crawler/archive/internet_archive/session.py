"""archive.org through the `internetarchive` library; no other module imports it.

Making a session patches `socket.connect` for the whole process, so this module is imported
where a command runs, never by a crawl.
"""

from __future__ import annotations

import configparser
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import internetarchive
import requests
from internetarchive.auth import S3Auth
from internetarchive.exceptions import AuthenticationError
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from mapillary_crawler.archive.internet_archive.trouble import (
    CredentialsMissing,
    Denied,
    NoKeys,
    Trouble,
    Unavailable,
    trouble,
)
from mapillary_crawler.collection.addresses import is_loopback
from mapillary_crawler.collection.configuration import refuse_clear
from mapillary_crawler.terminal.quoting import one_line

_ARCHIVE, _S3 = "archive.org", "s3.us.archive.org"
#: Seconds for an answer that has no upload before it.
_ANSWER_TIMEOUT = 60.0
#: Characters of an explanation that are shown.
_LONGEST = 200
#: Metadata write API: the answer, with status 400, where the tags are already as asked for.
_NO_CHANGES = b"no changes to _meta.xml"
#: What a header can hold, without spaces.
_SENDABLE = re.compile(r"[!-~]+")


class ArchiveOrg:
    """A session with archive.org; every failure is a `Trouble`.

    `url` and `s3_url` say where it is, `timeout` how many seconds an upload may stand still.
    Raises `CredentialsMissing`, and `ArgumentRefused` where a proxy would see the keys.
    """

    def __init__(
        self, url: str, s3_url: str, *, timeout: float = 300.0, anonymous: bool = False
    ) -> None:
        if not anonymous:
            for name, there in (("ARCHIVE_ORG_URL", url), ("ARCHIVE_ORG_S3_URL", s3_url)):
                refuse_clear(name, there, "the keys")
        # The library's own lines name URLs with the access key; Trouble says what matters.
        logging.getLogger("internetarchive").setLevel(logging.CRITICAL)
        logging.getLogger("urllib3").setLevel(logging.INFO)
        config: dict[str, Any] = {"general": {"host": _ARCHIVE, "secure": True}}
        if anonymous:
            config["s3"] = {"access": None, "secret": None}
        try:
            # Whoever is anonymous has nothing to read in the user's file.
            file = os.devnull if anonymous else None
            self._session = internetarchive.get_session(config=config, config_file=file)
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            # Not the text of the error: it quotes lines of the file.
            raise CredentialsMissing(
                f"the file of `ia configure` cannot be read ({type(error).__name__}); run it again"
            ) from None
        except ValueError as error:
            raise CredentialsMissing(str(error)) from None
        if not anonymous and not (self._session.access_key and self._session.secret_key):
            raise NoKeys(
                "no keys for archive.org: set IA_ACCESS_KEY_ID and IA_SECRET_ACCESS_KEY "
                "(https://archive.org/account/s3.php), or run: ia configure"
            )
        if not anonymous and not _SENDABLE.fullmatch(
            f"{self._session.access_key}{self._session.secret_key}"
        ):
            raise CredentialsMissing(
                "the keys for archive.org hold a character that no key has, a space or the end of "
                "a line perhaps"
            )
        self._timeout = timeout
        for host, there in ((_ARCHIVE, url), (_S3, s3_url)):
            # With its slash more specific than what the library mounts, now and later.
            self._session.mount(f"https://{host}/", _Elsewhere(there))

    def search(self, query: str, fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yield all results of a search (the scrape API with its cursor)."""
        with _troubles():
            yield from self._session.search_items(query, fields=list(fields))

    def metadata(self, identifier: str) -> dict[str, Any]:
        """Return what the metadata API says of an item now; nothing for an absent one."""
        found = self._get(f"/metadata/{identifier}")
        return found if isinstance(found, dict) else {}

    def uploader(self, identifier: str) -> str | None:
        """Return who uploaded an item, None where it does not say."""
        found = self._get(f"/metadata/{identifier}/metadata/uploader")
        uploader = found.get("result") if isinstance(found, dict) else None
        return uploader if isinstance(uploader, str) else None

    def tasks(self, identifier: str) -> dict[str, int]:
        """Return how many tasks of an item are queued, running, paused or in error.

        A summary that is no such thing says nothing, and is `Trouble`.
        """
        with _troubles():
            counts = self._session.get_tasks_summary(
                identifier, request_kwargs={"timeout": _ANSWER_TIMEOUT}
            )
            return {state: int(number) for state, number in dict(counts).items()}

    def is_overloaded(self, timeout: float = _ANSWER_TIMEOUT) -> bool:
        """Say whether S3 takes no uploads with these keys now.

        IAS3: `check_limit` answers {"over_limit": 1} as long as that is so; an answer that says
        nothing does not keep an upload from being tried.
        """
        asked = {"check_limit": "1", "accesskey": str(self._session.access_key)}
        try:
            with _troubles():
                answer = self._session.get(f"https://{_S3}/", params=asked, timeout=timeout).json()
        except Trouble:
            return False
        return isinstance(answer, dict) and answer.get("over_limit", 0) != 0

    def check_keys(self, timeout: float = _ANSWER_TIMEOUT) -> None:
        """Raise `Denied` unless archive.org knows the keys; `timeout` in seconds.

        IAS3: `check_auth` answers with the account of the keys, or with an `error`. Whether that
        account may write to an item or a collection, only an upload shows.
        """
        keys = S3Auth(self._session.access_key, self._session.secret_key)
        with _troubles():
            answer = self._session.get(
                f"https://{_S3}/", params={"check_auth": "1"}, auth=keys, timeout=timeout
            )
            answer.raise_for_status()
            account = dict(answer.json())
        if account.get("error") or account.get("authorized") is False:
            said = str(account.get("error") or "not authorized")
            for key in (self._session.secret_key, self._session.access_key):
                said = said.replace(str(key), "…")
            raise Denied(one_line(said, _LONGEST), 200)

    def put(
        self,
        identifier: str,
        name: str,
        body: BinaryIO,
        *,
        metadata: Mapping[str, Sequence[str]],
        headers: Mapping[str, str],
    ) -> None:
        """Put a file into an item, which is made with `metadata` if it is not there; no derive.

        Returns once archive.org has accepted the file. Closes `body`.
        """
        item = internetarchive.Item(self._session, identifier, {})
        with _troubles():
            answer = item.upload_file(
                body,
                key=name,
                metadata={tag: list(values) for tag, values in metadata.items()},
                headers=dict(headers),
                queue_derive=False,
                request_kwargs={"timeout": self._timeout},
            )
        assert isinstance(answer, requests.Response)
        kind = str(answer.headers.get("Content-Type", ""))
        if answer.status_code != 200 or kind.startswith("text/html"):
            raise Unavailable(f"HTTP {answer.status_code} with a web page, which accepts nothing")

    def set_metadata(self, identifier: str, values: Mapping[str, str]) -> None:
        """Replace tags of an item that is there."""
        item = internetarchive.Item(self._session, identifier, self.metadata(identifier))
        with _troubles():
            answer = item.modify_metadata(dict(values), refresh=False)
        assert isinstance(answer, requests.Response)
        if answer.status_code == 400 and _NO_CHANGES in answer.content:
            return  # they are so, as after a request whose answer was lost
        if answer.status_code != 200:
            raise trouble(answer.status_code, answer.content)

    def _get(self, path: str) -> Any:
        with _troubles():
            answer = self._session.get(f"https://{_ARCHIVE}{quote(path)}", timeout=_ANSWER_TIMEOUT)
            answer.raise_for_status()
            return answer.json()


class _Elsewhere(HTTPAdapter):
    """Sends what is meant for a host of archive.org to the address that stands for it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url.rstrip("/")

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = self._url + (f"{parts.path}?{parts.query}" if parts.query else parts.path)
        here = is_loopback(urlsplit(self._url).hostname or "")
        kwargs["proxies"] = {} if here else get_environ_proxies(request.url)
        return super().send(request, *args, **kwargs)


@contextmanager
def _troubles() -> Iterator[None]:
    """Turn what the library raises into `Trouble`; no message holds a key."""
    try:
        yield
    except requests.HTTPError as error:
        answer = error.response
        if answer is None:
            raise Unavailable("no usable answer") from None
        body = _body(lambda: answer.content)
        raise trouble(answer.status_code, body, answer.headers.get("Retry-After")) from None
    except AuthenticationError:
        raise Denied("the keys are incomplete", 401) from None
    except requests.Timeout:
        raise Unavailable("no answer in time") from None
    except requests.exceptions.JSONDecodeError:
        raise Unavailable("an answer that is no JSON") from None
    except requests.ConnectionError as error:
        raise Unavailable(f"the connection failed ({_cause(error)})") from None
    except (requests.RequestException, OSError) as error:
        raise Unavailable(f"the connection failed ({type(error).__name__})") from None
    except (KeyError, ValueError, TypeError) as error:
        raise Unavailable(f"an answer that makes no sense ({type(error).__name__})") from None


def _body(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (requests.RequestException, OSError):
        return b""


def _cause(error: BaseException) -> str:
    """Return the name of the error below the library's wrappings; their texts hold URLs."""
    inner = next((each for each in error.args if isinstance(each, BaseException)), None)
    inner = getattr(inner, "reason", inner)
    for each in getattr(inner, "args", ()):
        if isinstance(each, BaseException):
            inner = each
    return type(inner or error).__name__
