"""One run in a process of its own: ``python -m terrahash.benchmark.job``.

A process of its own makes peak memory and processor time those of the run, lets several runs go on
at a time, and keeps a crash (or the kernel's, when memory runs out) from ending the benchmark. The
job comes in as one JSON object on standard input; progress, the records and how it ended go out as
JSON lines on standard output. Everything else that is printed goes to standard error.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from terrahash.benchmark.results import Record
from terrahash.benchmark.specification import Run
from terrahash.errors import TerrahashError, TrainingError

# Progress is told this often, seconds.
PROGRESS_INTERVAL = 0.5
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run, and what to measure of it.

    Attributes:
        run: the training.
        identity: of the run, as it was planned.
        protocols: to measure under.
        k: cut-off.
        models: folder that keeps fine-tuned encoders.
    """

    run: Run
    identity: str
    protocols: tuple[str, ...]
    k: int
    models: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Job:
        """The job that :meth:`to_json` described."""
        run, protocols = Run(**data["run"]), tuple(data["protocols"])
        return cls(**{**data, "run": run, "protocols": protocols})


class _Progress:
    """A reporter that tells the parent process, not too often."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last = 0.0

    def note(self, text: str) -> None:
        self._tell({"note": text})

    def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
        now = time.monotonic()
        if done == total or now - self._last >= PROGRESS_INTERVAL:
            self._last = now
            self._tell({"stage": stage, "done": done, "total": total, "detail": detail})


def perform(job: Job, tell: Tell) -> list[Record]:
    """Do a job and give its records.

    Raises:
        TerrahashError: if it cannot be done, or is no longer what was planned.
    """
    from terrahash.benchmark.materials import Materials, identity
    from terrahash.benchmark.measuring import measured

    plan = Materials().plan(job.run)
    if identity(plan) != job.identity:
        raise TrainingError(
            "the data, the split or the method's numbers changed while the benchmark ran",
            "run it again: what is finished stays, what changed is run anew",
        )
    return list(
        measured(
            job.run,
            plan,
            identity=job.identity,
            protocols=job.protocols,
            k=job.k,
            models=Path(job.models),
            reporter=_Progress(tell),
        )
    )


def described(error: Exception) -> dict[str, str]:
    """An error as it is recorded."""
    message, remedy = str(error), ""
    if isinstance(error, TerrahashError):
        message, remedy = error.message, error.remedy
    return {"error": type(error).__name__, "message": message, "remedy": remedy}


def usage() -> dict[str, Any]:
    """What this process used: processor seconds and peak resident memory in bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "process_cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_memory": _peak_memory(),
    }


def _peak_memory() -> int:
    """Bytes. Linux's ``ru_maxrss`` is also that of the process that started this one, so what the
    kernel says of this process alone is read where it can be."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return int(found[1]) * 1024
    except OSError:
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    """Read a job, do it, and tell of it."""
    job = Job.from_json(json.load(sys.stdin))
    # Libraries that print must not break the protocol: what they print goes to standard error.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        records = perform(job, tell)
        tell({"records": records, "usage": usage()})
    except BrokenPipeError:
        os._exit(1)  # the benchmark is gone: nobody wants the rest
    except Exception as error:
        traceback.print_exc()
        tell({"failure": described(error), "usage": usage()})


if __name__ == "__main__":
    main()
