"""Rows counted through a sequence of chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Item = TypeVar("_Item", bound=np.generic)


def gather(chunks: Sequence[NDArray[_Item]], rows: NDArray[np.int64]) -> NDArray[_Item]:
    """What the chunks hold at ascending rows, copied in that order.

    Args:
        chunks: at least one, of equal type and shape beyond the first axis.
        rows: ``(m,) int64``, ascending, counted through the chunks.
    """
    starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])
    edges = np.searchsorted(rows, starts)
    return np.concatenate(
        [chunk[rows[edges[i] : edges[i + 1]] - starts[i]] for i, chunk in enumerate(chunks)]
    )
