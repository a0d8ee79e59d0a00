"""A bare aiohttp loop, 64 in flight: what the network and Python alone would allow.

python -m bench.bare URL TOKEN USERNAME QUALITY FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yarl

_IN_FLIGHT = 64


async def fetch_all(base: str, token: str, username: str, quality: str, folder: Path) -> None:
    """List the user and write each image to `folder` as served."""
    turns = asyncio.Semaphore(_IN_FLIGHT)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:

        async def fetch(image_id: str, url: str) -> None:
            async with session.get(yarl.URL(url, encoded=True)) as answer:
                body = await answer.read()
            assert answer.status == 200
            (folder / f"{image_id}.jpg").write_bytes(body)
            turns.release()

        async for row in _rows(session, base, token, username, quality):
            await turns.acquire()
            group.create_task(fetch(row["id"], row[f"thumb_{quality}_url"]))


async def _rows(
    session: aiohttp.ClientSession, base: str, token: str, username: str, quality: str
) -> AsyncIterator[dict[str, Any]]:
    """Yield the user's rows, page by page."""
    query = {
        "creator_username": username,
        "limit": "2000",
        "fields": f"id,captured_at,sequence,thumb_{quality}_url",
    }
    url: str | None = str(yarl.URL(f"{base}/images").with_query(query))
    while url:
        headers = {"Authorization": f"OAuth {token}"}
        async with session.get(yarl.URL(url, encoded=True), headers=headers) as answer:
            page = await answer.json(content_type=None)
        for row in page["data"]:
            yield row
        url = page.get("paging", {}).get("next")


if __name__ == "__main__":
    _base, _token, _username, _quality, _folder = sys.argv[1:]
    asyncio.run(fetch_all(_base, _token, _username, _quality, Path(_folder)))
