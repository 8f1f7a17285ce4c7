"""Work off the event loop: a few threads for each kind, and a bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from terrahash.service.problems import busy

P = ParamSpec("P")
R = TypeVar("R")


class Gate:
    """Threads that serve one kind of work in the order of arrival.

    Args:
        name: what the work is called when there is too much of it.
        threads: pieces of work at once.
        waiting: pieces that may wait besides; further ones are refused at once.
    """

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self.name = name
        self._limit = threads + waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"serve-{name}")
        self.pending = 0

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``work`` on a thread.

        Raises:
            Problem: if too much is waiting.
        """
        if self.pending >= self._limit:
            raise busy(self.name)
        self.pending += 1
        try:
            future = self._pool.submit(work, *args, **kwargs)
        except BaseException:
            self.pending -= 1
            raise
        loop = asyncio.get_running_loop()
        # Counted until it has really ended: a caller that goes away does not free the thread.
        future.add_done_callback(lambda _: _soon(loop, self._ended))
        return await asyncio.wrap_future(future)

    def _ended(self) -> None:
        self.pending -= 1

    def close(self) -> None:
        """Finish what was accepted."""
        self._pool.shutdown(wait=True)


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
