"""Where the time of a pipeline goes, added up over its threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds spent in each stage of a pipeline, waiting included, and those of them in which a
    processor worked; threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._processor: dict[str, float] = {}

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Count the time inside the ``with`` block to a stage."""
        started, worked = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            worked = time.thread_time() - worked
            spent = time.perf_counter() - started
            with self._lock:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + spent
                self._processor[stage] = self._processor.get(stage, 0.0) + worked

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far, in the order in which the stages first ended."""
        with self._lock:
            return dict(self._seconds)

    @property
    def processor(self) -> dict[str, float]:
        """Processor seconds by stage so far, of the threads that the stages ran on."""
        with self._lock:
            return dict(self._processor)

    @property
    def shares(self) -> dict[str, float]:
        """Share of the total by stage, 0 to 1."""
        seconds = self.seconds
        total = sum(seconds.values())
        return {stage: spent / total for stage, spent in seconds.items()} if total else {}
