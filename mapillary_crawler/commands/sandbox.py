"""`scrapy sandbox`: the local Graph API, image CDN and archive.org at the terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
from contextlib import suppress
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapillary_crawler.sandbox.server import Server

_USERS: Any = {"users": [{"username": "alice", "images": 200}]}
_EPILOG = """\
Example
=======

  echo '{{"users": [{{"username": "alice", "images": 2000, "panoramas": 0.2, "dead": 10}}]}}' > users.json
  {program} sandbox --port 8700 --users users.json --faults '{{"cdn": {{"reset": 0.02}}}}'

and in another terminal, with the export lines that the sandbox prints:

  {program} crawl user -a username=alice -a quality=1024

While it runs, http://127.0.0.1:8700/_sandbox/counters shows what was asked for, and faults change:

  curl http://127.0.0.1:8700/_sandbox/counters
  curl http://127.0.0.1:8700/_sandbox/faults -d '{{"api": {{"latency_ms": 900}}}}'
  curl -X POST http://127.0.0.1:8700/_sandbox/reset

http://127.0.0.1:8700/_sandbox/archive shows archive.org's items, every upload, and what happened in
which order. Somebody else changes items (uploader, metadata, files, dark, tasks, which are paused,
released or done):

  curl http://127.0.0.1:8700/_sandbox/items -d '{{"an-item": {{"files": {{"a.tar": {{"md5": "0"}}}}}}}}'
  curl http://127.0.0.1:8700/_sandbox/items -d '{{"an-item": {{"dark": true, "tasks": "paused"}}}}'

Keys of a user in FILE
======================

Only username is needed. FILE may also have "items": what archive.org has, by identifier.

{users}

Faults
======

A rate is 0 to 1 and drawn anew for each request; where it strikes single images, a list of their
ids may stand for it, and then it strikes them always. `*` is api, cdn and archive.

{faults}
"""  # noqa: E501 - lines of a terminal


class SandboxCommand(ProjectCommand):
    """Runs the sandbox until Ctrl-C."""

    usage = (
        "[--port N] [--users FILE] [--photos DIR] [--uploads DIR] [--seed N] [--faults JSON|FILE]"
    )
    summary = "Run a local Graph API, image CDN and archive.org to try it all"
    about = fill(
        "Serves made-up users with made-up photographs on this machine, as the Graph API, its "
        "image CDN and archive.org would, until Ctrl-C. The same seed and users give the same "
        "images each time; faults of the real services can be switched on.",
        96,
    )
    epilog = _EPILOG
    takes_arguments = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the sandbox."""
        from mapillary_crawler.sandbox import faults, users

        super().add_options(parser)
        parser.epilog = self.epilog.format(
            program=program_name(),
            users=_table(users.explanation()),
            faults=_table(faults.explanation()),
        )
        parser.add_argument("--port", type=int, default=8700, help="port, 0 takes a free one")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument(
            "--users", metavar="FILE", help="JSON, see below; without it one user, alice"
        )
        parser.add_argument("--photos", metavar="DIR", help="serve the JPEGs of a folder")
        parser.add_argument(
            "--uploads", metavar="DIR", help="keep what is uploaded, to be downloaded again"
        )
        parser.add_argument("--seed", type=int, default=1, help="another seed, other images")
        parser.add_argument("--faults", metavar="JSON|FILE", help="faults from the start")

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Serve until interrupted; a wrong argument is one line and exit code 2."""
        try:
            server = _server(opts)
        except (OSError, ValueError) as error:
            raise ArgumentRefused(str(error)) from None
        try:
            with suppress(KeyboardInterrupt):
                asyncio.run(_serve(server, opts.host, opts.port))
        except (OSError, OverflowError) as error:  # the latter for ports that cannot be
            cause = getattr(error, "strerror", None) or error
            where = f"{opts.host} port {opts.port}"
            raise ArgumentRefused(
                f"cannot listen on {where}: {cause}; --port 0 takes a free one"
            ) from None


def _server(opts: argparse.Namespace) -> Server:
    """Return the server for the options; OSError and ValueError say what is wrong with them."""
    from mapillary_crawler.sandbox.catalogue import Catalogue
    from mapillary_crawler.sandbox.server import Server

    content = _json(Path(opts.users).read_text(encoding="utf-8")) if opts.users else _USERS
    users = content.get("users") if isinstance(content, dict) else None
    items = content.get("items", {}) if isinstance(content, dict) else None
    if not (isinstance(users, list) and isinstance(items, dict)):
        raise ValueError(  # noqa: TRY004 - wrong input, not a wrong call
            f'{opts.users}: not of the form {{"users": [{{"username": "…"}}]}}'
        )
    faults = opts.faults or "{}"
    if not faults.lstrip().startswith("{"):
        faults = Path(faults).read_text(encoding="utf-8")
    photos = Path(opts.photos) if opts.photos else None
    catalogue = Catalogue(users, opts.seed, photos)
    uploads = Path(opts.uploads) if opts.uploads else None
    return Server(catalogue, faults=_json(faults), items=items, uploads=uploads)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}: {text[:60]!r}") from None


async def _serve(server: Server, host: str, port: int) -> None:
    from mapillary_crawler.sandbox.graph import TOKEN
    from mapillary_crawler.sandbox.server import listening

    async with listening(server, host, port) as address:
        names = ", ".join(f"{user.name} ({user.size} images)" for user in server.catalogue.users)
        print(f"The sandbox listens on {address} and has {names}.")
        print("To point a crawl at it:\n")
        for variable in ("MAPILLARY_API_URL", "ARCHIVE_ORG_URL", "ARCHIVE_ORG_S3_URL"):
            print(f"  export {variable}={address}")
        print(f"  export MAPILLARY_TOKEN={shlex.quote(TOKEN)}\n\nCtrl-C ends it.", flush=True)
        await asyncio.Event().wait()


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return names, what they are where nothing is said, and below that what they mean."""
    return "\n".join(f"  {name}={default}\n      {meaning}" for name, default, meaning in rows)
