"""Search by compiled kernels: which of them answers which kind of question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from terrahash.search.chunks import gather
from terrahash.search.matches import Matches
from terrahash.search.ranking import DISTANCE_BITS, DISTANCE_MASK, Question, to_matches
from terrahash.search.reference import scores
from terrahash.search.scan import Ranges, Ranked, scan_radius, scan_topk

Chunks = Sequence[NDArray[np.uint8]]
Masks = Sequence[NDArray[np.bool_] | None]


def search_compiled(question: Question, chunks: Chunks, masks: Masks) -> list[Matches]:
    """Search chunks of codes by the scan. ``k`` is above 0 where it is given."""
    ranges = Ranges.of(chunks, masks)
    if question.k is None or (question.asymmetric is not None and question.radius < DISTANCE_MASK):
        ranked = _within_radius(question, ranges, chunks)
    else:
        ranked = scan_topk(ranges, question)
        if question.ties:
            _complete_ties(ranked, ranges, question)
    return [
        to_matches(*answer, question.layout, question.step(number), way="scan")
        for number, answer in enumerate(ranked)
    ]


def _within_radius(question: Question, ranges: Ranges, chunks: Chunks) -> list[Ranked]:
    answers: list[Ranked] = []
    for number, (keys, rows) in enumerate(scan_radius(ranges, question)):
        if question.asymmetric is not None and len(rows):
            differing = gather(chunks, rows) ^ question.queries[number]
            score = scores(differing, question.asymmetric.tables(number))
            keys = keys | (score << DISTANCE_BITS)
        answers.append(rank(keys, rows, question.k, ties=question.ties))
    return answers


def _complete_ties(ranked: list[Ranked], ranges: Ranges, question: Question) -> None:
    """Search again, for as many more as are known to tie, the queries that left some out."""
    for number, (keys, _, count) in enumerate(ranked):
        missing = count - int((keys == keys[-1]).sum()) if len(keys) else 0
        if missing:
            (ranked[number],) = scan_topk(ranges, question.only(number, len(keys) + missing))


def rank(keys: NDArray[np.int64], rows: NDArray[np.int64], k: int | None, *, ties: bool) -> Ranked:
    """Rank all candidates, given in row order, and keep the first ``k`` and perhaps their ties."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    kept = len(keys) if k is None else min(k, len(keys))
    if not kept:
        return np.empty(0, np.int64), np.empty(0, np.int64), 0
    first, end = (
        np.searchsorted(keys, keys[kept - 1]),
        np.searchsorted(keys, keys[kept - 1], "right"),
    )
    if ties:
        kept = int(end)
    return keys[:kept], rows[:kept], int(end - first)
