"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Matches:
    """The matches of one query, best first.

    The order is (distance, row), or (score, distance, row) in an asymmetric search, whatever the
    number of threads and the way that the search took.

    Attributes:
        rows: ``(n,) int64``, positions counted through the chunks.
        distances: ``(n,) float32``, weighted Hamming distances in bits.
        scores: ``(n,) float32`` sums of the query's magnitudes over the differing bits, or
            ``None`` when the search was not asymmetric.
        ties: how many eligible rows in all rank exactly as the last match does: at its distance,
            and in an asymmetric search at its score too. 0 when there is no match.
        way: how the answer was found: ``"numpy"``, ``"scan"`` or ``"cells"``.
        share_read: the share of the eligible chunks' codes that was compared with the query.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    ties: int
    way: str = "numpy"
    share_read: float = 1.0

    def __len__(self) -> int:
        return len(self.rows)
