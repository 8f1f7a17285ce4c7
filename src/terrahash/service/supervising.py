"""Keeping the service up: one process answers, and its parent starts it again where it crashes.

A mapped file that is cut short under a search, a fault in a native library, or a system that runs
out of memory ends a process without a word. The parent holds the listening socket, so that whoever
connects meanwhile waits a moment instead of being refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from terrahash.service import logs

# Ends by these signals are crashes; by others somebody asked for the end.
CRASHES = frozenset(
    {
        signal.SIGBUS,
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGKILL,
    }
)
# Pause before a new start; doubled with each crash that follows soon upon the last one, seconds.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
SOON = 60.0
# Characters of the fault that ended a worker: a line that a pipe takes as a whole.
LONGEST_FAULT = 3000


def supervise(listening: socket.socket, work: Callable[[], None]) -> None:
    """Do work in a process of its own, again after each crash, until it ends or SIGTERM comes.

    Call it before the process has threads or large libraries.

    Args:
        listening: closed here when the end is asked for; the work closes it for itself.
        work: ends in order upon SIGTERM, at once upon a SIGINT that follows.

    Raises:
        SystemExit: if the work ends with an exit code other than 0.
    """
    worker: int | None = None
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        again = stopping.is_set()
        stopping.set()
        listening.close()
        if worker is not None:
            _kill(worker, signal.SIGINT if again else signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    alive, held = os.pipe()
    pause = FIRST_PAUSE
    try:
        while not stopping.is_set():
            started = time.monotonic()
            worker = os.fork()
            if worker == 0:
                os.close(held)
                _work(work, alive)
            if stopping.is_set():
                _kill(worker, signal.SIGTERM)
            code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
            worker = None
            if stopping.is_set() or code == 0:
                return
            if -code not in CRASHES:
                sys.exit(code if code > 0 else 128 - code)
            pause = FIRST_PAUSE if time.monotonic() - started > SOON else pause
            logs.say(
                logging.ERROR,
                "the service crashed and is started again",
                signal=signal.Signals(-code).name,
                pause_seconds=pause,
            )
            stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    finally:
        os.close(alive)
        os.close(held)
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(work: Callable[[], None], alive: int) -> NoReturn:
    """The life of a worker."""
    code = 1
    try:
        # Ctrl-C at the terminal is the parent's to pass on, once.
        os.setpgid(0, 0)
        # The server ends its work upon it, then passes it on to this: the log is closed after.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        fault = traceback.format_exc()[-LONGEST_FAULT:]
        logs.say(logging.CRITICAL, "the service met a fault of its own", trace=fault)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_with_parent(alive: int) -> None:
    """Nobody could stop a worker whose parent was killed, or start another at its address."""
    os.read(alive, 1)
    os._exit(1)


def _kill(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
