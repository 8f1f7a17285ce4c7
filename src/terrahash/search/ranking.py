"""What a search ranks by, as whole numbers: the same for every path that finds the matches.

Weighted distances are counted in the layout's units, asymmetric scores in 2^-20 of the query's
largest magnitude. Sums of whole numbers do not depend on the order of additions, so the ranking is
the same for every kernel, block size and number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.errors import InputError
from terrahash.search.matches import Matches

# A score of 1024 bits of up to 2^20 each stays below 2^31.
SCORE_STEPS = 1 << 20
# Distances take at most 1024 bits × 64 × 16 = 2^20 units, so they fit below the score in one key.
DISTANCE_BITS = 21
DISTANCE_MASK = (1 << DISTANCE_BITS) - 1


@dataclass(frozen=True)
class Asymmetric:
    """Magnitudes of a batch of queries as whole numbers.

    Attributes:
        steps: ``(Q, 8 * nbytes) int64``, magnitudes in steps; padding bits weigh nothing.
        step: ``(Q,) float64``, the size of one step.
    """

    steps: NDArray[np.int64]
    step: NDArray[np.float64]

    @classmethod
    def of(cls, magnitudes: NDArray[np.float32], queries: int, layout: CodeLayout) -> Asymmetric:
        """Round magnitudes to steps of 2^-20 of each query's largest.

        Raises:
            InputError: if they are not ``(Q, bits)``, finite and non-negative.
        """
        values = np.asarray(magnitudes, np.float64)
        if values.shape != (queries, layout.bits):
            raise InputError(
                f"magnitudes have shape {values.shape}, expected ({queries}, {layout.bits})",
                "give one magnitude for each bit of each query",
            )
        if not np.isfinite(values).all() or (values < 0).any():
            raise InputError(
                "magnitudes must be finite and not negative",
                "give the absolute values of the activations; the signs are the query's bits",
            )
        largest = values.max(axis=1) if queries else np.zeros(0)
        step = np.where(largest > 0, largest, 1.0) / SCORE_STEPS
        steps = np.zeros((queries, layout.nbytes * 8), np.int64)
        steps[:, : layout.bits] = np.rint(values / step[:, None])
        return cls(steps, step)

    def tables(self, query: int) -> NDArray[np.int64]:
        """``(nbytes, 256) int64``: the steps that each value of each differing byte adds."""
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64)
        steps = self.steps[query].reshape(-1, 8)
        return np.ascontiguousarray(steps @ bits.T)


@dataclass(frozen=True)
class Question:
    """What a search is asked, checked and in whole numbers.

    Attributes:
        queries: ``(Q, nbytes) uint8``, contiguous.
        layout: of queries and codes.
        k: how many matches, or ``None`` for all within the radius.
        radius: in the layout's units; ``DISTANCE_MASK`` where there is none.
        asymmetric: the queries' magnitudes, or ``None`` to rank by distance.
        ties: whether to return all rows that rank as the last one does.
    """

    queries: NDArray[np.uint8]
    layout: CodeLayout
    k: int | None
    radius: int
    asymmetric: Asymmetric | None
    ties: bool

    def step(self, query: int) -> float | None:
        """The size of one step of a query's scores."""
        return None if self.asymmetric is None else float(self.asymmetric.step[query])

    def select(self, which: Sequence[int], k: int | None) -> Question:
        """The same of some queries, for another ``k`` and without further ties."""
        wanted = np.asarray(which, np.int64)
        asymmetric = self.asymmetric
        if asymmetric is not None:
            asymmetric = Asymmetric(asymmetric.steps[wanted], asymmetric.step[wanted])
        return replace(self, queries=self.queries[wanted], asymmetric=asymmetric, k=k, ties=False)


def radius_units(radius: float | None, layout: CodeLayout) -> int:
    """The largest distance within a radius, in the layout's units."""
    if radius is None:
        return DISTANCE_MASK
    return min(int(np.floor(radius * layout.units[2])), DISTANCE_MASK)


def to_matches(
    keys: NDArray[np.int64],
    rows: NDArray[np.int64],
    ties: int,
    layout: CodeLayout,
    step: float | None,
    *,
    way: str,
    share_read: float = 1.0,
) -> Matches:
    """Matches from ranked keys: distances in units, or scores above distances where asymmetric."""
    units = keys if step is None else keys & DISTANCE_MASK
    distances = (units / layout.units[2]).astype(np.float32)
    scores = None if step is None else ((keys >> DISTANCE_BITS) * step).astype(np.float32)
    return Matches(rows, distances, scores, ties, way, share_read)
