"""Tests on columns of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import TextColumn
from terrahash.archive.lookup import INDEXED, Needles
from terrahash.archive.predicates import Mask, Rows, Test, blocks_of, count_of, numbered
from terrahash.archive.segments import Segment
from terrahash.archive.sketching import NO, SURELY, Judgement, judge_coded
from terrahash.archive.zones import ZONE_ROWS


@dataclass(frozen=True)
class Coded(Test):
    """A column of texts with a dictionary meets a test on texts; an absent text meets nothing.

    Attributes:
        codes: ``(rows,) uint8 | uint16`` of the column.
        table: what is judged of each code: surely or no.
    """

    codes: NDArray[Any]
    table: Judgement

    @classmethod
    def of(
        cls, codes: NDArray[Any], texts: Sequence[str | None], fits: Callable[[str], bool]
    ) -> Coded:
        """From the codes of a column, the texts of its dictionary and the test."""
        table = np.full(int(np.iinfo(codes.dtype).max) + 1, NO, np.uint8)
        for code, text in enumerate(texts):
            if text is not None and fits(text):
                table[code] = SURELY
        return cls(codes, table)

    def block(self, rows: Rows) -> Mask:
        return np.asarray(self.table.take(self.codes[rows]) == SURELY)

    def possible(self) -> Mask | None:
        some = bool((self.table == SURELY).any())
        return None if some else np.zeros(blocks_of(len(self.codes)), bool)

    def judge(self, rows: slice, out: Judgement) -> bool:
        judge_coded(self.codes[rows], self.table, out)
        return True


@dataclass(frozen=True)
class Written(Test):
    """A column of texts without a dictionary meets a test on texts, read one by one."""

    column: TextColumn
    fits: Callable[[str], bool]

    def block(self, rows: Rows) -> Mask:
        texts = self.column.take(numbered(rows)).entries()
        return np.fromiter((text is not None and self.fits(text) for text in texts), bool)


@dataclass(frozen=True)
class Listed(Test):
    """A row is one of some that are known already.

    Attributes:
        rows: ``(n,) int64`` of these, ascending.
        count: rows of the segment.
    """

    rows: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, segment: Segment, column: str, texts: Sequence[str]) -> Listed:
        """The rows whose indexed column has one of some texts; none without texts."""
        rows = {row for _, row in Needles(texts).rows_in(segment, column)} if texts else set()
        return cls(np.array(sorted(rows), np.int64), segment.rows)

    def block(self, rows: Rows) -> Mask:
        if not isinstance(rows, slice):
            return np.isin(rows, self.rows)
        mask = np.zeros(count_of(rows), bool)
        mask[self._within(rows)] = True
        return mask

    def possible(self) -> Mask | None:
        mask = np.zeros(blocks_of(self.count), bool)
        mask[self.rows // ZONE_ROWS] = True
        return mask

    def judge(self, rows: slice, out: Judgement) -> bool:
        places = self._within(rows)
        kept = out[places]
        out[:] = NO
        out[places] = kept
        return True

    def _within(self, rows: slice) -> NDArray[np.int64]:
        first, stop = np.searchsorted(self.rows, (rows.start, rows.stop))
        return np.asarray(self.rows[first:stop] - rows.start)


def text_test(
    segment: Segment,
    column: str,
    fits: Callable[[str], bool],
    equal_to: Sequence[str] | None = None,
) -> Test:
    """A column of texts meets a test on texts; an absent text meets nothing.

    Args:
        segment: whose rows are tested.
        column: its name.
        fits: the test.
        equal_to: the texts that meet it, where only these do: they are found through the lookup.
    """
    found = segment.column(column)
    if not isinstance(found, TextColumn):
        return Listed.of(segment, column, ())
    if equal_to is not None and column in INDEXED:
        return Listed.of(segment, column, equal_to)
    if found.codes is None:
        return Written(found, fits)
    return Coded.of(found.codes, found.entries(), fits)
