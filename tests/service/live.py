"""A service on a real socket, in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from terrahash.service import Settings
from terrahash.service.server import configured

STARTS_WITHIN = 30.0


@contextmanager
def live(settings: Settings, *, send_buffer: int | None = None) -> Iterator[str]:
    """``host:port`` of a running service; the system may hold so many bytes of its answers."""
    with socket.socket() as listening:
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        server = uvicorn.Server(configured(settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            deadline = time.monotonic() + STARTS_WITHIN
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.02)
            assert server.started
            host, port = listening.getsockname()
            yield f"{host}:{port}"
        finally:
            server.should_exit = True
            thread.join(STARTS_WITHIN)
            assert not thread.is_alive()
