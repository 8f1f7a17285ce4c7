"""Measure the archive: appending, opening, filtering, deleting, memory and disk.

    python benchmarks/archive.py                     10 M rows: everything, DuckDB beside the filter
    python benchmarks/archive.py --open 100          opening and scanning 100 M codes as well
    python benchmarks/archive.py --rows 1            a quick run with 1 M rows

Times are medians; what is compared runs in turns within the same run. One JSON line a result goes
to standard output, the table of docs/archive.md to standard error. What is durable waits for the
disk, so the time of one sync stands beside it. Codes, footprints and dates are uniform: the worst
case for ranges of blocks; real archives, filled scene by scene, are filtered faster.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import Archive, open_archive
from terrahash.codes import CodeLayout, distances

LAYOUT = CodeLayout(64)
BATCH = 10_000
YEARS = 30 * 365 * 86_400 * 1_000_000
K = 20


def say(name: str, value: object, wanted: str = "") -> None:
    print(json.dumps({"name": name, "value": value, "wanted": wanted}), flush=True)
    if isinstance(value, float):
        value = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    print(f"| {name} | {value} | {wanted} |", file=sys.stderr, flush=True)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def busy(work: Callable[[], object]) -> NDArray[np.float64]:
    """Wall seconds and processor seconds: far apart where the machine does something else."""
    start = time.process_time()
    took = timed(work)
    return np.array([took, time.process_time() - start])


def memory() -> int:
    """Resident bytes that are no file's pages."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def footprints(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    west, south = rng.uniform(-179, 178, rows), rng.uniform(-89, 88, rows)
    return np.stack([west, south, west + 0.05, south + 0.05], axis=1)


def syncing(folder: Path) -> float:
    """Median seconds to write and sync a new file as large as a batch of bare codes."""
    took = []
    for number in range(50):
        with (folder / f"sync-{number}").open("wb") as file:
            file.write(os.urandom(8 * BATCH))
            file.flush()
            took.append(timed(lambda file=file: os.fsync(file.fileno())))
    return float(np.median(took))


def append(folder: Path, rows: int, seed: int) -> None:
    """Appending in batches, each durable before the next."""
    rng = np.random.default_rng(seed)
    labels = [f"class {n % 40}" for n in range(BATCH)]
    spent, slowest = np.zeros(2), 0.0
    with Archive.create(folder / "full", LAYOUT) as archive:
        for first in range(0, rows, BATCH):
            codes = rng.integers(0, 256, (BATCH, 8), np.uint8)
            boxes = footprints(rng, BATCH)
            times = rng.integers(0, YEARS, BATCH)
            sources = [
                f"tiles/{n // 5000:06d}/tile_{n:010d}.tif" for n in range(first, first + BATCH)
            ]
            took = busy(
                lambda codes=codes, sources=sources, times=times, boxes=boxes: archive.add_codes(
                    codes, sources=sources, labels=labels, datetimes=times, bboxes=boxes
                )
            )
            spent, slowest = spent + took, max(slowest, took[0])
        say(
            "append batches of 10,000, durable each: source, label, date, footprint; rows/s",
            rows / spent[0],
            "≥ 200,000",
        )
        say("… per second of processor time", rows / spent[1])
        say("… slowest batch (with its merges), s", slowest)
        info = archive.info()
        say("… bytes a row, everything", info.bytes / rows)
        say("… segments", info.segments)
    spent, batches = np.zeros(2), []
    before = syncing(folder)
    with Archive.create(folder / "bare", LAYOUT) as archive:
        for _ in range(0, rows, BATCH):
            codes = rng.integers(0, 256, (BATCH, 8), np.uint8)
            took = busy(lambda codes=codes: archive.add_codes(codes))
            spent += took
            batches.append(took[0])
        say("the same, bare codes; rows/s", rows / spent[0], "≥ 1,000,000")
        say("… in the median batch, rows/s", BATCH / float(np.median(batches)))
        say(
            "… one sync of a new file, before and after, median ms",
            f"{before * 1e3:.2f}, {syncing(folder) * 1e3:.2f}",
        )
        say("… per second of processor time", rows / spent[1])
        say("… bytes a code", archive.info().bytes / rows, "≤ 8 + metadata")
    one = np.zeros((1, 8), np.uint8)
    with open_archive(folder / "bare") as archive:
        took = [timed(lambda: archive.add_codes(one)) for _ in range(200)]
    say("append one code, durable, median ms", float(np.median(took)) * 1e3)


