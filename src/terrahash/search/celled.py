"""Search through cells, with the scan for what is not in them or not worth it."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from terrahash.search.cell_kernels import cells_kernel
from terrahash.search.cells import MAX_RINGS, Cells
from terrahash.search.kernels import ASYMMETRIC, NO_KEY, PLAIN
from terrahash.search.ranking import Question
from terrahash.search.scan import Ranked, merge_ranked, mode_of, score_arguments
from terrahash.search.workers import run_on_threads, thread_count

# The cells answer if what they leave to be read is at most this share of the rows. Their pieces
# take about three times as long to read, code by code, as the scan, and in a batch, where the scan
# reads the codes once for all queries, or for asymmetric scores about six times.
WORTHWHILE = 0.3
WORTHWHILE_ELSE = 0.15
# So many queries of a large batch go first: if all of them give up, the others do not try.
PROBES = 8
# After so many failures in a row, only one query in so many tries the cells again.
FAILURES = 8
RETRY_EVERY = 16


Kind = tuple[bool, bool, bool]
"""Whether queries are asymmetric, filtered, and many."""


class Luck:
    """How queries of each kind have lately fared with some cells.

    It decides what is tried first, never the answer, so threads may race for it.
    """

    def __init__(self) -> None:
        self._failures: dict[Kind, int] = {}

    def worth_a_try(self, kind: Kind) -> bool:
        """Whether to try the cells: after a row of failures only now and then."""
        failures = self._failures.get(kind, 0)
        if failures < FAILURES or failures % RETRY_EVERY == 0:
            return True
        self._failures[kind] = failures + 1
        return False

    def note(self, kind: Kind, *, success: bool) -> None:
        """Remember how a try ended."""
        self._failures[kind] = 0 if success else self._failures.get(kind, 0) + 1


_luck: WeakKeyDictionary[Cells, Luck] = WeakKeyDictionary()


def luck_of(cells: Cells) -> Luck:
    """The memory of how queries fared with these cells in this process."""
    return _luck.setdefault(cells, Luck())


def usable(cells: Cells | None, question: Question) -> bool:
    """Whether cells can answer: scores of weighted codes have no bound by their rings."""
    if cells is None or not cells.size:
        return False
    return question.asymmetric is None or mode_of(question.layout) == PLAIN


def cells_topk(
    cells: Cells,
    question: Question,
    masks: Sequence[NDArray[np.bool_] | None],
    lengths: Sequence[int],
) -> tuple[list[Ranked | None], NDArray[np.int64]]:
    """The ``k`` smallest (key, row) of each query among the rows of the cells.

    Args:
        cells: to search.
        question: with ``k`` above 0, and no radius where it is asymmetric.
        masks: one for each chunk, for rows beyond the cells' too.
        lengths: rows of the chunks.

    Returns:
        Answers, ``None`` where a query gave up because the scan is cheaper, and codes read.
    """
    count = len(question.queries)
    if count <= 4 * PROBES:
        return _searched(cells, question, masks, lengths)
    first = question.select(range(PROBES), question.k)
    answers, read = _searched(cells, first, masks, lengths)
    if all(answer is None for answer in answers):
        return [None] * count, np.concatenate([read, np.zeros(count - PROBES, np.int64)])
    others = question.select(range(PROBES, count), question.k)
    more_answers, more_read = _searched(cells, others, masks, lengths)
    return answers + more_answers, np.concatenate([read, more_read])


def _searched(
    cells: Cells,
    question: Question,
    masks: Sequence[NDArray[np.bool_] | None],
    lengths: Sequence[int],
) -> tuple[list[Ranked | None], NDArray[np.int64]]:
    layout, queries = question.layout, question.queries
    k = min(question.k or 0, cells.size)
    mode = mode_of(layout) if question.asymmetric is None else ASYMMETRIC
    kernel = cells_kernel(layout.nbytes, mode)
    planes, shift, tables = score_arguments(question)
    nearest, farthest = _ring_bounds(cells, question)
    table, owners = _mask_table(masks, lengths)
    single = len(queries) == 1 and question.asymmetric is None
    worthwhile = WORTHWHILE if single else WORTHWHILE_ELSE
    keys = np.full((len(queries), k), NO_KEY, np.int64)
    rows = np.full((len(queries), k), NO_KEY, np.int64)
    dropped = np.zeros(len(queries), np.int64)
    read = np.zeros(len(queries), np.int64)
    ticket = np.zeros(1, np.int64)
    label_mask = layout.label_mask()
    hash_unit, label_unit, _ = layout.units

    def work(_number: int) -> None:
        kernel(
            ticket,
            queries,
            label_mask,
            hash_unit,
            label_unit,
            planes,
            shift,
            tables,
            question.radius,
            cells.addresses,
            len(cells.codes),
            len(cells.centres),
            nearest,
            farthest,
            cells.width if question.asymmetric is None else 0,
            table,
            int(cells.size * worthwhile),
            keys,
            rows,
            dropped,
            read,
        )

    run_on_threads(work, min(thread_count(), len(queries)))
    del owners
    answers: list[Ranked | None] = [
        None
        if read[query] < 0
        else merge_ranked(
            keys[query : query + 1], rows[query : query + 1], dropped[query : query + 1], k
        )
        for query in range(len(queries))
    ]
    return answers, np.where(read < 0, ~read, read)


def _ring_bounds(cells: Cells, question: Question) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How near and how far the codes of each ring can be to their centre, ``(1 or Q, rings)``.

    In the unit of the rank. For asymmetric scores, r differing bits weigh at least the r smallest
    and at most the r largest magnitudes: the score is a metric too.
    """
    if question.asymmetric is None:
        return cells.ring_bounds
    rings = np.arange(MAX_RINGS)
    bits = question.layout.bits
    steps = np.sort(question.asymmetric.steps[:, :bits], axis=1)
    zero = np.zeros((len(steps), 1), np.int64)
    least = np.concatenate([zero, np.cumsum(steps, axis=1)], axis=1)
    most = np.concatenate([zero, np.cumsum(steps[:, ::-1], axis=1)], axis=1)
    first = np.minimum(rings * cells.width, bits)
    last = np.minimum(rings * cells.width + cells.width - 1, bits)
    return np.ascontiguousarray(least[:, first]), np.ascontiguousarray(most[:, last])


def _mask_table(
    masks: Sequence[NDArray[np.bool_] | None], lengths: Sequence[int]
) -> tuple[NDArray[np.int64], list[NDArray[np.bool_]]]:
    """First row and address of each chunk's mask, and the arrays whose memory they point to."""
    owners: list[NDArray[np.bool_]] = []
    if all(mask is None for mask in masks):
        return np.empty((0, 2), np.int64), owners
    table = np.zeros((len(masks), 2), np.int64)
    table[1:, 0] = np.cumsum(lengths[:-1])
    for number, mask in enumerate(masks):
        if mask is not None:
            owners.append(np.ascontiguousarray(mask))
            table[number, 1] = owners[-1].ctypes.data
    return table, owners
