"""Pure: takes out of a text what must not be published with a collection."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mapillary_crawler.terminal.quoting import CREDENTIAL

_URL = re.compile(r"\b(?:https?|ftp|file)://[^\s\"'<>]*", re.IGNORECASE)
_QUERY = re.compile(r"\?[^\s\"'<>?]*=[^\s\"'<>]*")
#: From the root, at least two names, or one behind a quote, as a traceback has it.
_PATH = re.compile(r"(?<![\w.~-])~?/(?:[^\s/:;,\"'<>()\[\]{}]+/)+(?P<name>[^\s/:;,\"'<>()\[\]{}]*)")
_QUOTED_PATH = re.compile(r"(?P<quote>[\"'])/[^\"'\n]*?(?P<name>[^\"'/\n]*)(?P=quote)")
_TOKEN = re.compile(CREDENTIAL, re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])|\[[0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*\]",
    re.IGNORECASE,
)
#: A host has at least three names and ends in one of these; a module of Python does neither.
_HOST = re.compile(
    r"(?<![\w.-])(?:[a-z0-9_-]+\.){2,}(?:com|net|org|local|lan|internal|localdomain|arpa)(?![\w-])",
    re.IGNORECASE,
)

#: What stands in the place of a token.
MARK = "(token)"


class Redactor:
    """Replaces paths by their last name, and URLs, queries, hosts and tokens by a mark.

    `secrets` and `hosts` are taken out wherever they stand, the patterns of this module
    where a text looks like one.
    """

    def __init__(self, *, secrets: Iterable[str], hosts: Iterable[str]) -> None:
        self.secrets = [secret for secret in secrets if secret]
        named = sorted({re.escape(host) for host in hosts if host}, key=len, reverse=True)
        self._hosts = re.compile(rf"(?<![\w-])(?:{'|'.join(named)})(?![\w-])" if named else r"(?!)")

    def without_tokens(self, text: str) -> str:
        """Return `text` without tokens; URLs in it stay as they are."""
        return _TOKEN.sub(MARK, self._without_known(text))

    def without_secrets(self, text: str) -> str:
        """Return `text` without tokens and without the queries that sign URLs."""
        return _TOKEN.sub(MARK, _QUERY.sub("?(query)", self._without_known(text)))

    def _without_known(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MARK)
        return text

    def __call__(self, text: str) -> str:
        """Return `text` without anything that must not be published."""
        text = _URL.sub("(URL)", self.without_secrets(text))
        text = _QUOTED_PATH.sub(r"\g<quote>\g<name>\g<quote>", text)
        text = _PATH.sub(r"\g<name>", text)
        text = _ADDRESS.sub("(host)", text)
        text = _HOST.sub("(host)", text)
        return self._hosts.sub("(host)", text)
