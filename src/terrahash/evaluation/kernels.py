"""The compiled loops under the metrics.

A Hamming distance takes few values, so all that a tie-aware metric needs of a query is, for each
distance, how many gallery items lie there, how many of them are relevant, and the sum of their
gains (labels shared). No ranking is ever sorted. All kernels release the GIL and run over a block
of queries, so that blocks can share the cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

# Columns of what `base_values` finds for each query; `metrics` turns them into named metrics.
NUMERATOR_K = 0  # E[Σ_{i≤k} r_i·c_i/i]
HITS_K = 1  # E[c_k]
ANY_HIT_K = 2  # P(c_k > 0)
AP_HITS_K = 3  # E[Σ_{i≤k} r_i·c_i/i ÷ c_k]
WAP_K = 4  # E[Σ_{i≤k} r_i·G_i/i ÷ c_k]
DCG_K = 5  # E[Σ_{i≤k} g_i/log₂(1+i)]
NUMERATOR = 6  # E[Σ_i r_i·c_i/i]
RANKS_MPEG7 = 7  # E[Σ rank*] with Kq = min(4·NG, 2·max NG)
RANKS_TWICE = 8  # E[Σ rank*] with Kq = 2·NG
COLUMNS = 9
TOP_COLUMNS = 6  # the columns that depend on the first k ranks only


def compiled(function: Function) -> Function:
    """Compile for the machine, once: the result is kept on disk."""
    return cast(Function, njit(cache=True, nogil=True)(function))


def _count_ones(_context: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


_ones: Any = intrinsic(_count_ones)  # number of set bits of a uint64


@compiled
def gains_of(query_labels: Any, gallery_labels: Any, single: bool, gains: Any) -> None:
    """Labels that each gallery item shares with a query: ``gains (N,) int32``."""
    for row in range(len(gallery_labels)):
        if single:
            gains[row] = 1 if gallery_labels[row, 0] == query_labels[0] else 0
        else:
            shared = np.uint64(0)
            for word in range(len(query_labels)):
                shared += _ones(gallery_labels[row, word] & query_labels[word])
            gains[row] = np.int32(shared)


@compiled
def units_of(
    query: Any, gallery: Any, label_mask: Any, hash_unit: int, label_unit: int, units: Any
) -> None:
    """Distances of a query to all gallery items in whole units: ``units (N,) int32``."""
    if hash_unit == label_unit:
        for row in range(len(gallery)):
            differing = np.uint64(0)
            for word in range(len(query)):
                differing += _ones(gallery[row, word] ^ query[word])
            units[row] = np.int32(differing) * hash_unit
        return
    for row in range(len(gallery)):
        hash_bits = np.uint64(0)
        label_bits = np.uint64(0)
        for word in range(len(query)):
            differing_word = gallery[row, word] ^ query[word]
            hash_bits += _ones(differing_word & ~label_mask[word])
            label_bits += _ones(differing_word & label_mask[word])
        units[row] = np.int32(hash_bits) * hash_unit + np.int32(label_bits) * label_unit


@compiled
def same_words(left: Any, right: Any) -> bool:
    differing = np.uint64(0)
    for word in range(len(left)):
        differing |= left[word] ^ right[word]
    return bool(differing == 0)


@compiled
def count_by_distance(
    queries: Any,
    gallery: Any,
    label_mask: Any,
    hash_unit: int,
    label_unit: int,
    query_labels: Any,
    gallery_labels: Any,
    single: bool,
    self_rows: Any,
    total: Any,
    relevant: Any,
    gain: Any,
    gain_counts: Any,
) -> None:
    """Count gallery items by distance for each query of a block.

    Args:
        queries: ``(B, W) uint64`` words of codes; ``gallery``: ``(N, W) uint64``.
        label_mask: ``(W,) uint64``, ones at the label bits.
        query_labels: ``(B, L) uint64``, ``gallery_labels``: ``(N, L) uint64``.
        single: whether labels are numbers to compare (L = 1) or bits to intersect.
        self_rows: ``(B,) int64``, the gallery row that is the query itself, or −1.
        total, relevant, gain: ``(B, U) int64`` zeros, filled.
        gain_counts: ``(B, G) int64`` zeros, filled: items with 0, 1, … G−1 shared labels.
    """
    size = len(gallery)
    units = np.empty(size, np.int32)
    gains = np.empty(size, np.int32)
    for query in range(len(queries)):
        if query == 0 or not same_words(query_labels[query], query_labels[query - 1]):
            gains_of(query_labels[query], gallery_labels, single, gains)
        units_of(queries[query], gallery, label_mask, hash_unit, label_unit, units)
        for row in range(size):
            total[query, units[row]] += 1
            if gains[row] > 0:
                relevant[query, units[row]] += 1
                gain[query, units[row]] += gains[row]
            gain_counts[query, gains[row]] += 1
        itself = self_rows[query]
        if itself >= 0:
            total[query, units[itself]] -= 1
            if gains[itself] > 0:
                relevant[query, units[itself]] -= 1
                gain[query, units[itself]] -= gains[itself]
            gain_counts[query, gains[itself]] -= 1


@compiled
def _expected_sum(
    size: float,
    relevant: float,
    gain: float,
    before: int,
    relevant_before: float,
    gain_before: float,
    last: int,
    harmonic: Any,
) -> float:
    """``Σ_{t=before+1}^{last} E[r_t·G_t]/t`` inside one group of ties.

    The group follows ``before`` ranks; ``G_t`` is the gain gathered up to rank t. With gains of 0
    and 1 this is the numerator of average precision (``docs/evaluation.md``).
    """
    first = (relevant * gain_before + gain) / size
    step = gain * (relevant - 1) / (size * (size - 1)) if size > 1 else 0.0
    base = first - (before + 1) * step
    return float(base * (harmonic[last] - harmonic[before]) + step * (last - before))


@compiled
def top_values(
    total: Any, relevant: Any, gain: Any, k: int, harmonic: Any, discounts: Any, out: Any
) -> None:
    """Expectations over the first k ranks, from groups of ties in order; fills ``out[:6]``."""
    before = 0
    hits = 0.0
    gains = 0.0
    ap = 0.0
    wap = 0.0
    dcg = 0.0
    for group in range(len(total)):
        size = total[group]
        if size == 0:
            continue
        last = min(k, before + size)
        dcg += gain[group] / size * (discounts[last] - discounts[before])
        room = last - before
        found = float(relevant[group])
        found_gain = float(gain[group])
        if room == size:
            ap += _expected_sum(size, found, found, before, hits, hits, last, harmonic)
            wap += _expected_sum(size, found, found_gain, before, hits, gains, last, harmonic)
            before = last
            hits += found
            gains += found_gain
            if before == k:
                break
            continue
        # The group that straddles rank k: only `room` of its `size` items get in. Given how many
        # of those are relevant, their places are uniform again, so ratios have exact expectations.
        out[NUMERATOR_K] = ap + _expected_sum(
            size, found, found, before, hits, hits, last, harmonic
        )
        out[HITS_K] = hits + found * room / size
        out[DCG_K] = dcg
        fewest = max(0, room - (size - relevant[group]))
        most = min(room, relevant[group])
        ways = _log_choose(size, room)
        no_hit = 0.0
        ap_hits = 0.0
        wap_hits = 0.0
        for drawn in range(fewest, most + 1):
            chance = math.exp(
                _log_choose(relevant[group], drawn)
                + _log_choose(size - relevant[group], room - drawn)
                - ways
            )
            inside = hits + drawn
            if inside == 0:
                no_hit = chance
                continue
            drawn_gain = found_gain * drawn / found if found > 0 else 0.0
            numerator = ap + _expected_sum(room, drawn, drawn, before, hits, hits, last, harmonic)
            weighted = wap + _expected_sum(
                room, drawn, drawn_gain, before, hits, gains, last, harmonic
            )
            ap_hits += chance * numerator / inside
            wap_hits += chance * weighted / inside
        out[ANY_HIT_K] = 1.0 - no_hit
        out[AP_HITS_K] = ap_hits
        out[WAP_K] = wap_hits
        return
    out[NUMERATOR_K] = ap
    out[HITS_K] = hits
    out[DCG_K] = dcg
    out[ANY_HIT_K] = 1.0 if hits > 0 else 0.0
    out[AP_HITS_K] = ap / hits if hits > 0 else 0.0
    out[WAP_K] = wap / hits if hits > 0 else 0.0


@compiled
def _log_choose(size: int, drawn: int) -> float:
    return math.lgamma(size + 1.0) - math.lgamma(drawn + 1.0) - math.lgamma(size - drawn + 1.0)


@compiled
def _rank_sum(size: int, relevant: float, before: int, window: int) -> float:
    """``E[Σ rank*]`` of a group's relevant items; beyond the window a rank counts 1.25·window."""
    inside = min(size, max(0, window - before))
    ranks = inside * (2 * before + inside + 1) / 2.0 + (size - inside) * 1.25 * window
    return float(relevant / size * ranks)


