"""Tests on the rows of one segment: what a condition is made of, once it fits the columns.

Each is asked in three ways: which blocks can hold a row that meets it, what the bytes beside the
values say of the rows of some blocks, and which rows do meet it. What holds for all rows of the
segment is worked out once. Several threads may ask.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import NumberColumn
from terrahash.archive.schema import ID
from terrahash.archive.segments import Segment
from terrahash.archive.sketching import PERHAPS, SURELY, Judgement, Limit, Sketches, have_sketches
from terrahash.archive.zones import ZONE_ROWS

Mask: TypeAlias = NDArray[np.bool_]
# Rows of a segment that a test is asked about: a stretch of them, or any, ascending.
Rows: TypeAlias = slice | NDArray[np.int64]

# Where fewer than one row in this many are left, the next test is asked about these only.
SPARSE = 8


class Test(ABC):
    """Something that each row of a segment meets or not."""

    @abstractmethod
    def block(self, rows: Rows) -> Mask:
        """``(n,) bool`` of some rows."""

    def possible(self) -> Mask | None:
        """``(blocks,) bool``, false where no row can meet it; None if that is not known."""
        return None

    def judge(self, rows: slice, out: Judgement) -> bool:
        """Lower the judgements ``(n,)`` of the rows of whole blocks.

        Returns:
            Whether anything is known of them before their values are read.
        """
        return False

    def limits(self) -> Sequence[Limit] | None:
        """What the sketches are asked, if meeting all of these limits is meeting the test."""
        return None


class AllOf(Test):
    """Every test is met."""

    def __init__(self, segment: Segment, tests: Sequence[Test]) -> None:
        self._tests = tests
        limits: list[Limit] = []
        others: list[Test] = []
        for test in tests:
            wanted = test.limits()
            if wanted is None or not have_sketches(segment, wanted):
                others.append(test)
            else:
                limits += wanted
        self._sketches = Sketches.of(segment, limits) if limits else None
        self._others = others

    def block(self, rows: Rows) -> Mask:
        mask = self._tests[0].block(rows)
        for test in self._tests[1:]:
            left = np.flatnonzero(mask)
            if not len(left):
                break
            if len(left) * SPARSE < len(mask):
                mask[left] = test.block(numbered(rows)[left])
            else:
                mask = mask & test.block(rows)
        return mask

    def possible(self) -> Mask | None:
        known = [p for p in (test.possible() for test in self._tests) if p is not None]
        return np.asarray(np.logical_and.reduce(known)) if known else None

    def judge(self, rows: slice, out: Judgement) -> bool:
        if self._sketches is not None:
            self._sketches.judge(rows, out)
        heard = [test.judge(rows, out) for test in self._others]
        if self._sketches is None and not any(heard):
            return False
        if not all(heard):
            np.minimum(out, PERHAPS, out=out)
        return True


class AnyOf(Test):
    """At least one test is met."""

    def __init__(self, tests: Sequence[Test]) -> None:
        self._tests = tests

    def block(self, rows: Rows) -> Mask:
        mask = self._tests[0].block(rows)
        for test in self._tests[1:]:
            mask = mask | test.block(rows)
        return mask

    def possible(self) -> Mask | None:
        known = [test.possible() for test in self._tests]
        if any(p is None for p in known):
            return None
        return np.asarray(np.logical_or.reduce([p for p in known if p is not None]))

    def judge(self, rows: slice, out: Judgement) -> bool:
        highest = np.zeros_like(out)
        for test in self._tests:
            judgement = np.full_like(out, SURELY)
            if not test.judge(rows, judgement):
                return False
            np.maximum(highest, judgement, out=highest)
        np.minimum(out, highest, out=out)
        return True


@dataclass(frozen=True)
class Absent(Test):
    """A column has no value, or has one."""

    segment: Segment
    column: str
    negated: bool

    def block(self, rows: Rows) -> Mask:
        count = count_of(rows)
        if self.column == ID:
            return np.full(count, self.negated)
        column = self.segment.column(self.column)
        if column is None:
            return np.full(count, not self.negated)
        if isinstance(column, NumberColumn):
            absent = NumberColumn(column.kind, column.values[rows]).nulls()
        else:
            absent = column.entry_of(numbered(rows))[1]
        return ~absent if self.negated else absent


def blocks_of(rows: int) -> int:
    """How many blocks hold this many rows."""
    return -(-rows // ZONE_ROWS)


def count_of(rows: Rows) -> int:
    """How many rows these are."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def numbered(rows: Rows) -> NDArray[np.int64]:
    """``(n,) int64`` of rows, one by one."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
