"""What one round of marked hits is worth: mAP@20 before and after refining the query.

    python benchmarks/refine.py codes.npz --choose     # weights by the validation queries
    python benchmarks/refine.py codes.npz              # measured on the test queries

``codes.npz`` holds ``codes (N, nbytes) uint8``, ``labels (N,)``, ``roles (N,)`` of "train", "val"
and "test", ``layout`` (the layout's JSON) and, if it should start from them, ``magnitudes (N,
bits)``. Each query searches the other codes of its role, by its magnitudes where there are some.
A simulated user looks at the first 50 hits and marks the first 3 of the query's class and the first
3 of other classes (fewer where there are fewer). Marked hits are taken out of the ranking for both
figures, so that the gain is not that of marking: mAP@20 is over the hits nobody has judged yet,
with denominator min(20, relevant) and ties in the order of the search, (score, distance, row), over
rows that a seed has shuffled.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.search import refine, search

K = 20
LOOKED_AT = 50
MARKED = 3
SEED = 0


@dataclass
class Split:
    codes: NDArray[np.uint8]
    labels: NDArray[Any]
    magnitudes: NDArray[np.float32] | None
    layout: CodeLayout


def load(path: Path, role: str) -> Split:
    stored = np.load(path)
    rows = np.flatnonzero(stored["roles"] == role)
    np.random.default_rng(SEED).shuffle(rows)
    magnitudes = stored["magnitudes"][rows] if "magnitudes" in stored else None
    layout = CodeLayout.from_json(json.loads(str(stored["layout"])))
    return Split(stored["codes"][rows], stored["labels"][rows], magnitudes, layout)


def average_precision(relevant: NDArray[np.bool_], total: int) -> float:
    hits = np.flatnonzero(relevant[:K])
    return float((np.arange(1, len(hits) + 1) / (hits + 1)).sum() / max(1, min(K, total)))


def measure(split: Split, weights: tuple[float, float, float]) -> tuple[float, float]:
    """mAP@20 before and after refining."""
    before, after = [], []
    n = len(split.codes)
    for query in range(n):
        code = split.codes[query : query + 1]
        magnitudes = None if split.magnitudes is None else split.magnitudes[query : query + 1]
        (first,) = search([split.codes], code, split.layout, k=n, magnitudes=magnitudes)
        rows = first.rows[first.rows != query]
        same = split.labels[rows] == split.labels[query]
        positives = rows[:LOOKED_AT][same[:LOOKED_AT]][:MARKED]
        negatives = rows[:LOOKED_AT][~same[:LOOKED_AT]][:MARKED]
        refined = refine(
            split.layout,
            query=code,
            magnitudes=magnitudes,
            positives=split.codes[positives],
            negatives=split.codes[negatives],
            query_weight=weights[0],
            positive_weight=weights[1],
            negative_weight=weights[2],
        )
        (second,) = search(
            [split.codes], refined.code, split.layout, k=n, magnitudes=refined.magnitudes
        )
        known = np.concatenate([[query], positives, negatives])
        total = int(same.sum()) - len(positives)
        for ranking, found in ((first.rows, before), (second.rows, after)):
            unseen = ranking[~np.isin(ranking, known)]
            relevant = split.labels[unseen] == split.labels[query]
            found.append(average_precision(relevant, total))
    return float(np.mean(before)), float(np.mean(after))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("codes", type=Path)
    parser.add_argument("--choose", action="store_true", help="try weights on the val queries")
    parser.add_argument("--weights", type=float, nargs=3, default=(1.0, 1.0, 1.0))
    arguments = parser.parse_args()
    role = "val" if arguments.choose else "test"
    split = load(arguments.codes, role)
    if not len(split.codes):
        raise SystemExit(f"{arguments.codes} has no codes of the role '{role}'")
    grid = (
        product((1.0,), (0.5, 0.75, 1.0, 2.0), (0.0, 0.25, 0.5, 1.0))
        if arguments.choose
        else [tuple(arguments.weights)]
    )
    for weights in grid:
        before, after = measure(split, weights)
        result = {
            "role": role,
            "queries": len(split.codes),
            "bits": split.layout.bits,
            "weights": weights,
            "marked": [MARKED, MARKED],
            "map_at_20_unseen": round(before, 4),
            "map_at_20_unseen_refined": round(after, 4),
            "seed": SEED,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
