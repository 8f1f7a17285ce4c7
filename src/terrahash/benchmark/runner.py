"""Running a benchmark: what is finished stays, what is not is run, what fails is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from terrahash.benchmark.estimate import estimated_seconds
from terrahash.benchmark.job import Job, described, usage
from terrahash.benchmark.machine import describe_machine
from terrahash.benchmark.materials import Materials, data_title, identity, identity_of_request
from terrahash.benchmark.processes import Ended, Listen, Processes
from terrahash.benchmark.results import Record, Results
from terrahash.benchmark.specification import Run, Specification
from terrahash.errors import DatasetError, ImageError, TerrahashError
from terrahash.learning.features import extract_features
from terrahash.learning.methods import METHODS, make_method
from terrahash.machine import available_cores
from terrahash.progress import Reporter, Silent

LOGS = "logs"
MODELS = "models"
RUNS = "runs"
Perform = Callable[[Job, Listen], Ended]
State = Literal["finished", "to do", "impossible"]


@dataclass(frozen=True)
class Entry:
    """A run of a benchmark, and where it stands.

    Attributes:
        job: what to do; None where the run cannot be planned.
        failure: why it cannot be planned.
        seconds: what it is expected to take, judging by finished runs; None if none is alike.
    """

    run: Run
    identity: str
    state: State
    job: Job | None
    failure: dict[str, str] | None
    seconds: float | None


@dataclass(frozen=True)
class Outcome:
    """What a benchmark came to.

    Attributes:
        finished: runs that were finished before.
        done: runs that finished now.
        failed: identities of runs that failed.
    """

    finished: int
    done: int
    failed: tuple[str, ...]


def plan_benchmark(
    specification: Specification,
    records: Sequence[Record],
    folder: Path,
    *,
    materials: Materials | None = None,
) -> list[Entry]:
    """Every run of a benchmark and where it stands; nothing is written.

    A method without published bugs has no ``published`` variant, and is run as ``corrected`` only.

    Args:
        specification: what to run.
        records: of the folder.
        folder: of the benchmark.
        materials: what is loaded already.

    Raises:
        InputError: for an unknown method.
        DatasetError: for an unknown data set.
    """
    materials = materials or Materials()
    for method in specification.methods:
        make_method(method)
    for data in specification.data:
        materials.dataset(data)
    done = {
        (record["run"], record["protocol"], record["k"])
        for record in records
        if record["kind"] == "result"
    }
    entries = []
    for run in specification.runs():
        if run.variant == "published" and not METHODS[run.method].published_switches:
            continue
        try:
            name = identity(materials.plan(run))
        except TerrahashError as error:
            name = identity_of_request(run)
            entries.append(Entry(run, name, "impossible", None, described(error), None))
            continue
        missing = tuple(
            protocol
            for protocol in specification.protocols
            if (name, protocol, specification.k) not in done
        )
        job = Job(
            run=run,
            identity=name,
            protocols=missing,
            k=specification.k,
            models=str(folder / MODELS),
        )
        seconds = estimated_seconds(run, len(materials.dataset(run.data)), records)
        state: State = "to do" if missing else "finished"
        entries.append(Entry(run, name, state, job, None, seconds))
    return entries


def default_jobs(mode: str) -> int:
    """Runs at a time: heads take one thread each, fine-tuning takes all there are."""
    return available_cores() if mode == "frozen" else 1


def run_benchmark(
    specification: Specification,
    folder: str | Path,
    *,
    jobs: int | None = None,
    reporter: Reporter | None = None,
    perform: Perform | None = None,
    on_record: Callable[[Sequence[Record]], None] | None = None,
) -> Outcome:
    """Run what is not finished yet, and record it as it finishes.

    Args:
        specification: what to run.
        folder: of the benchmark; made if it is not there.
        jobs: runs at a time; by default one a core in ``frozen`` mode, else one.
        reporter: is told of the progress.
        perform: does a job; by default in a process of its own.
        on_record: called with all records after each run.

    Raises:
        InputError: if the folder cannot be used, or the specification names what is not known.
        DatasetError: for an unknown data set.
    """
    reporter = reporter or Silent()
    started = time.perf_counter()
    with Results(folder) as results:
        materials = Materials()
        entries = plan_benchmark(
            specification, results.records, results.folder, materials=materials
        )
        finished = sum(entry.state == "finished" for entry in entries)
        todo = [entry for entry in entries if entry.state != "finished"]
        reporter.note(f"{len(entries)} runs: {finished} finished before, {len(todo)} to do")
        if not todo:
            return Outcome(finished, 0, ())
        spoilt = _prepare(todo, materials, results, reporter)
        processes = Processes(results.folder / LOGS)
        count = jobs or default_jobs(specification.mode)
        watch = _Watch(results, reporter, count, len(entries), finished, on_record)
        with ThreadPoolExecutor(count, thread_name_prefix="benchmark") as pool:
            try:
                _work(todo, spoilt, perform or processes, pool, count, watch)
            except BaseException:
                processes.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        results.append(
            {
                "kind": "session",
                "command": specification.command,
                "runs": watch.done,
                "failed": len(watch.failed),
                "jobs": count,
                "seconds": round(time.perf_counter() - started, 1),
                "cpu_seconds": round(watch.cpu_seconds + usage()["process_cpu_seconds"], 1),
                "machine": describe_machine(),
            }
        )
        if on_record is not None:
            on_record(results.records)
        return Outcome(finished, watch.done, tuple(watch.failed))


class _Watch:
    """Records what ends, and tells of it."""

    def __init__(
        self,
        results: Results,
        reporter: Reporter,
        jobs: int,
        total: int,
        finished: int,
        on_record: Callable[[Sequence[Record]], None] | None,
    ) -> None:
        self.jobs = jobs
        self.results, self.reporter, self.on_record = results, reporter, on_record
        self.total, self.ended, self.done = total, finished, 0
        self.cpu_seconds = 0.0
        self.failed: list[str] = []
        reporter.advance(RUNS, finished, total)

    def listen(self, message: dict[str, Any]) -> None:
        """Pass a job's progress on; of several jobs at a time only what is worth keeping."""
        if "note" in message:
            self.reporter.note(message["note"])
        elif self.jobs == 1:
            self.reporter.advance(**message)

    def record(self, entry: Entry, ended: Ended) -> None:
        """Keep how a run ended."""
        request = identity_of_request(entry.run)
        machine = describe_machine()
        self.ended += 1
        self.cpu_seconds += ended.usage.get("process_cpu_seconds", 0.0)
        if ended.failure is not None:
            self.failed.append(entry.identity)
            about = {"run": entry.identity, "request": request, "title": entry.run.title}
            self.results.append({"kind": "failure", **about, **ended.failure})
            self.reporter.note(f"failed: {entry.run.title}: {ended.failure['message']}")
        else:
            self.done += 1
            for record in ended.records:
                record["training"] = {**record["training"], **ended.usage}
                self.results.append({**record, "request": request, "machine": machine})
                self.reporter.note(
                    f"{entry.run.title}  {record['protocol']} ({record['database']}) "
                    f"mAP@{record['k']} {record['map_at_k']:.4f}  "
                    f"{record['training']['seconds']:.0f} s"
                )
        self.reporter.advance(RUNS, self.ended, self.total, f"{len(self.failed)} failed")
        if self.on_record is not None:
            self.on_record(self.results.records)


