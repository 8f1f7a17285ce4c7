"""The service's log: lines of JSON on standard error, for which no request ever waits.

Whoever reads standard error may stop reading, and a full pipe blocks its writer. So lines go
through a bounded queue to a thread of their own, and are dropped and counted where there is no
room.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
import threading
import time
from collections import deque
from typing import Any

# Some twenty thousand requests' lines.
MAX_BYTES = 4 * 1024 * 1024
# Lines that come within this time of each other are written at once, seconds.
GATHERED = 0.05
# What is left at the end is given this long, seconds.
LAST_WORDS = 1.0

# Standard fields of a log record; what else it has was given with `extra`.
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in _PLAIN},
        }
        line.pop("color_message", None)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class BoundedLog(logging.Handler):
    """Writes lines to a file descriptor on a thread of its own.

    Args:
        descriptor: where to; it may block.
        max_bytes: how much may wait to be written; further lines are dropped.

    Attributes:
        dropped: lines that could not be written, since the start.
    """

    def __init__(self, descriptor: int, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.dropped = 0
        self._descriptor = descriptor
        self._room = max_bytes
        self._lines: deque[bytes] = deque()
        self._told = 0
        self._news = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="serve-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Leave a line to be written, or drop it; called with the handler's lock held."""
        line = self.format(record).encode() + b"\n"
        if len(line) > self._room:
            self.dropped += 1
            return
        self._room -= len(line)
        self._lines.append(line)
        self._news.set()

    def close(self) -> None:
        """Write what is left, as far as somebody reads it."""
        self._ending.set()
        self._news.set()
        self._thread.join(LAST_WORDS)
        super().close()

    def _work(self) -> None:
        while True:
            self._news.wait()
            self._ending.wait(GATHERED)
            self._news.clear()
            self.acquire()
            lines = list(self._lines)
            self._lines.clear()
            self.release()
            self._write(lines)
            if self._ending.is_set() and not self._lines:
                return

    def _write(self, lines: list[bytes]) -> None:
        text = b"".join(lines)
        missing = self.dropped - self._told
        if missing:
            text += self._notice(missing)
        left = memoryview(text)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
            gone = 0
            self._told += missing
        except OSError:
            gone = len(lines)  # nobody is there any more
        self.acquire()
        self._room += sum(map(len, lines))
        self.dropped += gone
        self.release()

    def _notice(self, missing: int) -> bytes:
        record = logging.LogRecord(
            "terrahash.service", logging.WARNING, "", 0, "log lines were dropped", (), None
        )
        record.__dict__["lines"] = missing
        return self.format(record).encode() + b"\n"


_log: BoundedLog | None = None


def dropped() -> int:
    """Lines that could not be written, since the start of the process."""
    return 0 if _log is None else _log.dropped


def open_log() -> None:
    """From now on, write the service's log to standard error."""
    global _log
    if sys.stderr is None:  # closed by whoever started us; the number may be another file's now
        return
    _log = BoundedLog(sys.stderr.fileno())
    logging.captureWarnings(capture=True)
    for name, level in (
        ("terrahash", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("py.warnings", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.handlers = [_log]
        logger.setLevel(level)
        logger.propagate = False


def close_log() -> None:
    """Write what is left of it."""
    if _log is not None:
        _log.close()


def say(level: int, event: str, **extra: Any) -> None:
    """Write one line at once, without a thread, unless standard error is full or closed."""
    if sys.stderr is None:
        return
    record = logging.LogRecord("terrahash.service", level, "", 0, event, (), None)
    record.__dict__.update(extra)
    line = JsonLines().format(record).encode() + b"\n"
    descriptor = sys.stderr.fileno()
    # What is no longer than this is taken as a whole by a pipe that has room.
    if len(line) <= select.PIPE_BUF and select.select([], [descriptor], [], 0)[1]:
        with contextlib.suppress(OSError):
            os.write(descriptor, line)
