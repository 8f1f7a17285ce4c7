"""Exact search in plain numpy: the definition of the result, and the path of small archives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.search.matches import Matches
from terrahash.search.ranking import DISTANCE_BITS, Question, to_matches

# Codes compared at a time: their differences and distances stay in the second-level cache.
BLOCK_ROWS = 1 << 14

Chunks = Sequence[NDArray[np.uint8]]
Masks = Sequence[NDArray[np.bool_] | None]


def search_numpy(question: Question, chunks: Chunks, masks: Masks) -> list[Matches]:
    """Search chunks of codes, block by block with a running threshold."""
    layout = question.layout
    found = []
    for number, query in enumerate(question.queries):
        tables = None if question.asymmetric is None else question.asymmetric.tables(number)
        best = _Best(question.k, keep_ties=question.ties)
        for base, block, mask in _blocks(chunks, masks):
            differing = block ^ query
            keys = distance_units(differing, layout)
            eligible = keys <= question.radius
            if mask is not None:
                eligible &= mask
            if tables is not None:
                keys |= scores(differing, tables) << DISTANCE_BITS
            if best.threshold is not None:
                eligible &= keys <= best.threshold
            near = np.flatnonzero(eligible)
            if len(near):
                best.add(keys[near], near + base)
        found.append(to_matches(*best.result(), layout, question.step(number), way="numpy"))
    return found


def distance_units(differing: NDArray[np.uint8], layout: CodeLayout) -> NDArray[np.int64]:
    """Weighted bit counts of ``(n, nbytes)`` differences, ``(n,) int64`` in the layout's units."""
    hash_unit, label_unit, _ = layout.units
    if hash_unit == label_unit:
        return _popcount(differing) * hash_unit
    label_mask = layout.label_mask()
    in_labels = _popcount(differing & label_mask)
    return (_popcount(differing) - in_labels) * hash_unit + in_labels * label_unit


def scores(differing: NDArray[np.uint8], tables: NDArray[np.int64]) -> NDArray[np.int64]:
    """Asymmetric scores of ``(n, nbytes)`` differences, ``(n,) int64`` in the query's steps."""
    total = np.zeros(len(differing), np.int64)
    for byte, table in enumerate(tables):
        total += table[differing[:, byte]]
    return total


def _popcount(differing: NDArray[np.uint8]) -> NDArray[np.int64]:
    nbytes = differing.shape[1]
    for size, word in ((8, np.uint64), (4, np.uint32), (2, np.uint16)):
        if nbytes % size == 0:
            counts = np.bitwise_count(np.ascontiguousarray(differing).view(word))
            break
    else:
        counts = np.bitwise_count(differing)
    total: NDArray[np.int64] = counts.sum(axis=1, dtype=np.int64)
    return total


def _blocks(
    chunks: Chunks, masks: Masks
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_] | None]]:
    base = 0
    for chunk, mask in zip(chunks, masks, strict=True):
        for start in range(0, len(chunk), BLOCK_ROWS):
            stop = start + BLOCK_ROWS
            yield base + start, chunk[start:stop], None if mask is None else mask[start:stop]
        base += len(chunk)


class _Best:
    """The smallest ``k`` (key, row) pairs of rows added in ascending order, and their ties."""

    def __init__(self, k: int | None, *, keep_ties: bool) -> None:
        self.threshold: int | None = -1 if k == 0 else None
        self._k = k
        self._keep_ties = keep_ties
        self._keys: list[NDArray[np.int64]] = []
        self._rows: list[NDArray[np.int64]] = []
        self._held = 0
        self._dropped = 0

    def add(self, keys: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        self._keys.append(keys)
        self._rows.append(rows.astype(np.int64))
        self._held += len(keys)
        if self._k is not None and self._held > 2 * self._k:
            self._shrink(self._k)

    def _shrink(self, k: int) -> None:
        keys, rows = np.concatenate(self._keys), np.concatenate(self._rows)
        threshold = int(np.partition(keys, k - 1)[k - 1])
        if threshold != self.threshold:
            self.threshold, self._dropped = threshold, 0
        keep = keys <= threshold
        if not self._keep_ties:
            at_last = np.flatnonzero(keys == threshold)
            surplus = at_last[k - int((keys < threshold).sum()) :]
            keep[surplus] = False
            self._dropped += len(surplus)
        self._keys, self._rows = [keys[keep]], [rows[keep]]
        self._held = int(keep.sum())

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Ranked keys, their rows, and the number of rows at the last key."""
        if self._k is not None and self._held > self._k:
            self._shrink(self._k)
        if not self._held:
            return np.empty(0, np.int64), np.empty(0, np.int64), 0
        keys, rows = np.concatenate(self._keys), np.concatenate(self._rows)
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], rows[order]
        at_last = int((keys == keys[-1]).sum())
        return keys, rows, at_last + (self._dropped if keys[-1] == self.threshold else 0)
