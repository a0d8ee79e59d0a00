"""What a machine hears of others, without a queue that would tell."""

from __future__ import annotations

import asyncio

import pytest
from procrastinate import PsycopgConnector
from psycopg_pool import AsyncConnectionPool

from mapillary_crawler.workers.fence import Taken
from mapillary_crawler.workers.news import News


def test_a_queue_that_is_away_does_not_say_that_no_version_is_left() -> None:
    """By that slices would be taken back which others have in hand."""

    async def ask() -> set[str]:
        pool = AsyncConnectionPool("host=127.0.0.1 port=1", min_size=1, timeout=0.1, open=False)
        connector = PsycopgConnector()
        await connector.open_async(pool)
        try:
            return await News(connector, "one").versions(30)
        finally:
            await connector.close_async()
            await pool.close()

    with pytest.raises(Taken):
        asyncio.run(ask())
