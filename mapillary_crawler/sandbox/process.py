"""The sandbox as a process of its own, for tests and benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

from .catalogue import Catalogue
from .faults import Faults
from .graph import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

# The machine's proxies are not for loopback.
_OPENER = build_opener(ProxyHandler({}))


class Sandbox:
    """A running sandbox; made by `Sandbox.running`."""

    def __init__(self, url: str, token: str, catalogue: Catalogue) -> None:
        #: Scheme, host and port, without a slash at the end.
        self.url = url
        self.token = token
        #: The same images the server has, computed here.
        self.catalogue = catalogue

    @classmethod
    @contextmanager
    def running(
        cls,
        users: Sequence[Mapping[str, Any]],
        *,
        seed: int = 1,
        faults: Mapping[str, Any] | None = None,
        photos: Path | None = None,
        items: Mapping[str, Any] | None = None,
        token: str = TOKEN,
        uploads: Path | None = None,
    ) -> Iterator[Sandbox]:
        """Run a sandbox on a free loopback port while the context lasts.

        `users` are entries of the USERS file, `items` what archive.org has by identifier;
        ValueError names what is wrong with them or with the faults. What is uploaded is kept as
        `uploads`/identifier/name, if that is given, and can be downloaded.
        """
        catalogue = Catalogue(users, seed, photos)
        Faults().merged(faults or {})
        configuration = {
            "users": users,
            "seed": seed,
            "faults": faults or {},
            "photos": str(photos) if photos else None,
            "items": items or {},
            "token": token,
            "uploads": str(uploads) if uploads else None,
        }
        process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-m", __package__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            try:
                process.stdin.write(json.dumps(configuration) + "\n")
                process.stdin.flush()
                address = process.stdout.readline().strip()
                if not address:
                    raise RuntimeError("the sandbox did not start, see its traceback above")
                yield cls(address, token, catalogue)
            finally:
                process.terminate()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a crawl at this sandbox."""
        return {
            "MAPILLARY_API_URL": self.url,
            "ARCHIVE_ORG_URL": self.url,
            "ARCHIVE_ORG_S3_URL": self.url,
            "MAPILLARY_TOKEN": self.token,
        }

    def counters(self, *, images: bool = False) -> dict[str, Any]:
        """Return the counters; `images` adds the number of requests of each image id."""
        return self._call("counters?images=1" if images else "counters")

    def archive(self) -> dict[str, Any]:
        """Return archive.org's `items` by identifier, and what it saw, in order.

        `puts` is every PUT, `accepted` how often a file was accepted, by `/identifier/name`,
        `log` what happened to items, `archive_log.Event`.
        """
        return self._call("archive")

    def change_items(self, items: Mapping[str, Any]) -> dict[str, Any]:
        """Change items as somebody else would, at once; return all of them.

        `{"identifier": {"uploader": "…", "dark": true, "metadata": {"tag": "…"},
        "files": {"name": {"md5": "…"}}, "tasks": "paused"}}`; null removes a tag or a file,
        `tasks` may be `paused`, `released` to take their time, or `done`.
        """
        return self._call("items", json.dumps(items).encode())

    def faults(self) -> dict[str, Any]:
        """Return the faults in force."""
        return self._call("faults")

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Merge `{"api": {...}, "cdn": {...}, "archive": {...}}` into the faults in force."""
        self._call("faults", json.dumps(faults).encode())

    def reset(self) -> None:
        """Set counters to zero and faults to those of the start."""
        self._call("reset", b"")

    def _call(self, name: str, body: bytes | None = None) -> dict[str, Any]:
        request = Request(f"{self.url}/_sandbox/{name}", data=body)  # noqa: S310 - own loopback
        with _OPENER.open(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
