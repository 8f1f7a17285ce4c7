"""HTTP connections that cannot be held open by saying nothing, or by taking nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

# A request's head is a few hundred bytes: who needs longer for it is not serious, seconds.
HEAD_SECONDS = 10.0
# Who has not taken enough of an answer by then that the rest fits into buffers has gone, seconds.
STALL_SECONDS = 30.0
# Connections without a request under way; beyond it the one that waits longest is closed.
MAX_WAITING = 2000


class Connection(H11Protocol):
    """uvicorn's connection with time limits for a request's head and for taking the answer.

    uvicorn bounds the idle time after a request, not the time that a head takes to arrive; and it
    closes connections in order, which waits for a reader who stands still.
    """

    head_seconds = HEAD_SECONDS
    stall_seconds = STALL_SECONDS
    max_waiting = MAX_WAITING
    _waiting: OrderedDict[Connection, None] = OrderedDict()  # noqa: RUF012 - of all connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

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

    def pause_writing(self) -> None:
        """Start waiting for the reader."""
        super().pause_writing()
        self._bound_the_rest()

    def resume_writing(self) -> None:
        """Go on once the reader has taken enough."""
        super().resume_writing()
        if self._stall_timer is not None and not self.transport.is_closing():
            self._stall_timer.cancel()
            self._stall_timer = None

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of the answer to be taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._bound_the_rest()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing is asked any more."""
        super().timeout_keep_alive_handler()
        self._bound_the_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().connection_lost(exc)

    def _bound_the_rest(self) -> None:
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.stall_seconds, self.transport.abort)

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
