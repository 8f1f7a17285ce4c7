"""Code search measured side by side: ours, numpy's, faiss's, and the memory's limit.

One command, one machine, one run: engines take turns by bursts of ten queries, so that what
disturbs one disturbs all and none always finds its caches filled with another one's data; medians
are compared.

    python benchmarks/search.py                             # all of it; an hour on two cores
    python benchmarks/search.py --sizes 1M 10M --data uniform clustered
    python benchmarks/search.py --codes trained.npz --data trained --sizes 10M
    python benchmarks/search.py --report                    # tables and plot into docs/search.md

Results are appended to ``docs/search.jsonl``, one JSON object for each engine and setting, and a
later one replaces an earlier one of the same setting in the report. ``trained.npz`` holds ``codes
(N, nbytes) uint8`` that an encoder gave and ``origins (N,)``, the tile that each is a (perhaps
augmented) copy of. Where the size asked for is larger, rows are drawn with replacement and each is
moved by the difference between two copies of another drawn tile, so that what is added differs
from the real codes as real copies differ from each other.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.search import Cells, build_cells, search
from terrahash.search.ranking import DISTANCE_MASK, Question
from terrahash.search.reference import search_numpy
from terrahash.search.workers import THREADS_VARIABLE, thread_count

DOCS = Path(__file__).parent.parent / "docs"
K = 20
BATCH = 100
SEED = 0
# A common model of trained codes: centres, and bits flipped with this probability.
CLUSTERS, FLIP = 1000, 0.05
# The numpy path and faiss take long for large sizes: so many single queries each.
SLOW_QUERIES = 15
# Queries an engine answers before the next one's turn.
BURST = 10

Codes = NDArray[np.uint8]


@dataclass
class Engine:
    """A way to search: ``run`` takes queries and returns their distances, best first."""

    name: str
    run: Callable[[Codes], Any]
    queries: int
    build_seconds: float = 0.0
    bytes_per_code: float = 0.0
    batches: bool = True


def uniform(n: int, bits: int, rng: np.random.Generator) -> Codes:
    return rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)


def clustered(n: int, bits: int, rng: np.random.Generator) -> Codes:
    centres = rng.integers(0, 256, (CLUSTERS, bits // 8), dtype=np.uint8)
    codes = centres[rng.integers(0, CLUSTERS, n)]
    for start in range(0, n, 1_000_000):
        part = codes[start : start + 1_000_000]
        part ^= np.packbits(rng.random((len(part), bits), dtype=np.float32) < FLIP, axis=1)
    return codes


def trained(n: int, pool: Path, rng: np.random.Generator) -> Codes:
    stored = np.load(pool)
    codes, origins = stored["codes"], stored["origins"]
    if n <= len(codes):
        return np.ascontiguousarray(codes[rng.permutation(len(codes))[:n]])
    order = np.argsort(origins, kind="stable")
    codes, origins = codes[order], origins[order]
    firsts = np.searchsorted(origins, origins)
    counts = np.searchsorted(origins, origins, side="right") - firsts
    out = np.empty((n, codes.shape[1]), np.uint8)
    out[: len(codes)] = codes
    for start in range(len(codes), n, 1_000_000):
        size = min(1_000_000, n - start)
        base, one = rng.integers(0, len(codes), (2, size))
        other = firsts[one] + rng.integers(0, counts[one])
        out[start : start + size] = codes[base] ^ codes[one] ^ codes[other]
    return out[rng.permutation(n)]


def memory_limit(codes: Codes) -> Callable[[Codes], None]:
    """Reading all codes once, with one thread or with all, whichever is faster."""
    words = codes.reshape(-1).view(np.uint64)
    threads = thread_count()
    pool = ThreadPoolExecutor(threads)
    parts = np.array_split(words, threads)

    def together(_queries: Codes) -> None:
        list(pool.map(np.sum, parts))

    def alone(_queries: Codes) -> None:
        np.sum(words)

    alone(codes)
    return min((alone, together), key=lambda read: median_seconds(lambda: read(codes), 9))


def median_seconds(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def engines(codes: Codes, bits: int, arguments: argparse.Namespace) -> Iterator[Engine]:
    layout = CodeLayout(bits)
    many = arguments.queries
    yield Engine("memory limit", memory_limit(codes), many, batches=False)

    def through(queries: Codes, cells: Cells | None) -> list[NDArray[np.float32]]:
        return [m.distances for m in search([codes], queries, layout, k=K, cells=cells)]

    yield Engine("scan", lambda queries: through(queries, None), many, bytes_per_code=layout.nbytes)
    cells = None
    if len(codes) <= arguments.cells_up_to:
        start = time.perf_counter()
        cells = build_cells([codes], layout)
        seconds = time.perf_counter() - start
        ours = layout.nbytes + cells.nbytes / len(codes)
        yield Engine("cells", lambda queries: through(queries, cells), many, seconds, ours)
    magnitudes = np.abs(np.random.default_rng(SEED).standard_normal((BATCH, bits)))

    def asymmetric(queries: Codes, cells: Cells | None) -> Any:
        weights = magnitudes[: len(queries)].astype(np.float32)
        return search([codes], queries, layout, k=K, magnitudes=weights, cells=cells)

    yield Engine("scan, asymmetric", lambda queries: asymmetric(queries, None), many)
    if cells is not None:
        yield Engine("cells, asymmetric", lambda queries: asymmetric(queries, cells), many)
    if len(codes) <= arguments.numpy_up_to:
        yield Engine(
            "numpy",
            lambda queries: [
                m.distances
                for m in search_numpy(
                    Question(queries, layout, K, DISTANCE_MASK, None, False), [codes], [None]
                )
            ],
            SLOW_QUERIES,
            bytes_per_code=layout.nbytes,
            batches=False,
        )
    for name, heap in (("faiss flat, heap", True), ("faiss flat, counting", False)):
        flat = faiss.IndexBinaryFlat(bits)
        flat.use_heap = heap
        start = time.perf_counter()
        flat.add(codes)
        yield Engine(
            name,
            lambda queries, index=flat: index.search(queries, K)[0],
            SLOW_QUERIES,
            time.perf_counter() - start,
            layout.nbytes,
        )
    if len(codes) <= arguments.hnsw_up_to:
        graph = faiss.IndexBinaryHNSW(bits, 16)
        start = time.perf_counter()
        graph.add(codes)
        seconds = time.perf_counter() - start
        graph.hnsw.efSearch = 128
        # A link is 4 bytes; faiss keeps 2 M of them at the lowest level, M above.
        links = faiss.vector_to_array(graph.hnsw.offsets)[-1] * 4 / len(codes)
        yield Engine(
            "faiss HNSW, M 16, ef 128",
            lambda queries: graph.search(queries, K)[0],
            many,
            seconds,
            layout.nbytes + float(links),
        )


def measure(
    data: str, bits: int, n: int, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(SEED)
    if data == "uniform":
        codes = uniform(n, bits, rng)
        queries = uniform(arguments.queries, bits, rng)
    elif data == "clustered":
        codes = clustered(n + arguments.queries, bits, rng)
        codes, queries = codes[:n], codes[n:].copy()
    else:
        codes = trained(n + arguments.queries, arguments.codes, rng)
        codes, queries = codes[:n], codes[n:].copy()
    layout = CodeLayout(bits)
    truth = [
        m.distances
        for m in search_numpy(
            Question(queries[:SLOW_QUERIES], layout, K, DISTANCE_MASK, None, False), [codes], [None]
        )
    ]
    # The kernels are compiled and loaded before anything is timed.
    search([codes], np.repeat(queries[:2], 60, axis=0)[:100], layout, k=K)
    field = list(engines(codes, bits, arguments))
    for engine in field:
        engine.run(queries[:1])
    singles: dict[str, list[float]] = {engine.name: [] for engine in field}
    answers: dict[str, list[Any]] = {engine.name: [] for engine in field}
    # faiss answers one query on one thread; with more, its idle ones spin and slow it down.
    faiss.omp_set_num_threads(1)
    for first in range(0, arguments.queries, BURST):
        for engine in field:
            for number in range(first, min(first + BURST, engine.queries)):
                query = queries[number : number + 1]
                start = time.perf_counter()
                found = engine.run(query)
                singles[engine.name].append(time.perf_counter() - start)
                answers[engine.name].append(found)
    faiss.omp_set_num_threads(arguments.threads)
    batches: dict[str, list[float]] = {engine.name: [] for engine in field}
    for _ in range(arguments.batches):
        for engine in field:
            if engine.batches:
                start = time.perf_counter()
                engine.run(np.resize(queries, (BATCH, queries.shape[1])))
                batches[engine.name].append(time.perf_counter() - start)
    limit = float(np.median(singles["memory limit"]))
    scan = float(np.median(singles["scan"]))
    for engine in field:
        times = np.array(singles[engine.name]) * 1e3
        found = answers[engine.name]
        row: dict[str, Any] = {
            "data": data,
            "bits": bits,
            "codes": n,
            "engine": engine.name,
            "k": K,
            "queries": len(times),
            "p50_ms": round(float(np.median(times)), 4),
            "p95_ms": round(float(np.quantile(times, 0.95)), 4),
            "times_limit": round(float(np.median(times)) / limit / 1e3, 3),
            "times_scan": round(float(np.median(times)) / scan / 1e3, 4),
            "build_s": round(engine.build_seconds, 2),
            "bytes_per_code": round(engine.bytes_per_code, 1),
        }
        if engine.batches:
            row["batch_100_ms"] = round(float(np.median(batches[engine.name])) * 1e3, 2)
        if "asymmetric" in engine.name:
            pairs = zip(answers["scan, asymmetric"], found, strict=True)
            row["equal_to_scan"] = sum(bool(np.array_equal(a[0].rows, b[0].rows)) for a, b in pairs)
        elif engine.name != "memory limit":
            shares = [
                float(np.mean(np.asarray(distances[0])[:K] <= true[-1]))
                for distances, true in zip(found, truth, strict=False)
            ]
            row["recall"] = round(float(np.mean(shares)), 4)
        if engine.name == "cells":
            pairs = zip(answers["scan"], found, strict=True)
            row["equal_to_scan"] = sum(bool(np.array_equal(a[0], b[0])) for a, b in pairs)
        yield row


def machine() -> dict[str, Any]:
    cpu = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {
        "cpu": cpu or platform.processor(),
        "threads": thread_count(),
        "load": round(os.getloadavg()[0], 1),
        "seed": SEED,
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in ("terrahash", "numpy", "numba", "faiss-cpu")},
    }


def number(text: str) -> int:
    """``10M`` and the like."""
    scale = {"k": 1_000, "M": 1_000_000, "G": 1_000_000_000}.get(text[-1])
    return int(float(text[:-1]) * scale) if scale else int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", type=number, default=None, help="e.g. 1M 10M")
    parser.add_argument("--bits", nargs="+", type=int, default=None)
    parser.add_argument("--data", nargs="+", choices=["uniform", "clustered", "trained"])
    parser.add_argument("--codes", type=Path, help="trained.npz")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--numpy-up-to", type=number, default=10_000_000)
    parser.add_argument("--cells-up-to", type=number, default=100_000_000)
    parser.add_argument("--hnsw-up-to", type=number, default=1_000_000)
    parser.add_argument("--out", type=Path, default=DOCS / "search.jsonl")
    parser.add_argument("--report", action="store_true", help="only write docs/search.md again")
    arguments = parser.parse_args()
    os.environ[THREADS_VARIABLE] = str(arguments.threads)
    if not arguments.report:
        for data, bits, n in settings(arguments):
            about = machine()
            for row in measure(data, bits, n, arguments):
                line = json.dumps(row | about)
                print(line, flush=True)
                with arguments.out.open("a") as out:
                    out.write(line + "\n")
            gc.collect()
    from report_search import write_report

    write_report(arguments.out, DOCS / "search.md", DOCS / "search.png")


def settings(arguments: argparse.Namespace) -> Iterator[tuple[str, int, int]]:
    """What to measure: 64 bits at all sizes and 128 at 10 M, unless told otherwise."""
    kinds = arguments.data or ["uniform", "clustered", *(["trained"] if arguments.codes else [])]
    if "trained" in kinds and arguments.codes is None:
        raise SystemExit("--data trained needs --codes FILE.npz")
    for data in kinds:
        pairs = [(64, 1_000_000), (64, 10_000_000), (64, 100_000_000), (128, 10_000_000)]
        if data == "trained":
            bits = int(np.load(arguments.codes)["codes"].shape[1] * 8)
            pairs = [(bits, n) for n in arguments.sizes or [10_000_000]]
        elif arguments.sizes or arguments.bits:
            pairs = [
                (bits, n)
                for bits in arguments.bits or [64]
                for n in arguments.sizes or [10_000_000]
            ]
        for bits, n in pairs:
            yield data, bits, n


if __name__ == "__main__":
    main()
