"""Time and memory of all metrics: 10,000 queries against 10,000 codes at k = 20.

    python benchmarks/evaluation.py [images] [bits]

The first run compiles the kernels and keeps them on disk; "first" is then what a fresh process
needs, "again" what a second evaluation in the same process needs.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np

from terrahash.codes import CodeLayout, pack
from terrahash.evaluation.evaluator import evaluate_codes, versions
from terrahash.evaluation.retrieval import Retrieval
from terrahash.machine import available_cores

CLASSES, FLIPS, LABEL_BITS, K = 30, 0.12, 5, 20


def experiment(images: int, bits: int) -> tuple[Retrieval, np.ndarray]:
    """Clustered codes as trained encoders make them, stored class by class, each image asking."""
    random = np.random.default_rng(0)
    labels = np.sort(random.integers(0, CLASSES, images))
    centres = random.random((CLASSES, bits)) < 0.5
    codes = pack(centres[labels] ^ (random.random((images, bits)) < FLIPS))
    magnitudes = np.abs(random.normal(size=(images, bits))).astype(np.float32)
    layout = CodeLayout(bits - LABEL_BITS, LABEL_BITS)
    return Retrieval.within(codes, labels, layout), magnitudes


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    bits = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    retrieval, magnitudes = experiment(images, bits)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        report = evaluate_codes(retrieval, k=K, magnitudes=magnitudes)
        seconds.append(time.perf_counter() - started)
    result = {
        "images": images,
        "bits": bits,
        "k": K,
        "threads": available_cores(),
        "seconds_first": round(seconds[0], 3),
        "seconds_again": round(float(np.median(seconds[1:])), 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "map_at_k": round(report.metrics.map_at_k, 6),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
