"""The compiled loop of asymmetric ranking: order by Σ|u_k| over differing bits, then distance.

Images of equal code always rank equally, so only the distinct codes of the gallery are scored.
Magnitudes are whole numbers, as in a search, so equal sums are equal
(:mod:`terrahash.search.ranking`). numba renews its cache when the file of a function changes, not
when one it calls does: after a change in ``kernels.py``, touch this file too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from terrahash.evaluation.kernels import compiled, gains_of, same_words, top_values, units_of


@compiled
def _after(left: int, right: int, scores: Any, units: Any) -> bool:
    """Whether code ``left`` ranks strictly after code ``right`` by (score, distance)."""
    if scores[left] != scores[right]:
        return bool(scores[left] > scores[right])
    return bool(units[left] > units[right])


@compiled
def _sift(heap: Any, place: int, size: int, scores: Any, units: Any) -> None:
    """Move an entry down until no entry below it ranks after it: the last rank is at the top."""
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _after(heap[child + 1], heap[child], scores, units):
            child += 1
        if not _after(heap[child], heap[place], scores, units):
            return
        heap[place], heap[child] = heap[child], heap[place]
        place = child


@compiled
def _best_codes(sizes: Any, k: int, scores: Any, units: Any, heap: Any) -> int:
    """Put the codes that hold the first k items, ties included, into ``heap`` in order.

    Args:
        sizes: ``(D,) int64``, gallery items of each code; codes of none are passed over.
        heap: ``(D,) int64`` scratch.

    Returns:
        How many there are.
    """
    kept = 0
    for code in range(len(sizes)):
        if sizes[code] == 0:
            continue
        if kept < k:
            heap[kept] = code
            kept += 1
            if kept == k:
                for place in range(k // 2 - 1, -1, -1):
                    _sift(heap, place, k, scores, units)
        elif _after(heap[0], code, scores, units):
            heap[0] = code
            _sift(heap, 0, k, scores, units)
    if kept == k:
        last = heap[0]
        kept = 0
        for code in range(len(sizes)):
            if sizes[code] > 0 and not _after(code, last, scores, units):
                heap[kept] = code
                kept += 1
    for place in range(kept // 2 - 1, -1, -1):
        _sift(heap, place, kept, scores, units)
    for end in range(kept - 1, 0, -1):
        heap[0], heap[end] = heap[end], heap[0]
        _sift(heap, 0, end, scores, units)
    return kept


@compiled
def asymmetric_values(
    query_bytes: Any,
    query_words: Any,
    steps: Any,
    code_bytes: Any,
    code_words: Any,
    label_mask: Any,
    hash_unit: int,
    label_unit: int,
    members: Any,
    starts: Any,
    code_of: Any,
    query_labels: Any,
    gallery_labels: Any,
    single: bool,
    self_rows: Any,
    k: int,
    harmonic: Any,
    discounts: Any,
    out: Any,
) -> None:
    """Fill ``out (B, TOP_COLUMNS)`` for the ranking by (Σ|u_k| over differing bits, distance).

    Args:
        query_bytes, query_words: ``(B, nbytes) uint8`` and ``(B, W) uint64`` of the same codes.
        steps: ``(B, 8 * nbytes) int64``, what each differing bit adds to the score.
        code_bytes, code_words: ``(D, nbytes)`` and ``(D, W)``, the gallery's distinct codes.
        members, starts: ``(N,)`` and ``(D + 1,) int64``, the gallery rows of each distinct code.
        code_of: ``(N,) int64``, the distinct code of each gallery row.
    """
    count, width = code_bytes.shape
    gains = np.empty(len(gallery_labels), np.int32)
    costs = np.zeros((width, 256), np.int64)
    scores = np.empty(count, np.int64)
    units = np.empty(count, np.int32)
    ranked = np.empty(count, np.int64)
    sizes = starts[1:] - starts[:-1]
    total, relevant, gain = np.empty((3, count), np.int64)
    for query in range(len(query_bytes)):
        if query == 0 or not same_words(query_labels[query], query_labels[query - 1]):
            gains_of(query_labels[query], gallery_labels, single, gains)
        units_of(query_words[query], code_words, label_mask, hash_unit, label_unit, units)
        for byte in range(width):
            for value in range(1, 256):
                lowest = 0
                while not (value >> lowest) & 1:
                    lowest += 1
                cost = steps[query, byte * 8 + 7 - lowest]
                costs[byte, value] = costs[byte, value & (value - 1)] + cost
        for code in range(count):
            score = 0
            for byte in range(width):
                score += costs[byte, query_bytes[query, byte] ^ code_bytes[code, byte]]
            scores[code] = score
        itself = self_rows[query]
        if itself >= 0:
            sizes[code_of[itself]] -= 1
        near = _best_codes(sizes, k, scores, units, ranked)
        if itself >= 0:
            sizes[code_of[itself]] += 1
        groups = 0
        for place in range(near):
            code = ranked[place]
            if place == 0 or _after(code, ranked[place - 1], scores, units):
                total[groups] = relevant[groups] = gain[groups] = 0
                groups += 1
            for member in range(starts[code], starts[code + 1]):
                row = members[member]
                if row == itself:
                    continue
                total[groups - 1] += 1
                if gains[row] > 0:
                    relevant[groups - 1] += 1
                    gain[groups - 1] += gains[row]
        top_values(
            total[:groups], relevant[:groups], gain[:groups], k, harmonic, discounts, out[query]
        )
