"""The scan: every code is read once, by compiled kernels on several threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.search.kernels import (
    ASYMMETRIC,
    FOUND,
    KEY,
    NO_KEY,
    PLAIN,
    PLANES,
    QUERY,
    RANGE,
    ROW,
    WEIGHTED,
    close_kernel,
    collect_kernel,
    topk_kernel,
)
from terrahash.search.ranking import SCORE_STEPS, Question
from terrahash.search.workers import Pace, run_on_threads, start_helpers, thread_count

# Bytes of codes in a range: a stolen processor delays the answer by the time that one takes.
RANGE_BYTES = 1 << 18
# Below this many bytes compared, a second thread costs more than it brings.
THREAD_BYTES = 1 << 22
# Rows that a radius search has room for at first.
FIRST_ROOM = 1 << 12

# Single queries wait for memory, batches for the processor.
_pace, _batch_pace = Pace(), Pace()

Ranked = tuple[NDArray[np.int64], NDArray[np.int64], int]
"""Ranked keys, their rows, and how many eligible rows in all are at the last key."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of rows for the threads to share, and the arrays whose memory they point to."""

    table: NDArray[np.int64]
    rows: int
    owners: tuple[NDArray[np.generic], ...]

    @classmethod
    def of(
        cls,
        chunks: Sequence[NDArray[np.uint8]],
        masks: Sequence[NDArray[np.bool_] | None],
        first_row: int = 0,
    ) -> Ranges:
        """Cut chunks, whose first row counts as ``first_row``, into ranges."""
        owners: list[NDArray[np.generic]] = []
        tables = [np.empty((0, 5), np.int64)]
        rows = 0
        for chunk, mask in zip(chunks, masks, strict=True):
            if len(chunk):
                codes = np.ascontiguousarray(chunk)
                owners.append(codes)
                allowed = 0
                if mask is not None:
                    owners.append(np.ascontiguousarray(mask))
                    allowed = owners[-1].ctypes.data
                starts = np.arange(0, len(chunk), max(1, RANGE_BYTES // chunk.shape[1]))
                table = np.empty((len(starts), 5), np.int64)
                table[:, 0], table[:, 1] = codes.ctypes.data, allowed
                table[:, 2], table[:-1, 3], table[-1:, 3] = starts, starts[1:], len(chunk)
                table[:, 4] = first_row + rows
                tables.append(table)
            rows += len(chunk)
        return cls(np.concatenate(tables), rows, tuple(owners))


def mode_of(layout: CodeLayout) -> int:
    """How the kernels measure the distances of a layout."""
    hash_unit, label_unit, _ = layout.units
    return PLAIN if hash_unit == label_unit == 1 else WEIGHTED


def scan_topk(ranges: Ranges, question: Question) -> list[Ranked]:
    """The ``k`` smallest (key, row) of each query within the radius.

    The calling thread waits for no other: what a helping thread has not published when all ranges
    are taken, because it lost its processor, is scanned again.
    """
    threads = _threads(ranges, len(question.queries), question.layout)
    compared = ranges.rows * question.layout.nbytes * len(question.queries)
    pace = _batch_pace if len(question.queries) > 1 else _pace
    alone = threads == 1
    together = not alone and pace.together()
    start = time.perf_counter()
    found = _scanned(ranges, question, threads if together else 1)
    if not alone:
        pace.note(together, time.perf_counter() - start, compared)
    return found


def _scanned(ranges: Ranges, question: Question, threads: int) -> list[Ranked]:
    scan = _TopkScan(ranges, question, min(question.k or 0, ranges.rows), threads)
    helpers = start_helpers(scan.work, threads)
    scan.work(0)
    for helper in helpers:
        helper.cancel()
    parts = [scan]
    missing = scan.close()
    if len(missing.table):
        parts.append(_TopkScan(missing, question, scan.k, 1))
        parts[-1].work(0)
    keys = np.concatenate([part.keys for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    dropped = np.concatenate([part.dropped for part in parts])
    return [
        merge_ranked(keys[:, query], rows[:, query], dropped[:, query], scan.k)
        for query in range(len(question.queries))
    ]


class _TopkScan:
    """A scan of some ranges by several threads, and what each of them has published."""

    def __init__(self, ranges: Ranges, question: Question, k: int, threads: int) -> None:
        layout, queries = question.layout, question.queries
        mode = mode_of(layout) if question.asymmetric is None else ASYMMETRIC
        self.k = k
        self.keys = np.full((threads, len(queries), k), NO_KEY, np.int64)
        self.rows = np.full((threads, len(queries), k), NO_KEY, np.int64)
        self.dropped = np.zeros((threads, len(queries)), np.int64)
        # Held for a helper that is still reading when the search has long been answered.
        self._ranges = ranges
        self._done = np.zeros(len(ranges.table), np.uint8)
        self._states = np.zeros((threads, 1), np.int64)
        self._kernel = topk_kernel(layout.nbytes, mode)
        hash_unit, label_unit, _ = layout.units
        self._arguments = (
            ranges.table,
            np.zeros(1, np.int64),
            queries,
            layout.label_mask(),
            hash_unit,
            label_unit,
            *score_arguments(question),
            question.radius,
        )

    def work(self, number: int) -> None:
        """Scan ranges as thread ``number`` until none is left."""
        self._kernel(
            *self._arguments,
            self.keys[number].copy(),
            self.rows[number].copy(),
            self.dropped[number].copy(),
            self.keys[number],
            self.rows[number],
            self.dropped[number],
            self._states[number],
            self._done,
        )

    def close(self) -> Ranges:
        """Let nobody publish more; returns the ranges that nobody has."""
        close = close_kernel()
        for state in self._states:
            while not close(state):
                time.sleep(0)
        table = np.ascontiguousarray(self._ranges.table[self._done == 0])
        return replace(self._ranges, table=table)


def scan_radius(
    ranges: Ranges, question: Question
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each query the distances in units and the rows of all within the radius, by row."""
    layout, queries = question.layout, question.queries
    kernel = collect_kernel(layout.nbytes, mode_of(layout))
    threads = _threads(ranges, len(queries), layout)
    ticket = np.zeros(1, np.int64)
    label_mask = layout.label_mask()
    hash_unit, label_unit, _ = layout.units
    parts: list[NDArray[np.int64]] = [np.empty((0, 3), np.int64)] * threads

    def work(number: int) -> None:
        found = np.empty((FIRST_ROOM, 3), np.int64)
        state = np.zeros(4, np.int64)
        state[RANGE] = -1
        while not kernel(
            ranges.table,
            ticket,
            queries,
            label_mask,
            hash_unit,
            label_unit,
            question.radius,
            state,
            found,
        ):
            found = np.concatenate([found, np.empty_like(found)])
        parts[number] = found[: state[FOUND]]

    run_on_threads(work, threads)
    found = np.concatenate(parts)
    found = found[np.lexsort((found[:, ROW], found[:, QUERY]))]
    edges = np.searchsorted(found[:, QUERY], np.arange(len(queries) + 1))
    return [(found[a:b, KEY], found[a:b, ROW]) for a, b in pairwise(edges)]


def merge_ranked(
    keys: NDArray[np.int64], rows: NDArray[np.int64], dropped: NDArray[np.int64], k: int
) -> Ranked:
    """Merge results that were found in disjoint parts, each with its count of dropped ties.

    Args:
        keys: ``(parts, m) int64``, ``NO_KEY`` where a place is not filled.
        rows: ``(parts, m) int64``.
        dropped: ``(parts,) int64``, how many more rows of the part have its largest key.
        k: how many to return.
    """
    worst = keys.max(axis=1)
    filled = keys < NO_KEY
    flat_keys, flat_rows = keys[filled], rows[filled]
    order = np.lexsort((flat_rows, flat_keys))[:k]
    if not len(order):
        return flat_keys, flat_rows, 0
    last = flat_keys[order[-1]]
    ties = int((flat_keys == last).sum() + dropped[worst == last].sum())
    return flat_keys[order], flat_rows[order], ties


def merge_parts(parts: Sequence[Ranked], k: int) -> Ranked:
    """Merge the answers of disjoint parts, each with all of the part's ties counted."""
    keys = np.concatenate([part[0] for part in parts])
    rows = np.concatenate([part[1] for part in parts])
    order = np.lexsort((rows, keys))[:k]
    if not len(order):
        return keys, rows, 0
    last = keys[order[-1]]
    ties = sum(
        ties if len(found) and found[-1] == last else int((found == last).sum())
        for found, _, ties in parts
    )
    return keys[order], rows[order], ties


def score_arguments(
    question: Question,
) -> tuple[NDArray[np.uint8], int, NDArray[np.int32]]:
    """What a kernel needs for asymmetric scores: leading digits, their place, and byte tables."""
    shift = SCORE_STEPS.bit_length() - PLANES
    if question.asymmetric is None:
        return np.empty((0, 0, 0), np.uint8), shift, np.empty((0, 0, 0), np.int32)
    digits = question.asymmetric.steps >> shift
    planes = np.stack([np.packbits(digits >> plane & 1, axis=1) for plane in range(PLANES)], axis=1)
    tables = [question.asymmetric.tables(query) for query in range(len(question.queries))]
    return planes, shift, np.array(tables, np.int32).reshape(-1, question.layout.nbytes, 256)


def _threads(ranges: Ranges, queries: int, layout: CodeLayout) -> int:
    compared = ranges.rows * layout.nbytes * queries
    return max(1, min(thread_count(), compared // THREAD_BYTES, len(ranges.table)))
