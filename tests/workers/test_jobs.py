"""A worker goes on, whatever the queue has thought of it, and though the queue was away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job, Notification, Status

from mapillary_crawler.workers import schema
from mapillary_crawler.workers.database import connected, parameters
from mapillary_crawler.workers.dsn import Dsn, read_dsn
from mapillary_crawler.workers.jobs import Jobs
from mapillary_crawler.workers.leases import USERS, take_over
from mapillary_crawler.workers.tasks import defer, make_app
from mapillary_crawler.workers.work import Work
from tests.workers.postgres import Postgres

pytestmark = pytest.mark.long
#: Seconds: so long ago was the last sign of life of those that are taken for dead at once.
_NOTHING = 0.0


@dataclass
class Queue:
    dsn: Dsn
    app: App
    jobs: Jobs
    worker: int

    async def take(self, name: str) -> Job:
        await defer(self.app, [Work(name, {})], queue=USERS)
        job = await self.jobs.fetch_job([USERS], self.worker)
        assert job is not None
        return job

    def tasks(self) -> list[str]:
        with connected(self.dsn) as queue:
            found = queue.execute("SELECT status::text FROM procrastinate_jobs").fetchall()
        return [str(status) for (status,) in found]


@asynccontextmanager
async def known_worker(address: str) -> AsyncIterator[Queue]:
    dsn = read_dsn({"MAPILLARY_QUEUE": address})
    with connected(dsn) as queue:
        schema.init(queue)
    connector = PsycopgConnector(
        conninfo=address, kwargs=parameters(dsn), min_size=1, timeout=5, reconnect_timeout=1
    )
    app, jobs = make_app(connector), Jobs(connector, again=0.1)
    app.job_manager = jobs
    async with app.open_async():
        yield Queue(dsn, app, jobs, await jobs.register_worker())


def test_who_was_taken_for_dead_can_take_tasks_again(queue_address: str) -> None:
    async def work() -> None:
        async with known_worker(queue_address) as queue:
            await take_over(queue.app, _NOTHING)
            await queue.take("alice")
            await take_over(queue.app, 60)
            assert queue.tasks() == ["doing"], "it is known whose task that is"

    asyncio.run(work())


def test_a_heartbeat_brings_back_who_was_taken_for_dead(queue_address: str) -> None:
    async def work() -> None:
        async with known_worker(queue_address) as queue:
            await take_over(queue.app, _NOTHING)
            await queue.jobs.update_heartbeat(queue.worker)
            with connected(queue.dsn) as asked:
                found = asked.execute("SELECT id FROM procrastinate_workers").fetchall()
            assert found == [(queue.worker,)]

    asyncio.run(work())


@pytest.mark.parametrize("ends", [True, False])
def test_a_task_that_is_another_s_by_now_is_left_to_it(queue_address: str, ends: bool) -> None:
    async def work() -> None:
        async with known_worker(queue_address) as queue:
            job = await queue.take("alice")
            await take_over(queue.app, _NOTHING)
            assert queue.tasks() == ["todo"]
            if ends:
                await queue.jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
            else:
                await queue.jobs.retry_job(job)
            assert queue.tasks() == ["todo"]

    asyncio.run(work())


def test_what_could_not_be_told_is_told_once_the_queue_is_back(
    queue_address: str, postgres: Postgres
) -> None:
    """Else nobody would do the task again: that of a worker that lives is left alone."""

    async def work() -> None:
        async with known_worker(queue_address) as queue:
            done, again = await queue.take("alice"), await queue.take("bob")
            postgres.stop(signal.SIGKILL)
            await queue.jobs.finish_job(done, Status.SUCCEEDED, delete_job=True)
            await queue.jobs.retry_job(again)
            await queue.jobs.update_heartbeat(queue.worker)
            postgres.start()
            assert queue.tasks() == ["doing", "doing"]
            await queue.jobs.update_heartbeat(queue.worker)
            assert queue.tasks() == ["todo"]

    try:
        asyncio.run(work())
    finally:
        postgres.stop()
        postgres.start()


def test_it_hears_of_tasks_once_the_queue_is_back(queue_address: str, postgres: Postgres) -> None:
    async def work() -> None:
        heard = asyncio.Event()

        async def hear(*, channel: str, notification: Notification) -> None:
            heard.set()

        async with known_worker(queue_address) as queue:
            listens = asyncio.create_task(
                queue.jobs.listen_for_jobs(on_notification=hear, queues=[USERS])
            )
            await asyncio.sleep(0.5)
            postgres.stop(signal.SIGKILL)
            await asyncio.sleep(0.5)
            postgres.start()
            await asyncio.sleep(1)
            await defer(queue.app, [Work("alice", {})], queue=USERS)
            async with asyncio.timeout(10):
                await heard.wait()
            listens.cancel()

    try:
        asyncio.run(work())
    finally:
        postgres.stop()
        postgres.start()
