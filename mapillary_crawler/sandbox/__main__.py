"""Runs the sandbox for `Sandbox.running`: its configuration is the first line of standard input.

The address is the first line of standard output; the process ends when standard input does, so it
never outlives the test that started it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from .catalogue import Catalogue
from .server import Server, listening


async def _serve() -> None:
    configuration = json.loads(sys.stdin.readline())
    photos, uploads = configuration["photos"], configuration["uploads"]
    catalogue = Catalogue(
        configuration["users"], configuration["seed"], Path(photos) if photos else None
    )
    server = Server(
        catalogue,
        faults=configuration["faults"],
        token=configuration["token"],
        items=configuration["items"],
        uploads=Path(uploads) if uploads else None,
    )
    async with listening(server, "127.0.0.1", 0) as address:
        print(address, flush=True)  # noqa: T201 - the parent waits for it
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