@compiled
def base_values(
    total: Any,
    relevant: Any,
    gain: Any,
    k: int,
    most_relevant: int,
    harmonic: Any,
    discounts: Any,
    out: Any,
) -> None:
    """Fill ``out (B, COLUMNS) float64`` from the counts of `count_by_distance`.

    Args:
        most_relevant: the largest number of relevant items of any query, for ANMRR.
        harmonic: ``(N + 1,) float64``, harmonic numbers from H₀ = 0.
        discounts: ``(k + 1,) float64``, cumulated ``1/log₂(1+i)`` from 0.
    """
    for query in range(len(total)):
        values = out[query]
        top_values(total[query], relevant[query], gain[query], k, harmonic, discounts, values)
        sought = 0
        for group in range(total.shape[1]):
            sought += relevant[query, group]
        mpeg7 = min(4 * sought, 2 * most_relevant)
        before = 0
        hits = 0.0
        for group in range(total.shape[1]):
            size = total[query, group]
            found = float(relevant[query, group])
            if size == 0:
                continue
            if found > 0:
                values[NUMERATOR] += _expected_sum(
                    size, found, found, before, hits, hits, before + size, harmonic
                )
                values[RANKS_MPEG7] += _rank_sum(size, found, before, mpeg7)
                values[RANKS_TWICE] += _rank_sum(size, found, before, 2 * sought)
                hits += found
            before += size