def filtered(folder: Path, rows: int, rounds: int) -> None:
    """A box and a range of dates that keep 1 %, beside DuckDB on the same rows."""
    import duckdb

    box, after, before = (-60.0, -40.0, 60.0, 20.0), "1976-01-01", "1978-09-01"
    low, high = (np.datetime64(d, "us").astype(np.int64).item() for d in (after, before))
    with open_archive(folder / "full", mode="r") as archive:
        ids = archive.ids()
        codes = archive.codes(ids)
        snapshot = archive.snapshot()
        table = {"id": ids, "code": codes.view(">u8").astype(np.uint64).reshape(-1)}
        for name in ("west", "south", "east", "north", "datetime"):
            parts = [segment.array(name) for segment in snapshot.segments]
            table[name] = np.concatenate(parts)
        kept = (
            (table["west"] <= box[2]) & (table["east"] >= box[0])
            & (table["south"] <= box[3]) & (table["north"] >= box[1])
            & (table["datetime"] >= low) & (table["datetime"] < high)
        )  # fmt: skip
        say("filter keeps, share of rows", float(kept.mean()))
        base = duckdb.connect(":memory:", config={"threads": 2})
        base.register("given", table)
        base.execute("CREATE TABLE tiles AS SELECT * FROM given")
        base.unregister("given")
        query = np.random.default_rng(9).integers(0, 256, (1, 8), np.uint8)
        number = int(query.view(">u8")[0, 0])
        sql = (
            "SELECT id, bit_count(xor(code, ?::UBIGINT)) AS d FROM tiles WHERE west <= ? AND "
            "east >= ? AND south <= ? AND north >= ? AND datetime >= ? AND datetime < ? "
            "ORDER BY d, id LIMIT 20"
        )
        values = [number, box[2], box[0], box[3], box[1], low, high]

        import terrahash.search.scan  # noqa: F401 - the kernels, which a service loads at its start

        def ours() -> list[tuple[int, float]]:
            hits = archive.search_codes(query, k=K, bbox=box, after=after, before=before)[0]
            return list(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))

        def theirs() -> list[tuple[int, float]]:
            return [(i, float(d)) for i, d in base.execute(sql, values).fetchall()]

        apart = distances(query, codes[kept], LAYOUT)[0]
        order = np.lexsort((ids[kept], apart))[:K]
        wanted = [(int(ids[kept][n]), float(apart[n])) for n in order]
        assert ours() == wanted, "the filtered search is not exact"
        assert theirs() == wanted, "DuckDB does not answer the same question"
        del table, codes, kept
        times = np.array([(timed(ours), timed(theirs)) for _ in range(rounds)]) * 1e3
        mine, other = np.median(times, axis=0)
        say("filtered search (box + dates keep 1 %), median ms", float(mine))
        say("… DuckDB, same rows and answer, two threads, median ms", float(other))
        say("… times faster than DuckDB", float(other / mine), "≥ 2")
        spent = np.array([(busy(ours)[1], busy(theirs)[1]) for _ in range(rounds)])
        say("… the same in processor time", float(np.divide(*np.median(spent, axis=0)[::-1])))
        base.close()
        for where in ("label = 'class 7'", "label LIKE '%7' AND datetime >= '1990-01-01'"):
            times = [
                timed(lambda w=where: archive.search_codes(query, k=K, where=w))
                for _ in range(rounds)
            ]
            say(f"search where {where}, median ms", float(np.median(times)) * 1e3)
        sources = [f"tiles/{n // 5000:06d}/tile_{n:010d}.tif" for n in range(0, rows, rows // 1000)]
        times = [timed(lambda: archive.source_states(sources)) for _ in range(5)]
        say("state of 1,000 sources, median ms", float(np.median(times)) * 1e3)


def delete(folder: Path, rows: int) -> None:
    """Deleting 1 % at random, then compacting."""
    rng = np.random.default_rng(3)
    gone = rng.choice(rows, rows // 100, replace=False) + 1
    with open_archive(folder / "full") as archive:
        took = timed(lambda: archive.delete(ids=gone))
        say(f"delete 1 % of {rows / 1e6:g} M by id, s", took, "≤ 5")
        query = archive.codes(np.setdiff1d(gone + 1, gone)[:1])
        hits = archive.search_codes(query, k=1000)[0]
        assert not np.isin(hits.ids, gone).any(), "a deleted id was returned"
        took = timed(lambda: archive.delete(where="label = 'class 3'"))
        say("delete one class of 40 by a condition, s", took)
        took = timed(lambda: archive.compact())
        say("compact, with cells, s", took)
        info = archive.info()
        say("… segments", info.segments)
        say("… bytes a row, cells included", info.bytes / len(archive))
        took = timed(lambda: archive.verify())
        say("verify, s", took)


def opening(folder: Path, millions: int) -> None:
    """Opening an archive of many codes, and what it needs beside them."""
    path = folder / "large"
    rng = np.random.default_rng(5)
    with Archive.create(path, LAYOUT) as archive:
        for _ in range(millions):
            archive.add_codes(rng.integers(0, 256, (1_000_000, 8), np.uint8))
        archive.delete(ids=rng.choice(millions * 10**6, 10_000, replace=False))
    del archive
    gc.collect()
    rows = millions * 10**6
    query = rng.integers(0, 256, (1, 8), np.uint8)
    before = memory()
    took = []
    for _ in range(5):
        start = time.perf_counter()
        archive = open_archive(path, mode="r")
        assert len(archive) == rows - 10_000
        took.append(time.perf_counter() - start)
        archive.close()
    say(f"open {millions} M codes, median s", float(np.median(took)), "≤ 0.5")
    archive = open_archive(path, mode="r")
    archive.search_codes(query, k=K)
    say(f"… memory beside {millions} M codes, bytes a code", (memory() - before) / rows, "≤ 1")
    say("… bytes on disk a code", archive.info().bytes / rows, "≤ 8 + metadata")
    times = [timed(lambda: archive.search_codes(query, k=K)) for _ in range(9)]
    say("… search, no cells, median ms", float(np.median(times)) * 1e3)
    archive.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    options.add_argument("--rows", type=int, default=10, help="millions of rows")
    options.add_argument("--open", type=int, default=0, help="millions of codes to open")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--folder", type=Path, default=None, help="where the archives are made")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(dir=chosen.folder))
    rows = chosen.rows * 1_000_000
    print("| what | result | wanted |\n| --- | ---: | ---: |", file=sys.stderr)
    say(
        "machine",
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"load {os.getloadavg()[0]:.1f}, numpy {np.__version__}, SQLite {sqlite3.sqlite_version}, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
    try:
        append(folder, rows, seed=0)
        filtered(folder, rows, chosen.rounds)
        delete(folder, rows)
        if chosen.open:
            opening(folder, chosen.open)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
