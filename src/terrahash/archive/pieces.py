"""What a search reads of a group of segments: each in place, small neighbours joined in memory.

Each array that a search reads costs it several microseconds, as much as hundreds of codes. An
archive that grows by single tiles has dozens of small segments between two merges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.filters import Few
from terrahash.archive.segments import Segment

# Segments of fewer rows are joined. Copying that many is quicker than the searches of one more
# array that follow until the next commit.
SMALL = 1 << 12

Masked = tuple[Segment, NDArray[np.bool_] | None]
"""A segment and which of its rows may be found, ``(rows,) bool``, or None where all may."""


@dataclass(frozen=True)
class Piece:
    """Codes that are searched as one array.

    Attributes:
        codes: ``(n, nbytes) uint8``.
        mask: ``(n,) bool``, true where a row may be found, or None where all may.
        ids_of: ids of ``(m,) int64`` rows of the piece.
    """

    codes: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None
    ids_of: Callable[[NDArray[np.int64]], NDArray[np.int64]]

    @classmethod
    def of(cls, segment: Segment, chosen: NDArray[np.bool_] | Few | None) -> Piece:
        """A segment; where few rows are chosen, a copy of their codes alone."""
        if not isinstance(chosen, Few):
            return cls(segment.codes, chosen, segment.ids.ids_of)
        rows = chosen.rows
        return cls(
            segment.codes.take(rows, axis=0), None, lambda found: segment.ids.ids_of(rows[found])
        )


def joined(segments: Iterable[Masked]) -> list[Piece]:
    """Pieces in the order of the segments, runs of small ones copied into one."""
    pieces: list[Piece] = []
    run: list[Masked] = []
    for segment, mask in segments:
        if segment.rows < SMALL:
            run.append((segment, mask))
            continue
        pieces += _together(run)
        run = []
        pieces.append(Piece.of(segment, mask))
    return pieces + _together(run)


def _together(run: Sequence[Masked]) -> list[Piece]:
    if len(run) < 2:
        return [Piece.of(segment, mask) for segment, mask in run]
    mask = None
    if any(given is not None for _, given in run):
        mask = np.concatenate(
            [np.ones(segment.rows, bool) if given is None else given for segment, given in run]
        )
    ids = np.concatenate([segment.ids.all() for segment, _ in run])
    codes = np.concatenate([segment.codes for segment, _ in run])
    return [Piece(codes, mask, lambda found: ids[found])]
