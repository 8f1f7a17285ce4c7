"""A web server that supports ranges, and fails, stalls and lies as asked."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Behaviour:
    """How the server serves, and what it served.

    Attributes:
        fail_every: answers each so-many-th request with 503; 0 for none.
        fail_after: answers all after the first so-many requests with 503; 0 for none.
        stall: seconds to wait in the middle of each body after the first so-many requests.
        lie: claims so many more bytes than the file has.
        cut_every: closes the connection in the middle of each so-many-th body.
        ranges: whether it supports them.
        requests: how many came.
        sent: bytes of bodies.
    """

    fail_every: int = 0
    fail_after: int = 0
    stall: float = 0.0
    stall_after: int = 0
    lie: int = 0
    cut_every: int = 0
    ranges: bool = True
    requests: int = 0
    sent: int = 0
    paths: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def serving(folder: Path, behaviour: Behaviour) -> Iterator[str]:
    """Serve a folder; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            with behaviour.lock:
                behaviour.requests += 1
                number = behaviour.requests
                behaviour.paths.append(self.path)
            failing = behaviour.fail_after and number > behaviour.fail_after
            if failing or (behaviour.fail_every and number % behaviour.fail_every == 0):
                self._empty(503)
                return
            path = folder / self.path.lstrip("/").split("?")[0]
            if not path.is_file():
                self._empty(404)
                return
            content = path.read_bytes()
            size = len(content) + behaviour.lie
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked and behaviour.ranges:
                start = int(asked[1])
                stop = min(int(asked[2]) + 1 if asked[2] else size, size)
                if start >= size:
                    self._empty(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
            else:
                start, stop = 0, size
                self.send_response(200)
            if behaviour.ranges:
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(stop - start))
            self.end_headers()
            if not body:
                return
            part = content[start:stop]
            if behaviour.cut_every and number % behaviour.cut_every == 0:
                self._write(part[: len(part) // 2])
                self.close_connection = True
                return
            if behaviour.stall and number > behaviour.stall_after:
                self._write(part[: len(part) // 2])
                time.sleep(behaviour.stall)
                part = part[len(part) // 2 :]
            self._write(part)
            if len(part) < stop - start:
                self.close_connection = True

        def _write(self, data: bytes) -> None:
            with contextlib.suppress(OSError):
                self.wfile.write(data)
                with behaviour.lock:
                    behaviour.sent += len(data)

        def _empty(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.daemon = True
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
