"""What the queue costs: tasks put in, taken and shown, on a PostgreSQL server of its own."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from procrastinate import PsycopgConnector

from bench import report
from mapillary_crawler.workers import enqueue, schema
from mapillary_crawler.workers.database import connected, parameters
from mapillary_crawler.workers.dsn import Dsn, read_dsn
from mapillary_crawler.workers.leases import USERS, queue_of
from mapillary_crawler.workers.overview import look
from mapillary_crawler.workers.tasks import defer, make_app
from mapillary_crawler.workers.work import Work
from tests.workers.postgres import binaries, running

_USERS = 100


def queueing(slices: int) -> None:
    """Print what each costs with a hundred users and so many slices in the queue."""
    report.heading("Queue")
    programs = binaries()
    if programs is None:
        report.line("PostgreSQL's server is not installed: left out.")
        return
    with running(programs) as server:
        dsn = read_dsn({"MAPILLARY_QUEUE": server.new_database()})
        with connected(dsn) as queue:
            schema.init(queue)
            users = iter(Work(f"user-{number}", {}) for number in range(2 * _USERS))
            put_in = [_milliseconds(lambda: enqueue.enqueue(queue, [next(users)]))
                      for _ in range(_USERS)]  # fmt: skip
            taken = asyncio.run(_take(dsn, slices))
            later = [_milliseconds(lambda: enqueue.enqueue(queue, [next(users)]))
                     for _ in range(_USERS)]  # fmt: skip
            shown = [_milliseconds(lambda: look(queue, 30)) for _ in range(20)]
    rows = {"a user put in, the first hundred": put_in, "a user put in, behind all": later,
            "a task taken": taken, "all shown": shown}  # fmt: skip
    report.line(f"{_USERS} users and {slices:,} slices in the queue, in milliseconds.\n")
    report.table(
        ("", "median", "worst"),
        ((name, statistics.median(each), max(each)) for name, each in rows.items()),
    )


async def _take(dsn: Dsn, slices: int) -> list[float]:
    """Put slices in, and return what it takes to take some."""
    connector = PsycopgConnector(conninfo=dsn.conninfo, kwargs=parameters(dsn))
    app, machine = make_app(connector), queue_of("bench")
    async with app.open_async():
        for user in range(_USERS):
            works = [Work(f"user-{user}", {}, each) for each in range(1, 1 + slices // _USERS)]
            await defer(app, works, queue=machine, priority=-user)
        worker = await app.job_manager.register_worker()
        times = []
        for _ in range(_USERS):
            began = time.perf_counter()
            job = await app.job_manager.fetch_job(queues=[machine, USERS], worker_id=worker)
            times.append(1000 * (time.perf_counter() - began))
            assert job is not None
    return times


def _milliseconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - began)
