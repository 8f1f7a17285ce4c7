"""Starting jobs as processes and listening to them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from terrahash.benchmark.job import Job
from terrahash.benchmark.results import Record

# Lines of a process's own output that are shown of one that died without a word.
LAST_LINES = 3
Listen = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Ended:
    """How a job ended: with records, or with a failure.

    Attributes:
        records: one for each protocol and database; empty if it failed.
        failure: ``error``, ``message`` and ``remedy``; None if it did not fail.
        usage: processor seconds and peak memory of the process; empty if it died.
    """

    records: list[Record]
    failure: dict[str, str] | None
    usage: dict[str, Any]


@dataclass
class Processes:
    """Runs jobs, each in a process of its own; may be called from several threads.

    Attributes:
        logs: folder for what the processes print; the log of a job that went well is removed.
        module: what is run as a process.
    """

    logs: Path
    module: str = "terrahash.benchmark.job"
    _running: set[subprocess.Popen[str]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, job: Job, listen: Listen) -> Ended:
        """Run a job to its end, passing its progress on."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{job.identity}.log"
        ended = None
        with log.open("w", encoding="utf-8") as stderr:
            process = subprocess.Popen(  # noqa: S603  (this interpreter and package)
                [sys.executable, "-m", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
            )
            with self._lock:
                self._running.add(process)
            try:
                ended = _listened(process, job, listen)
            finally:
                with self._lock:
                    self._running.discard(process)
                process.kill()
                process.wait()
        if ended is None:
            return Ended([], _death(process.returncode, log), {})
        if ended.failure is None:
            log.unlink()
        return ended

    def stop(self) -> None:
        """End all processes that are running."""
        with self._lock:
            for process in self._running:
                process.kill()


def _listened(process: subprocess.Popen[str], job: Job, listen: Listen) -> Ended | None:
    """What the process said at its end; None if it died without a word."""
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    with process.stdout:
        try:
            with process.stdin:
                json.dump(job.to_json(), process.stdin)
        except BrokenPipeError:
            return None
        for line in process.stdout:
            message = json.loads(line)
            if "usage" in message:
                process.wait()
                return Ended(message.get("records", []), message.get("failure"), message["usage"])
            listen(message)
    process.wait()
    return None


def _death(code: int, log: Path) -> dict[str, str]:
    """How a process ended that did not say."""
    if code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
        hint = "free some memory, or run fewer at a time with --jobs" if code == -9 else ""
    else:
        how, hint = f"ended with exit code {code}", ""
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    said = f"; its last words: {' / '.join(last)}" if last else ""
    return {
        "error": "ProcessDied",
        "message": f"its process {how}{said}",
        "remedy": hint or f"see logs/{log.name}",
    }
