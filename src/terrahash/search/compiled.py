"""Search by compiled kernels: which of them answers which kind of question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from terrahash.search.celled import cells_topk, luck_of, usable
from terrahash.search.cells import Cells
from terrahash.search.chunks import gather
from terrahash.search.matches import Matches
from terrahash.search.ranking import DISTANCE_BITS, DISTANCE_MASK, Question, to_matches
from terrahash.search.reference import scores
from terrahash.search.scan import Ranges, Ranked, merge_parts, scan_radius, scan_topk

Chunks = Sequence[NDArray[np.uint8]]
Masks = Sequence[NDArray[np.bool_] | None]


@dataclass(frozen=True)
class _Answer:
    """Keys, rows and ties of a query, how they were found, and the codes read for it."""

    ranked: Ranked
    way: str
    read: int


# How many matches a radius search through cells asks for first, and how many times more next.
FIRST_MATCHES = 256
MORE_MATCHES = 8
# From this share of the rows on, the scan collects what lies within a radius.
COLLECT_SHARE = 1 / 8


def search_compiled(
    question: Question, chunks: Chunks, masks: Masks, cells: Cells | None
) -> list[Matches]:
    """Search chunks of codes, through cells where they help. ``k`` is above 0 where it is given."""
    return _Search(chunks, masks, cells).answer(question)


class _Search:
    """Chunks and cells, and what was read of them for each query."""

    def __init__(self, chunks: Chunks, masks: Masks, cells: Cells | None) -> None:
        self._chunks, self._masks, self._cells = chunks, masks, cells
        self._lengths = [len(chunk) for chunk in chunks]
        self._size = sum(self._lengths)

    @cached_property
    def _all(self) -> Ranges:
        return Ranges.of(self._chunks, self._masks)

    def answer(self, question: Question) -> list[Matches]:
        asymmetric = question.asymmetric is not None
        if question.k is None or (asymmetric and question.radius < DISTANCE_MASK):
            found = self._within_radius(question)
        else:
            found = self._topk(question)
            if question.ties:
                self._complete_ties(found, question)
        return [
            to_matches(
                *answer.ranked,
                question.layout,
                question.step(number),
                way=answer.way,
                share_read=answer.read / max(1, self._size),
            )
            for number, answer in enumerate(found)
        ]

    def _topk(self, question: Question) -> list[_Answer]:
        cells, k = self._cells, question.k or 0
        if cells is None or not usable(cells, question):
            return self._scanned(question)
        filtered = any(mask is not None for mask in self._masks)
        kind = question.asymmetric is not None, filtered, len(question.queries) > 1
        luck = luck_of(cells)
        if not luck.worth_a_try(kind):
            return self._scanned(question)
        answers, read = cells_topk(cells, question, self._masks, self._lengths)
        luck.note(kind, success=any(answer is not None for answer in answers))
        kept = {number: answer for number, answer in enumerate(answers) if answer is not None}
        left = [number for number, answer in enumerate(answers) if answer is None]
        found = {
            number: _Answer(answer, "cells", int(read[number])) for number, answer in kept.items()
        }
        if left:
            for number, ranked in zip(
                left, scan_topk(self._all, question.select(left, k)), strict=True
            ):
                found[number] = _Answer(ranked, "scan", int(read[number]) + self._size)
        newer = self._newer(cells)
        if kept and newer.rows:
            scanned = scan_topk(newer, question.select(list(kept), k))
            for (number, answer), ranked in zip(kept.items(), scanned, strict=True):
                merged = merge_parts([answer, ranked], k)
                found[number] = _Answer(merged, "cells", int(read[number]) + newer.rows)
        return [found[number] for number in range(len(question.queries))]

    def _scanned(self, question: Question) -> list[_Answer]:
        return [_Answer(answer, "scan", self._size) for answer in scan_topk(self._all, question)]

    def _newer(self, cells: Cells) -> Ranges:
        """The rows that came after the cells were built."""
        chunks, masks = [], []
        start = 0
        for chunk, mask in zip(self._chunks, self._masks, strict=True):
            skip = min(max(cells.size - start, 0), len(chunk))
            chunks.append(chunk[skip:])
            masks.append(None if mask is None else mask[skip:])
            start += len(chunk)
        return Ranges.of(chunks, masks, first_row=cells.size)

    def _complete_ties(self, found: list[_Answer], question: Question) -> None:
        """Search again, for as many more as are known to tie, the queries that left some out."""
        for number, answer in enumerate(found):
            keys, _, count = answer.ranked
            missing = count - int((keys == keys[-1]).sum()) if len(keys) else 0
            if missing:
                (found[number],) = self._topk(question.select([number], len(keys) + missing))

    def _within_radius(self, question: Question) -> list[_Answer]:
        answers = self._collected(question)
        if question.asymmetric is not None:
            for number, answer in enumerate(answers):
                keys, rows, _ = answer.ranked
                if len(rows):
                    differing = gather(self._chunks, rows) ^ question.queries[number]
                    score = scores(differing, question.asymmetric.tables(number))
                    answers[number] = replace(
                        answer, ranked=(keys | score << DISTANCE_BITS, rows, 0)
                    )
        return [
            replace(answer, ranked=rank(*answer.ranked[:2], question.k, ties=question.ties))
            for answer in answers
        ]

    def _collected(self, question: Question) -> list[_Answer]:
        """All within the radius with their distances, in row order."""
        plain = replace(question, asymmetric=None)
        found: dict[int, _Answer] = {}
        left = list(range(len(question.queries)))
        k = FIRST_MATCHES
        while left and usable(self._cells, plain) and k < self._size * COLLECT_SHARE:
            for number, answer in zip(left, self._topk(plain.select(left, k)), strict=True):
                keys, rows, _ = answer.ranked
                if len(rows) < k:
                    order = np.argsort(rows)
                    found[number] = replace(answer, ranked=(keys[order], rows[order], 0))
            left = [number for number in left if number not in found]
            k *= MORE_MATCHES
        if left:
            collected = scan_radius(self._all, plain.select(left, None))
            for number, (keys, rows) in zip(left, collected, strict=True):
                found[number] = _Answer((keys, rows, 0), "scan", self._size)
        return [found[number] for number in range(len(question.queries))]


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
