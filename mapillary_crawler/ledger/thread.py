"""The one thread that owns a ledger's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")


_Result = TypeVar("_Result")


class DatabaseThread:
    """The thread that owns a connection; all work on it passes through `call`."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    def wait_for(
        self,
        work: Callable[_Arguments, _Result],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        """Do `work` in the thread and block until it is done (before the reactor runs)."""
        return self._executor.submit(work, *args, **kwargs).result()

    async def call(
        self,
        work: Callable[_Arguments, _Result],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        """Do `work` in the thread, off the reactor."""
        return await asyncio.wrap_future(self._executor.submit(work, *args, **kwargs))

    def close(self) -> None:
        """End the thread once its work is done."""
        self._executor.shutdown(wait=True)
