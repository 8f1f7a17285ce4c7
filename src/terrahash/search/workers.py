"""Threads for kernels that release the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from terrahash.errors import InputError
from terrahash.machine import available_cores

THREADS_VARIABLE = "TERRAHASH_THREADS"

# Which of the two ways is slower is tried again so often, and means are over about so many.
TRY_EVERY = 16
MEMORY = 4

_pool: ThreadPoolExecutor | None = None
_pool_lock = Lock()


def thread_count() -> int:
    """Threads to use: ``TERRAHASH_THREADS``, or the processors this process may run on.

    Raises:
        InputError: if the variable is not a whole number above 0.
    """
    wanted = os.environ.get(THREADS_VARIABLE, "").strip()
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise InputError(
                f"{THREADS_VARIABLE} is '{wanted}'", "set it to a whole number above 0, or unset it"
            )
        return int(wanted)
    return available_cores()


class Pace:
    """Whether further threads have lately paid, by the time that a byte took with and without.

    One core may read memory as fast as it comes, and another process may hold the others: then a
    search is quicker alone. It decides how work is shared, never the answer.
    """

    def __init__(self) -> None:
        self._seconds: dict[bool, float] = {}
        self._calls = 0

    def together(self) -> bool:
        """Whether to use further threads for the next piece of work; tries the other at times."""
        self._calls += 1
        if len(self._seconds) < 2:
            return True not in self._seconds
        better = self._seconds[True] < self._seconds[False]
        return better if self._calls % TRY_EVERY else not better

    def note(self, together: bool, seconds: float, work: int) -> None:
        """Remember how long a piece of work took."""
        pace = seconds / work
        before = self._seconds.get(together, pace)
        self._seconds[together] = before + (pace - before) / MEMORY


def run_on_threads(work: Callable[[int], None], threads: int) -> None:
    """Call ``work(0)`` here and ``work(1)`` … ``work(threads - 1)`` on other threads.

    The calls must share the work out among themselves: one that cannot start before the caller's
    own has ended is dropped, so a busy processor delays nobody.
    """
    helpers = start_helpers(work, threads)
    try:
        work(0)
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()


def start_helpers(work: Callable[[int], None], threads: int) -> list[Future[None]]:
    """Call ``work(1)`` … ``work(threads - 1)`` on other threads, without waiting for them."""
    return [_executor().submit(work, number) for number in range(1, threads)]


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(
                max(thread_count(), os.cpu_count() or 1), thread_name_prefix="terrahash-search"
            )
        return _pool


def _forget_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
