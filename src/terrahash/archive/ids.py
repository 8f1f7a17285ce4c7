"""Which id each row of a segment has: runs of consecutive ids, so that most segments store one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IdRuns:
    """Ascending ids of the rows of a segment.

    Attributes:
        rows: ``(R,) int64`` first row of each run.
        ids: ``(R,) int64`` id of that row; the ids of a run follow one another.
        count: rows in all.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, ids: NDArray[np.int64]) -> IdRuns:
        """Runs of strictly ascending ids ``(N,) int64``."""
        ids = np.asarray(ids, np.int64)
        starts = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 2) != 1)
        return cls(starts.astype(np.int64), ids[starts], len(ids))

    @property
    def first(self) -> int:
        """The smallest id; 0 where there are no rows."""
        return int(self.ids[0]) if self.count else 0

    @property
    def last(self) -> int:
        """The largest id; −1 where there are no rows."""
        return int(self.ids[-1]) + self.count - 1 - int(self.rows[-1]) if self.count else -1

    def ids_of(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Ids of rows."""
        if len(self.rows) == 1:
            return np.asarray(rows + self.ids[0], np.int64)
        run = np.searchsorted(self.rows, rows, side="right") - 1
        return np.asarray(self.ids[run] + rows - self.rows[run], np.int64)

    def all(self) -> NDArray[np.int64]:
        """The ids of all rows, ``(count,) int64``."""
        lengths = np.diff(self.rows, append=self.count)
        return np.asarray(np.repeat(self.ids - self.rows, lengths) + np.arange(self.count))

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of ids, −1 where the segment has no such id."""
        if not self.count:
            return np.full(len(ids), -1, np.int64)
        run = np.maximum(np.searchsorted(self.ids, ids, side="right") - 1, 0)
        rows = self.rows[run] + ids - self.ids[run]
        ends = np.append(self.rows[1:], self.count)[run]
        return np.where((rows >= self.rows[run]) & (rows < ends), rows, -1)

    def below(self, bound: int) -> int:
        """How many rows have an id below a bound."""
        if not self.count:
            return 0
        run = int(np.searchsorted(self.ids, bound, side="left")) - 1
        if run < 0:
            return 0
        end = int(self.rows[run + 1]) if run + 1 < len(self.rows) else self.count
        return min(int(self.rows[run]) + bound - int(self.ids[run]), end)
