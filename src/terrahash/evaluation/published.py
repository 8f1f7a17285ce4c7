"""The metrics of published code that are not what their papers call them .

They are here so that a reader can hold our honest numbers against published ones, each named as
what it is; nothing is ever chosen by them. All depend on the order in which the data set is stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.evaluation import kernels
from terrahash.evaluation.retrieval import Retrieval

# Column name ► what it is, for table headings and documentation.
PUBLISHED = {
    "mhcln_map_at_k_index_ties": (
        "MHCLN's mAP@k: hits denominator, ties broken by data set order, which is class by class"
    ),
    "hpsh_first_neighbour_map_at_k": (
        "HPSH's mAP@k: agreement of neighbours 2…k+1 with neighbour 1, not with the query"
    ),
    "dhcl_running_hit_rate_at_k": (
        "DHCL's MAP@k: hit rate at k averaged over the queries so far, rank 0 taken for the query"
    ),
    "fah_map_at_k_query_included": (
        "FAH's mAP@k: denominator k, the query left in its own gallery as a free hit"
    ),
}


def published_metrics(retrieval: Retrieval, *, k: int) -> dict[str, float | None]:
    """The metrics of :data:`PUBLISHED` for a retrieval experiment.

    HPSH's needs k + 1 neighbours and FAH's a query that is in the gallery; where a metric is not
    defined it is None. DHCL's code lets ``torch.topk`` break ties, in no certain order; here they
    are broken by data set order.

    Raises:
        InputError: if k is below 1 or beyond the gallery.
    """
    retrieval.check_k(k)
    included = bool((retrieval.own_rows >= 0).all())
    rows = _first_rows(retrieval, min(k + 2, len(retrieval.gallery_codes)))
    others = _without_query(rows, retrieval.own_rows)
    seen_by_dhcl = rows[:, 1 : k + 1] if included else rows[:, :k]
    return {
        "mhcln_map_at_k_index_ties": _ap_over_hits(_relevance(retrieval, others[:, :k])),
        "hpsh_first_neighbour_map_at_k": (
            _first_neighbour(retrieval, others[:, : k + 1]) if retrieval.ranks > k else None
        ),
        "dhcl_running_hit_rate_at_k": running_hit_rate(
            np.asarray(_relevance(retrieval, seen_by_dhcl).any(axis=1))
        ),
        "fah_map_at_k_query_included": (
            float((_precision_sums(_relevance(retrieval, rows[:, :k])) / k).mean())
            if included
            else None
        ),
    }


def running_hit_rate(hit: NDArray[np.bool_]) -> float:
    """DHCL's ``calc_map_at_k0``: (1/Q) Σ over hits of (hits so far ÷ queries so far)."""
    so_far = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float((so_far * hit).mean())


def _first_rows(retrieval: Retrieval, depth: int) -> NDArray[np.int64]:
    """``(Q, depth) int64`` gallery rows by (distance, row), the query itself among them."""
    hash_unit, label_unit, _ = retrieval.layout.units

    def block(rows: slice) -> NDArray[np.int64]:
        first = np.empty((rows.stop - rows.start, depth), np.int64)
        kernels.first_rows(
            retrieval.query_words[rows],
            retrieval.gallery_words,
            retrieval.label_mask,
            hash_unit,
            label_unit,
            retrieval.farthest + 1,
            first,
        )
        return first

    return np.asarray(np.vstack(retrieval.in_blocks(block)))


def _without_query(rows: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows less each query's own; where that is not among them, less the last."""
    if (own < 0).all():
        return rows
    keep = rows != own[:, None]
    keep[keep.all(axis=1), -1] = False
    return np.asarray(rows[keep]).reshape(len(rows), -1)


def _relevance(retrieval: Retrieval, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return _shared(retrieval.query_labels[:, None], retrieval.gallery_labels[rows])


def _first_neighbour(retrieval: Retrieval, rows: NDArray[np.int64]) -> float:
    labels = retrieval.gallery_labels[rows]
    return _ap_over_hits(_shared(labels[:, :1], labels[:, 1:]))


def _shared(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    """Same label, or a label in common: ``(Q, n)`` labels or ``(Q, n, C)`` label sets."""
    if right.ndim == 2:
        return np.asarray(left == right)
    return np.asarray((left & right).any(axis=-1))


def _precision_sums(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``(Q,) float64``, Σ r_i·c_i/i."""
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1))


def _ap_over_hits(hits: NDArray[np.bool_]) -> float:
    found = hits.sum(axis=1)
    sums = _precision_sums(hits)
    return float(np.divide(sums, found, out=np.zeros(len(sums)), where=found > 0).mean())
