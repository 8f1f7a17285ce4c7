"""HTTP connections that cannot be held open by saying nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

# A request's head is a few hundred bytes: who needs longer for it is not serious, seconds.
HEAD_SECONDS = 10.0
# Connections without a request under way; beyond it the one that waits longest is closed.
MAX_WAITING = 2000


class Connection(H11Protocol):
    """uvicorn's connection with a time limit for each request's head.

    uvicorn bounds the idle time after a request, not the time that a head takes to arrive.
    """

    head_seconds = HEAD_SECONDS
    max_waiting = MAX_WAITING
    _waiting: OrderedDict[Connection, None] = OrderedDict()  # noqa: RUF012 - of all connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for a request."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        super().data_received(data)
        if self._answering():
            self._stop_waiting()
        elif self._head_timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._too_slow)
        self._waiting[self] = None
        while len(self._waiting) > self.max_waiting:
            oldest = next(iter(self._waiting))
            oldest._stop_waiting()
            oldest.transport.abort()

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._waiting.pop(self, None)

    def _too_slow(self) -> None:
        self._stop_waiting()
        if not self._answering():
            self.transport.abort()
