"""Counts by distance: all that the tie-aware metrics need to know of a ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.evaluation import kernels
from terrahash.evaluation.retrieval import Retrieval


@dataclass(frozen=True, eq=False)
class Counts:
    """Gallery items of a block of B queries, by distance in whole units, the query left out.

    Attributes:
        total, relevant: ``(B, U) int64`` items, and relevant items.
        gain: ``(B, U) int64`` labels in common with the query, summed.
        by_gain: ``(B, G) int64`` items with 0, 1, … labels in common, whatever their distance.
    """

    total: NDArray[np.int64]
    relevant: NDArray[np.int64]
    gain: NDArray[np.int64]
    by_gain: NDArray[np.int64]


def count(retrieval: Retrieval, rows: slice) -> Counts:
    """Counts for the queries in ``rows``."""
    hash_unit, label_unit, _ = retrieval.layout.units
    queries = rows.stop - rows.start
    most_gain = retrieval.gallery_labels.shape[1] if retrieval.is_multilabel else 1
    total, relevant, gain = np.zeros((3, queries, retrieval.farthest + 1), np.int64)
    by_gain = np.zeros((queries, most_gain + 1), np.int64)
    kernels.count_by_distance(
        retrieval.query_words[rows],
        retrieval.gallery_words,
        retrieval.label_mask,
        hash_unit,
        label_unit,
        retrieval.query_label_words[rows],
        retrieval.gallery_label_words,
        not retrieval.is_multilabel,
        retrieval.own_rows[rows],
        total,
        relevant,
        gain,
        by_gain,
    )
    return Counts(total, relevant, gain, by_gain)


def pairs_by_distance(retrieval: Retrieval) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``(U,) int64`` pairs of query and gallery item at each distance, and relevant ones."""

    def block(rows: slice) -> NDArray[np.int64]:
        counts = count(retrieval, rows)
        return np.stack([counts.total.sum(axis=0), counts.relevant.sum(axis=0)])

    total, relevant = np.sum(retrieval.in_blocks(block), axis=0)
    return total, relevant
