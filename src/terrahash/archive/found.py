"""What a search found, as ids, in one group of segments and in several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.pieces import Piece
from terrahash.search import Matches


@dataclass(frozen=True)
class Found:
    """What a search found for one query, as ids.

    Attributes:
        ids: ``(n,) int64``.
        distances: ``(n,) float32``.
        scores: ``(n,) float32`` or None.
        ties: how many rows in all rank as the last one does.
        ways: how each group of segments was searched, and the share of its codes that was read.
    """

    ids: NDArray[np.int64]
    distances: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    ties: int
    ways: tuple[tuple[str, float], ...]


def found_in(match: Matches, starts: NDArray[np.int64], pieces: Sequence[Piece]) -> Found:
    ids = np.empty(len(match.rows), np.int64)
    owner = np.searchsorted(starts, match.rows, side="right") - 1
    for number in np.unique(owner).tolist():
        here = np.flatnonzero(owner == number)
        ids[here] = pieces[number].ids_of(match.rows[here] - starts[number])
    return Found(ids, match.distances, match.scores, match.ties, ((match.way, match.share_read),))


def merged(parts: Sequence[Found], k: int | None, ties: bool) -> Found:
    ids = np.concatenate([part.ids for part in parts])
    distances = np.concatenate([part.distances for part in parts])
    kept = [part.scores for part in parts if part.scores is not None]
    scores = np.concatenate(kept) if kept else None
    keys = (ids, distances) if scores is None else (ids, distances, scores)
    order = np.lexsort(keys)
    ways = tuple(way for part in parts for way in part.ways)
    if not len(order):
        return Found(ids, distances, scores, 0, ways)
    last = order[-1] if k is None or k >= len(order) else order[k - 1]
    rank = _ranks(distances, scores)
    if k is not None and ties:
        stop = int(np.searchsorted(rank[order], rank[last], side="right"))
        order = order[: max(stop, 0)]
    elif k is not None:
        order = order[:k]
    total = 0
    start = 0
    for part in parts:
        ranks = rank[start : start + len(part.ids)]
        start += len(part.ids)
        if len(ranks):
            # A part that ends at this rank counted its ties itself; one that goes beyond it
            # returned every row of this rank.
            at_end = ranks[-1] == rank[last]
            total += part.ties if at_end else int(np.count_nonzero(ranks == rank[last]))
    return Found(
        ids[order], distances[order], None if scores is None else scores[order], total, ways
    )


def _ranks(distances: NDArray[np.float32], scores: NDArray[np.float32] | None) -> NDArray[np.int64]:
    keys = np.stack([distances if scores is None else scores, distances], axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
