"""Running the service until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from terrahash.errors import InputError
from terrahash.service.settings import Settings
from terrahash.service.supervising import supervise

if TYPE_CHECKING:
    import uvicorn

# What was accepted is finished within this time of being told to stop.
GRACE_SECONDS = 30
KEEP_ALIVE_SECONDS = 15
# Connections that the system holds while the service is busy.
BACKLOG = 1024
# A search of 0.1 ms would wait for Python's lock, given up every 5 ms by default, for much longer.
SWITCH_SECONDS = 0.0005
_REMEDIES = {
    errno.EADDRINUSE: "stop what listens there (another terrahash?), or choose another --port, "
    "0 for any that is free",
    errno.EACCES: "choose a --port from 1024 on; those below are for the system's services",
    errno.EADDRNOTAVAIL: "choose a --host that is an address of this machine",
}


def run(
    settings: Settings,
    *,
    prepare: Callable[[], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, in a process of its own that is replaced if it crashes.

    Args:
        settings: of the service.
        prepare: called once the address is held; who connects meanwhile waits.
        announce: called with the page's address once it can be visited.

    Raises:
        InputError: if the address cannot be listened at.
    """
    _raise_file_limit()
    with _listen(settings) as listening:
        if prepare is not None:
            prepare()
        if announce is not None:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            announce(f"http://{host}:{listening.getsockname()[1]}/")

        def work() -> None:
            import uvicorn

            from terrahash.service import logs

            logs.open_log()
            sys.setswitchinterval(SWITCH_SECONDS)
            try:
                uvicorn.Server(configured(settings)).run(sockets=[listening])
            finally:
                logs.close_log()

        supervise(listening, work)


def configured(settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application: what it does not bound, :mod:`protocol` does."""
    import uvicorn

    from terrahash.service.app import build
    from terrahash.service.limits import MAX_HEAD
    from terrahash.service.protocol import Connection

    return uvicorn.Config(
        build(settings),
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD,
        backlog=BACKLOG,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise InputError(
            f"cannot listen at {settings.host}:{settings.port}: {error.strerror}",
            _REMEDIES.get(error.errno or 0, "choose another --host or --port"),
        ) from None
    return listening


def _raise_file_limit() -> None:
    """Each connection is an open file, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
