"""Metrics in the plainest Python, for one given ranking: what the fast ones are tested against."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from math import log2
from typing import Any

import numpy as np

from terrahash.codes import distances
from terrahash.evaluation.retrieval import Retrieval


def gains(retrieval: Retrieval) -> np.ndarray:
    """(Q, N) labels in common."""
    queries, gallery = retrieval.query_labels, retrieval.gallery_labels
    if queries.ndim == 1:
        return (queries[:, None] == gallery).astype(int)
    return queries.astype(int) @ gallery.T.astype(int)


def candidates(retrieval: Retrieval, query: int) -> list[int]:
    itself = -1 if retrieval.self_rows is None else int(retrieval.self_rows[query])
    return [row for row in range(len(retrieval.gallery_codes)) if row != itself]


def hamming(retrieval: Retrieval) -> np.ndarray:
    return distances(retrieval.query_codes, retrieval.gallery_codes, retrieval.layout)


def groups(keys: list[Any], rows: list[int]) -> list[list[int]]:
    """Rows of equal key together, by ascending key."""
    return [
        [row for key, row in zip(keys, rows, strict=True) if key == value]
        for value in sorted(set(keys))
    ]


def all_orders(tied: list[list[int]]) -> Iterator[list[int]]:
    for orders in product(*(permutations(group) for group in tied)):
        yield [row for group in orders for row in group]


def random_orders(tied: list[list[int]], count: int, seed: int) -> Iterator[list[int]]:
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield [int(row) for group in tied for row in random.permutation(group)]


def scores(gain: list[int], k: int, most_relevant: int) -> dict[str, float]:
    """Every metric of one query's ranking, given the gains in order."""
    relevant = [int(value > 0) for value in gain]
    sought = sum(relevant)
    found = sum(relevant[:k])
    numerator = sum(
        relevant[i] * sum(relevant[: i + 1]) / (i + 1) for i in range(min(k, len(gain)))
    )
    full = sum(relevant[i] * sum(relevant[: i + 1]) / (i + 1) for i in range(len(gain)))
    weighted = sum(relevant[i] * sum(gain[: i + 1]) / (i + 1) for i in range(k))
    dcg = sum(gain[i] / log2(i + 2) for i in range(k))
    ideal = sum(value / log2(i + 2) for i, value in enumerate(sorted(gain, reverse=True)[:k]))
    return {
        "map_at_k": numerator / min(k, sought) if sought else 0.0,
        "map_at_k_over_k": numerator / k,
        "map_at_k_over_relevant": numerator / sought if sought else 0.0,
        "map_at_k_hits": numerator / found if found else 0.0,
        "map_at_k_weighted": weighted / found if found else 0.0,
        "map": full / sought if sought else 0.0,
        "precision_at_k": found / k,
        "recall_at_k": found / sought if sought else 0.0,
        "hit_at_k": float(found > 0),
        "ndcg_at_k": dcg / ideal if ideal else 0.0,
        "anmrr": nmrr(relevant, min(4 * sought, 2 * most_relevant)),
        "anmrr_2r": nmrr(relevant, 2 * sought),
    }


def nmrr(relevant: list[int], window: int) -> float:
    sought = sum(relevant)
    if not sought:
        return float("nan")
    ranks = [
        rank if rank <= window else 1.25 * window
        for rank, value in enumerate(relevant, start=1)
        if value
    ]
    best = 0.5 * (1 + sought)
    return (sum(ranks) / sought - best) / (1.25 * window - best)


def expected(
    retrieval: Retrieval, k: int, *, orders: int | None = None, keys: np.ndarray | None = None
) -> dict[str, float]:
    """Means over queries of means over all orders of ties, or over a number of random ones.

    Args:
        keys: (Q, N) what to rank by, smallest first; by default the Hamming distance.
    """
    by = hamming(retrieval) if keys is None else keys
    gain = gains(retrieval)
    rows = [candidates(retrieval, query) for query in range(len(gain))]
    most = max(sum(gain[query, row] > 0 for row in rows[query]) for query in range(len(gain)))
    means = []
    for query in range(len(gain)):
        tied = groups([by[query, row] for row in rows[query]], rows[query])
        ranked = all_orders(tied) if orders is None else random_orders(tied, orders, query)
        each = [scores([int(gain[query, row]) for row in order], k, most) for order in ranked]
        means.append({name: np.mean([one[name] for one in each]) for name in each[0]})
    values = {name: np.array([one[name] for one in means]) for name in means[0]}
    defined = {name: value[~np.isnan(value)] for name, value in values.items()}
    return {
        name: float(value.mean()) if len(value) else float("nan") for name, value in defined.items()
    }
