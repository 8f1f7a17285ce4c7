"""How many searches a service answers: clients that search by id as fast as they are answered.

    python benchmarks/service.py --tiles 1000000 --clients 64 --seconds 60 [--adding]

Makes an archive of seeded clustered codes, serves it in a process of its own and asks from another
(both on the same machine, so that the clients take their share of the processors). Prints one JSON
object: requests, errors, quantiles of the answer's time, the archive's part of it as the service
measured it, the same call on the bare archive before and after (and after again with a pause before
each call, in which the processor's caches are used by others), and the service's memory when it was
ready and at each tenth of the run: its own (anonymous) and the files that are mapped into it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from terrahash.archive import Archive, open_archive
from terrahash.codes import CodeLayout

BITS = 64
K = 20
CLUSTERS = 4096
FLIP = 0.06
READY_WITHIN = 120.0
BARE_CALLS = 300
# Between calls that are not to find what they need in the processor's caches, seconds.
PAUSE = 0.002
# Looks at the memory during the run, besides the one before it.
SAMPLES = 10
SERVE = "from terrahash.cli import main; main()"
TOKEN = "benchmark-token-0123456789"  # noqa: S105 - of this benchmark


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adding", action="store_true", help="tiles are added meanwhile")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiles.terrahash"
        make(path, chosen.tiles, chosen.seed)
        bare = bare_milliseconds(path, chosen.tiles, chosen.seed)
        process, address = serve(path)
        try:
            worker = worker_of(process)
            result = asyncio.run(
                load(address, chosen.tiles, chosen.clients, chosen.seconds, chosen.adding, worker)
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        bare_after = bare_milliseconds(path, chosen.tiles, chosen.seed)
        paused = bare_milliseconds(path, chosen.tiles, chosen.seed, PAUSE)
    print(
        json.dumps(
            {
                "tiles": chosen.tiles,
                "bits": BITS,
                "k": K,
                "clients": chosen.clients,
                "seconds": chosen.seconds,
                "seed": chosen.seed,
                "adding": chosen.adding,
                **result,
                "bare_archive_ms_p50": [bare, bare_after],
                "bare_archive_after_a_pause_ms_p50": paused,
                "processors": os.cpu_count(),
                "load_before": round(os.getloadavg()[2], 1),
                "python": platform.python_version(),
            }
        )
    )


def make(path: Path, tiles: int, seed: int) -> None:
    """An archive of codes around centres, in cells where that pays."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (CLUSTERS, BITS // 8), np.uint8)
    with open_archive(path, layout=CodeLayout(BITS)) as archive:
        for start in range(0, tiles, 250_000):
            count = min(250_000, tiles - start)
            noise = np.packbits(rng.random((count, BITS)) < FLIP, axis=1)
            archive.add_codes(centres[rng.integers(0, CLUSTERS, count)] ^ noise)
        archive.compact()


def bare_milliseconds(path: Path, tiles: int, seed: int, pause: float = 0.0) -> float:
    """Median of the archive's own search by id, alone; after a pause, the caches are others'."""
    import terrahash.search.scan  # noqa: F401 - the kernels, as a service of so many tiles has them

    rng = np.random.default_rng(seed)
    with Archive(path, "r") as archive:
        archive.search(1, K)
        times = []
        for number in rng.integers(1, tiles, BARE_CALLS).tolist():
            time.sleep(pause)
            started = time.perf_counter()
            archive.search(number, K)
            times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1000, 3)


def serve(path: Path) -> tuple[subprocess.Popen[str], str]:
    """A running service and its ``host:port``."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "--archive", str(path), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TERRAHASH_WRITE_TOKEN": TOKEN},
    )
    assert process.stderr is not None
    address = process.stderr.readline().split("http://")[1].split("/")[0]
    # Somebody reads the log, as in real use.
    subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    # Kernels that have changed are compiled first.
    deadline = time.monotonic() + READY_WITHIN
    while not ready(address):
        if time.monotonic() > deadline:
            sys.exit(f"the service is not ready after {READY_WITHIN:.0f} s")
        time.sleep(0.5)
    return process, address


def ready(address: str) -> bool:
    """Whether the service answers searches."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=READY_WITHIN):
            return True
    except OSError:
        return False


def worker_of(process: subprocess.Popen[str]) -> int:
    """The process that answers, a child of the one that was started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return int(children.split()[0])


def memory_mib(worker: int) -> dict[str, float]:
    """Resident memory: of the process's own, and of files that are mapped."""
    status = Path(f"/proc/{worker}/status").read_text()
    found = {
        name: re.search(rf"{field}:\s+(\d+)", status)
        for name, field in (("own", "RssAnon"), ("files", "RssFile"))
    }
    return {name: round(int(one.group(1)) / 1024, 1) for name, one in found.items() if one}


def numbers(rng: np.random.Generator, tiles: int) -> Iterator[int]:
    """Ids to ask for, without end."""
    while True:
        yield from rng.integers(1, tiles, 10_000).tolist()


async def load(
    address: str, tiles: int, clients: int, seconds: float, adding: bool, worker: int
) -> dict[str, object]:
    """Ask until the time is up."""
    host, port = address.split(":")
    end = time.monotonic() + seconds
    times: list[float] = []
    searches: list[float] = []
    errors = added = 0
    rng = np.random.default_rng(1)
    wanted = numbers(rng, tiles)

    async def ask(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str
    ) -> bytes:
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"content-length: (\d+)", head).group(1))  # type: ignore[union-attr]
        body = await reader.readexactly(length)
        return body if " 200 " in head[:20] or " 201 " in head[:20] else b""

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, port)
        while time.monotonic() < end:
            path = f"/api/v1/items/{next(wanted)}/similar?k={K}"
            request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"
            started = time.perf_counter()
            body = await ask(reader, writer, request)
            times.append(time.perf_counter() - started)
            found = re.search(rb'"search":([\d.]+)', body)
            if found is None:
                errors += 1
            else:
                searches.append(float(found.group(1)))
        writer.close()

    async def adder() -> None:
        nonlocal added, errors
        reader, writer = await asyncio.open_connection(host, port)
        while time.monotonic() < end:
            items = [{"code": rng.bytes(BITS // 8).hex(), "user_id": f"new-{added}"}]
            text = json.dumps({"items": items})
            request = (
                f"POST /api/v1/items/codes HTTP/1.1\r\nHost: {address}\r\n"
                f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(text)}\r\n\r\n{text}"
            )
            if await ask(reader, writer, request):
                added += 1
            else:
                errors += 1
            await asyncio.sleep(0.05)
        writer.close()

    memory = [memory_mib(worker)]

    async def watcher() -> None:
        for _ in range(SAMPLES):
            await asyncio.sleep(seconds / SAMPLES)
            memory.append(memory_mib(worker))

    await asyncio.gather(
        *(client() for _ in range(clients)), *([adder()] if adding else []), watcher()
    )
    return {
        "requests": len(times),
        "errors": errors,
        "added": added,
        "requests_per_second": round(len(times) / seconds),
        **{f"ms_p{q}": round(float(np.percentile(times, q)) * 1000, 1) for q in (50, 99)},
        **{f"search_ms_p{q}": round(float(np.percentile(searches, q)), 3) for q in (50, 99)},
        "own_memory_mib": [sample["own"] for sample in memory],
        "mapped_files_mib": [sample["files"] for sample in memory],
    }


if __name__ == "__main__":
    main()