@compiled
def add_curves(total: Any, relevant: Any, ranks: Any, by_distance: Any, by_rank: Any) -> None:
    """Add a block of queries to the sums behind the precision–recall curves.

    Args:
        ranks: ``(P,) int64`` ascending, from 1 to at most the ranks of a query.
        by_distance: ``(5, U) float64``; for each distance the sums over queries of: items at it,
            relevant items at it, precision within it, recall within it, and queries with any
            item within it.
        by_rank: ``(2, P) float64``; the sums of expected precision and recall after each rank.
    """
    for query in range(len(total)):
        sought = 0
        for group in range(total.shape[1]):
            sought += relevant[query, group]
        before = 0
        hits = 0
        point = 0
        for group in range(total.shape[1]):
            size = total[query, group]
            found = relevant[query, group]
            while point < len(ranks) and ranks[point] <= before + size:
                expected = hits + (found * (ranks[point] - before) / size if size > 0 else 0.0)
                by_rank[0, point] += expected / ranks[point]
                if sought > 0:
                    by_rank[1, point] += expected / sought
                point += 1
            before += size
            hits += found
            by_distance[0, group] += size
            by_distance[1, group] += found
            if before > 0:
                by_distance[2, group] += hits / before
                by_distance[4, group] += 1
            if sought > 0:
                by_distance[3, group] += hits / sought


@compiled
def first_rows(
    queries: Any,
    gallery: Any,
    label_mask: Any,
    hash_unit: int,
    label_unit: int,
    counts: int,
    out: Any,
) -> None:
    """Fill ``out (B, depth) int64`` with gallery rows by (distance, row); ``counts``: distances."""
    size = len(gallery)
    depth = out.shape[1]
    units = np.empty(size, np.int32)
    for query in range(len(queries)):
        units_of(queries[query], gallery, label_mask, hash_unit, label_unit, units)
        places = np.zeros(counts + 1, np.int64)
        for row in range(size):
            places[units[row] + 1] += 1
        for distance in range(counts):
            places[distance + 1] += places[distance]
        for row in range(size):
            place = places[units[row]]
            places[units[row]] += 1
            if place < depth:
                out[query, place] = row
