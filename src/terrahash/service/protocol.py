"""HTTP connections that cannot be held open by saying nothing, or by taking nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

# A request's head is a few hundred bytes: who needs longer for it is not serious, seconds.
HEAD_SECONDS = 10.0
# How often it is looked whether a reader takes the answer, seconds; and at what pace it must.
STALL_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 8 * 1024
# Answers that readers have not taken yet, in all; beyond it the one that waits longest is cut off.
MAX_UNTAKEN = 256 * 1024 * 1024
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
    max_untaken = MAX_UNTAKEN
    _waiting: OrderedDict[Connection, None] = OrderedDict()  # noqa: RUF012 - of all connections
    _untaken: OrderedDict[Connection, None] = OrderedDict()  # noqa: RUF012 - likewise

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._left = 0

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
        self._wait_for_reader()
        self._untaken[self] = None
        while len(self._untaken) > 1 and _bytes_of(self._untaken) > self.max_untaken:
            oldest, _ = self._untaken.popitem(last=False)
            oldest.transport.abort()

    def resume_writing(self) -> None:
        """Go on once the reader has taken enough."""
        super().resume_writing()
        self._untaken.pop(self, None)
        if not self.transport.is_closing():
            self._stop_waiting_for_reader()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of the answer to be taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait_for_reader()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing is asked any more."""
        super().timeout_keep_alive_handler()
        self._wait_for_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._stop_waiting_for_reader()
        self._untaken.pop(self, None)
        super().connection_lost(exc)

    def _wait_for_reader(self) -> None:
        if self._stall_timer is None:
            self._left = self.transport.get_write_buffer_size()
            self._stall_timer = self.loop.call_later(self.stall_seconds, self._look_at_reader)

    def _look_at_reader(self) -> None:
        self._stall_timer = None
        taken = self._left - self.transport.get_write_buffer_size()
        if taken < SLOWEST_BYTES_PER_SECOND * self.stall_seconds:
            self.transport.abort()
        else:
            self._wait_for_reader()

    def _stop_waiting_for_reader(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

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


def _bytes_of(connections: Iterable[Connection]) -> int:
    return sum(one.transport.get_write_buffer_size() for one in connections)