def _prepare(
    todo: Sequence[Entry], materials: Materials, results: Results, reporter: Reporter
) -> dict[str, dict[str, str]]:
    """Compute the features that runs share; the failures of data sets that cannot be read."""
    spoilt: dict[str, dict[str, str]] = {}
    ready: set[tuple[str, str]] = set()
    for entry in todo:
        if entry.job is None or entry.run.mode != "frozen" or entry.run.data in spoilt:
            continue
        plan = materials.plan(entry.run)
        key = (entry.run.data, plan.backbone.identity)
        if key in ready:
            continue
        ready.add(key)
        started, cpu_started = time.perf_counter(), time.process_time()
        computed = 0

        def progress(done: int, total: int, data: str = entry.run.data) -> None:
            nonlocal computed
            computed = total
            reporter.advance(f"features of {data}", done, total)

        dataset = plan.dataset
        try:
            extract_features(plan.backbone, dataset.paths, dataset.digests(), progress=progress)
        except (ImageError, DatasetError) as error:
            spoilt[entry.run.data] = described(error)
            continue
        if computed:
            results.append(
                {
                    "kind": "features",
                    "data_title": data_title(dataset),
                    "backbone": plan.backbone.name,
                    "size": plan.backbone.preprocessing.size,
                    "images": computed,
                    "seconds": round(time.perf_counter() - started, 1),
                    "cpu_seconds": round(time.process_time() - cpu_started, 1),
                    "machine": describe_machine(),
                }
            )
    return spoilt


def _work(
    todo: Sequence[Entry],
    spoilt: dict[str, dict[str, str]],
    perform: Perform,
    pool: ThreadPoolExecutor,
    count: int,
    watch: _Watch,
) -> None:
    """Keep ``count`` jobs going until all have ended; only this thread writes."""
    waiting = list(reversed(todo))
    going: dict[Future[Ended], Entry] = {}
    while waiting or going:
        while waiting and len(going) < count:
            entry = waiting.pop()
            failure = entry.failure or spoilt.get(entry.run.data)
            if entry.job is None or failure is not None:
                watch.record(entry, Ended([], failure, {}))
                continue
            going[pool.submit(perform, entry.job, watch.listen)] = entry
        ended, _ = wait(going, return_when=FIRST_COMPLETED) if going else (set(), set())
        for future in ended:
            watch.record(going.pop(future), future.result())
