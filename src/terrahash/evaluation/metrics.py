"""Retrieval metrics on bare codes, exact under ties.

Codes of a few bits tie all the time, and the order of tied items moves mAP by points. Every value
here is the expectation over all orders of tied items (He, Cakir, Bargal and Sclaroff, CVPR 2018,
arXiv 1705.08562), so it depends on the codes alone and not on the order in which
a data set happens to be stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.evaluation import kernels
from terrahash.evaluation.asymmetric import asymmetric_values
from terrahash.evaluation.counting import count
from terrahash.evaluation.retrieval import Retrieval
from terrahash.search.ranking import Asymmetric

TIE_RULE = "expectation over all orders of tied items"
# Hamming radius of the classic lookup measure "precision within radius 2".
LOOKUP_RADIUS = 2
# Points of the curve by rank: every rank up to here, logarithmic steps beyond.
DENSE_RANKS = 100
SPARSE_RANKS = 100

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """Precision and recall, and how distances are spread, each averaged over the queries.

    Attributes:
        distances: ``(D,) float64`` distances at which any gallery item lies, ascending.
        same, different: ``(D,) int64`` pairs of query and gallery item at each distance that
            share a label, and that share none.
        precision_within, recall_within: ``(D,) float64`` within each distance; precision over the
            queries that find anything so near.
        answered_within: ``(D,) float64`` share of the queries that find anything so near.
        ranks: ``(P,) int64`` ascending.
        precision_at, recall_at: ``(P,) float64`` after each of those ranks.
    """

    distances: Floats
    same: NDArray[np.int64]
    different: NDArray[np.int64]
    precision_within: Floats
    recall_within: Floats
    answered_within: Floats
    ranks: NDArray[np.int64]
    precision_at: Floats
    recall_at: Floats


@dataclass(frozen=True, eq=False)
class Metrics:
    """Means over all queries; a query without relevant items counts as 0.

    r_i is the relevance at rank i, c_i = Σ_{j≤i} r_j, R the relevant items of the gallery.

    Attributes:
        k: the cut-off.
        n_queries, n_database: sizes; the query itself is not counted out of the latter.
        n_queries_without_relevant: queries with R = 0.
        map_at_k: AP@k = Σ_{i≤k} r_i·c_i/i ÷ min(k, R).
        map_at_k_over_k: the same sum ÷ k.
        map_at_k_over_relevant: the same sum ÷ R.
        map_at_k_hits: the same sum ÷ c_k, the usual value in papers; here its exact expectation.
        map: AP over the full ranking, ÷ R.
        map_at_k_weighted: for label sets, average cumulative gain at the hits, ÷ c_k; else None.
        precision_at_k, recall_at_k: c_k/k and c_k/R.
        hit_at_k: share of queries with a relevant item among the first k.
        ndcg_at_k: with gain = labels shared and discount log₂(1 + i).
        anmrr: MPEG-7's rank measure with Kq = min(4R, 2·max R); 0 is best. Over queries with R > 0.
        anmrr_2r: the same with Kq = 2R, as in some remote-sensing papers.
        precision_radius_2: precision within Hamming radius 2; 0 for a query that finds nothing.
        failed_radius_2: share of queries that find nothing within radius 2.
        map_at_k_asymmetric: AP@k ÷ min(k, R) under asymmetric ranking; None without magnitudes.
        ap_at_k: ``(Q,) float64``, what ``map_at_k`` is the mean of.
        curves: the curves.
    """

    k: int
    n_queries: int
    n_database: int
    n_queries_without_relevant: int
    map_at_k: float
    map_at_k_over_k: float
    map_at_k_over_relevant: float
    map_at_k_hits: float
    map: float
    map_at_k_weighted: float | None
    precision_at_k: float
    recall_at_k: float
    hit_at_k: float
    ndcg_at_k: float
    anmrr: float | None
    anmrr_2r: float | None
    precision_radius_2: float
    failed_radius_2: float
    map_at_k_asymmetric: float | None
    ap_at_k: Floats
    curves: Curves


def measure(
    retrieval: Retrieval, *, k: int, magnitudes: NDArray[np.float32] | None = None
) -> Metrics:
    """All metrics of a retrieval experiment.

    Args:
        retrieval: queries, gallery and labels.
        k: the cut-off.
        magnitudes: ``(Q, bits) float32`` ≥ 0, what a differing bit costs each query, for
            asymmetric ranking; None leaves it out.

    Raises:
        InputError: if k is beyond the gallery or the magnitudes do not fit the queries.
    """
    retrieval.check_k(k)
    values, lookups, gain_counts, curves = _count(retrieval, k)
    relevant = gain_counts[:, 1:].sum(axis=1)
    numerator = values[:, kernels.NUMERATOR_K]
    ap_at_k = _ratio(numerator, np.minimum(k, relevant))
    asymmetric = None
    if magnitudes is not None:
        top = _asymmetric(retrieval, magnitudes, k)
        asymmetric = _mean(_ratio(top[:, kernels.NUMERATOR_K], np.minimum(k, relevant)))
    retrieved, hits = lookups.T
    return Metrics(
        k=k,
        n_queries=len(retrieval.query_codes),
        n_database=len(retrieval.gallery_codes),
        n_queries_without_relevant=int((relevant == 0).sum()),
        map_at_k=_mean(ap_at_k),
        map_at_k_over_k=_mean(numerator / k),
        map_at_k_over_relevant=_mean(_ratio(numerator, relevant)),
        map_at_k_hits=_mean(values[:, kernels.AP_HITS_K]),
        map=_mean(_ratio(values[:, kernels.NUMERATOR], relevant)),
        map_at_k_weighted=_mean(values[:, kernels.WAP_K]) if retrieval.is_multilabel else None,
        precision_at_k=_mean(values[:, kernels.HITS_K] / k),
        recall_at_k=_mean(_ratio(values[:, kernels.HITS_K], relevant)),
        hit_at_k=_mean(values[:, kernels.ANY_HIT_K]),
        ndcg_at_k=_mean(_ratio(values[:, kernels.DCG_K], _ideal_dcg(gain_counts, k))),
        anmrr=_anmrr(
            values[:, kernels.RANKS_MPEG7], relevant, np.minimum(4 * relevant, 2 * relevant.max())
        ),
        anmrr_2r=_anmrr(values[:, kernels.RANKS_TWICE], relevant, 2 * relevant),
        precision_radius_2=_mean(_ratio(hits, retrieved)),
        failed_radius_2=_mean(retrieved == 0),
        map_at_k_asymmetric=asymmetric,
        ap_at_k=ap_at_k,
        curves=curves,
    )


def _count(
    retrieval: Retrieval, k: int
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], Curves]:
    """Per query: base values, (items, relevant items) within the lookup radius, items by gain."""
    denominator = retrieval.layout.units[2]
    most_relevant = _most_relevant(retrieval)
    harmonic, discounts = _tables(len(retrieval.gallery_codes), k)
    ranks = _curve_ranks(retrieval.ranks)
    near = slice(0, LOOKUP_RADIUS * denominator + 1)

    def block(rows: slice) -> tuple[NDArray[Any], ...]:
        counts = count(retrieval, rows)
        total, relevant = counts.total, counts.relevant
        values = np.zeros((len(total), kernels.COLUMNS))
        kernels.base_values(
            total, relevant, counts.gain, k, most_relevant, harmonic, discounts, values
        )
        by_distance = np.zeros((5, total.shape[1]))
        by_rank = np.zeros((2, len(ranks)))
        kernels.add_curves(total, relevant, ranks, by_distance, by_rank)
        lookups = np.stack([total[:, near].sum(axis=1), relevant[:, near].sum(axis=1)], axis=1)
        return values, lookups, counts.by_gain, by_distance, by_rank

    parts = retrieval.in_blocks(block)
    values, lookups, gain_counts = (
        np.concatenate([part[place] for part in parts]) for place in range(3)
    )
    by_distance, by_rank = (np.sum([part[place] for part in parts], axis=0) for place in (3, 4))
    curves = _curves(by_distance, by_rank, ranks, len(values), denominator)
    return values, lookups, gain_counts, curves


def _most_relevant(retrieval: Retrieval) -> int:
    """The largest number of relevant items of any query, itself left out."""
    most = 0
    own = retrieval.own_rows
    if not retrieval.is_multilabel:
        counts = np.bincount(retrieval.gallery_labels)
        labels = np.minimum(retrieval.query_labels, len(counts))
        itself = own >= 0
        itself[itself] = retrieval.gallery_labels[own[itself]] == labels[itself]
        return int((np.append(counts, 0)[labels] - itself).max())
    gallery = retrieval.gallery_labels.astype(np.float32)
    for start in range(0, len(own), 1024):
        rows = slice(start, start + 1024)
        shares = retrieval.query_labels[rows].astype(np.float32) @ gallery.T > 0
        within = np.flatnonzero(own[rows] >= 0)
        shares[within, own[rows][within]] = False
        most = max(most, int(shares.sum(axis=1).max()))
    return most


def _asymmetric(retrieval: Retrieval, magnitudes: NDArray[np.float32], k: int) -> Floats:
    steps = Asymmetric.of(magnitudes, len(retrieval.query_codes), retrieval.layout).steps
    hash_unit, label_unit, _ = retrieval.layout.units
    codes, code_of = np.unique(retrieval.gallery_codes, axis=0, return_inverse=True)
    code_of = code_of.reshape(-1).astype(np.int64)
    members = np.argsort(code_of, kind="stable")
    starts = np.searchsorted(code_of[members], np.arange(len(codes) + 1))
    code_words = retrieval.gallery_words[members[starts[:-1]]]
    harmonic, discounts = _tables(len(retrieval.gallery_codes), k)
    query_codes = np.ascontiguousarray(retrieval.query_codes)

    def block(rows: slice) -> Floats:
        values = np.zeros((rows.stop - rows.start, kernels.TOP_COLUMNS))
        asymmetric_values(
            query_codes[rows],
            retrieval.query_words[rows],
            steps[rows],
            codes,
            code_words,
            retrieval.label_mask,
            hash_unit,
            label_unit,
            members,
            starts,
            code_of,
            retrieval.query_label_words[rows],
            retrieval.gallery_label_words,
            not retrieval.is_multilabel,
            retrieval.own_rows[rows],
            k,
            harmonic,
            discounts,
            values,
        )
        return values

    return np.concatenate(retrieval.in_blocks(block))


def _tables(size: int, k: int) -> tuple[Floats, Floats]:
    """Harmonic numbers ``(size + 1,)`` and cumulated DCG discounts ``(k + 1,)``, both from 0."""
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, size + 1))])
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    return harmonic, discounts


def _curve_ranks(ranks: int) -> NDArray[np.int64]:
    dense = np.arange(1, min(DENSE_RANKS, ranks) + 1)
    sparse = np.geomspace(1, ranks, SPARSE_RANKS).round().astype(np.int64)
    return np.union1d(dense, sparse).astype(np.int64)


def _curves(
    by_distance: Floats, by_rank: Floats, ranks: NDArray[np.int64], queries: int, denominator: int
) -> Curves:
    seen = np.flatnonzero(by_distance[0] > 0)
    items, relevant, precision, recall, answered = by_distance[:, seen]
    return Curves(
        distances=seen / denominator,
        same=relevant.astype(np.int64),
        different=(items - relevant).astype(np.int64),
        precision_within=precision / answered,
        recall_within=recall / queries,
        answered_within=answered / queries,
        ranks=ranks,
        precision_at=by_rank[0] / queries,
        recall_at=by_rank[1] / queries,
    )


def _ideal_dcg(gain_counts: NDArray[np.int64], k: int) -> Floats:
    """DCG@k of the best order, ``(Q,) float64``, from the items of each gain ``(Q, G)``."""
    _, discounts = _tables(1, k)
    ideal = np.zeros(len(gain_counts))
    placed = np.zeros(len(gain_counts), np.int64)
    for gain in range(gain_counts.shape[1] - 1, 0, -1):
        until = np.minimum(k, placed + gain_counts[:, gain])
        ideal += gain * (discounts[until] - discounts[placed])
        placed = until
    return ideal


def _anmrr(
    rank_sums: Floats, relevant: NDArray[np.int64], windows: NDArray[np.int64]
) -> float | None:
    """Average normalised modified retrieval rank (MPEG-7; ``docs/evaluation.md``)."""
    asked = relevant > 0
    if not asked.any():
        return None
    sought, window = relevant[asked], windows[asked]
    best = 0.5 * (1 + sought)
    modified = rank_sums[asked] / sought - best
    return _mean(modified / (1.25 * window - best))


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """Quotient with 0 where the divisor is 0."""
    quotient = np.zeros(len(above))
    np.divide(above, below, out=quotient, where=np.asarray(below) > 0)
    return quotient


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values))
