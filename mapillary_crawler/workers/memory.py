"""The queue of one machine: procrastinate's in-memory connector, which lives in its tests' room.

It looks through all jobs for each that it takes, and at all locks for each job; and it keeps what
tests like to see. With hundreds of slices that is too much, so this one remembers which locks are
held, and forgets what is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from procrastinate.testing import InMemoryConnector


class Memory(InMemoryConnector):
    """A queue that ends with its process; `on_end` is called when a job has left it."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        super().__init__()
        self._on_end = on_end
        self._held: dict[int, str] = {}

    @property
    def current_locks(self) -> Iterable[str]:
        """The locks of the jobs that are being done."""
        return set(self._held.values())

    async def fetch_job_one(self, queues: Iterable[str] | None, worker_id: int) -> dict[str, Any]:
        """Take a job, and its lock."""
        job = await super().fetch_job_one(queues, worker_id)
        if job["id"] is not None and job["lock"] is not None:
            self._held[job["id"]] = job["lock"]
        return job

    async def finish_job_run(self, job_id: int, status: str, delete_job: bool) -> None:
        """Let a job go, and its lock."""
        await super().finish_job_run(job_id, status, delete_job)
        self._held.pop(job_id, None)
        self.queries.clear()
        if delete_job:
            self.events.pop(job_id, None)
        self._on_end()

    def usernames(self) -> set[str]:
        """Return who has jobs that wait or are being done."""
        return {job["args"]["username"] for job in self.jobs.values()}
