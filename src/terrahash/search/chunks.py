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
        [_taken(chunk, rows[edges[i] : edges[i + 1]] - starts[i]) for i, chunk in enumerate(chunks)]
    )


def _taken(chunk: NDArray[_Item], rows: NDArray[np.int64]) -> NDArray[_Item]:
    """``chunk[rows]``, quicker for rows of several bytes: each is copied as one item."""
    if chunk.ndim == 1 or not chunk.flags.c_contiguous or not len(rows):
        return chunk[rows]
    items = chunk.view(np.dtype((np.void, chunk.shape[1] * chunk.itemsize)))[:, 0]
    return items[rows].view(chunk.dtype).reshape(len(rows), chunk.shape[1])
