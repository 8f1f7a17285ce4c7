"""AHCL's discrete step, timed: the linear term, and one sweep over all bits.

    python benchmarks/discrete_step.py                       # 10,000 items, 2,000 queries, 64 bits
    python benchmarks/discrete_step.py --items 100000

Random activations and one of 30 classes an item; wall and processor seconds are medians.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from terrahash.encoder.learned import linear_term, sweep

CLASSES = 30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    targets = np.eye(CLASSES, dtype=bool)[rng.integers(0, CLASSES, chosen.items)]
    queries = rng.choice(chosen.items, chosen.queries, replace=False)
    activations = rng.uniform(-1, 1, (chosen.queries, chosen.bits)).astype(np.float32)
    start = rng.choice(np.float32([-1, 1]), (chosen.bits, chosen.items))
    times = np.empty((chosen.rounds, 2, 2))
    for one in times:
        before = time.perf_counter(), time.process_time()
        linear = linear_term(activations, targets[queries], targets, 1 / CLASSES)
        between = time.perf_counter(), time.process_time()
        changed = sweep(start.copy(), linear, activations.T @ activations)
        after = time.perf_counter(), time.process_time()
        one[:] = np.subtract(between, before), np.subtract(after, between)
    print(
        f"{chosen.items:,} items, {chosen.queries:,} queries, {chosen.bits} bits, numpy "
        f"{np.__version__}; the sweep changes {changed:,} of {start.size:,} bits"
    )
    for name, (wall, processor) in zip(("linear term", "sweep"), np.median(times, 0), strict=True):
        print(f"{name:12} {wall * 1e3:8.1f} ms, {processor * 1e3:8.1f} ms of processor time")


if __name__ == "__main__":
    main()
