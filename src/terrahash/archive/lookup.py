"""Finding the rows of a text without reading the texts: sorted CRC-32 and row, 8 bytes a row."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import TextColumn
from terrahash.archive.segments import Segment

# Columns that rows are found by.
INDEXED = ("source", "user_id")


def hashes_of(texts: Sequence[bytes]) -> NDArray[np.uint32]:
    """``(N,) uint32`` of texts in UTF-8."""
    return np.fromiter(map(zlib.crc32, texts), np.uint32, len(texts))


def build(column: TextColumn) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Ascending hashes of the texts of a column and the rows that have them."""
    data, ends = column.data.tobytes(), column.offsets.tolist()
    hashes = hashes_of([data[a:b] for a, b in pairwise(ends)])
    entries, absent = column.entry_of(np.arange(len(column)))
    rows = np.flatnonzero(~absent)
    return _sorted(hashes[entries[rows]], rows)


def join(
    parts: Sequence[tuple[Segment, NDArray[np.int64]]], name: str, order: NDArray[np.int64] | None
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The lookup of some rows of several segments, put end to end and then into an order."""
    hashes, places = [], []
    start = 0
    for segment, rows in parts:
        if name + ".hash" in segment:
            found = segment.array(name + ".hash")
            place = segment.array(name + ".hashrows").astype(np.int64)
            if len(rows) < segment.rows:
                position = np.full(segment.rows, -1, np.int64)
                position[rows] = np.arange(len(rows))
                kept = position[place] >= 0
                found, place = found[kept], position[place][kept]
            hashes.append(found)
            places.append(place + start)
        start += len(rows)
    if not hashes:
        return _sorted(np.empty(0, np.uint32), np.empty(0, np.int64))
    joined = np.concatenate(places)
    if order is not None:
        inverse = np.empty(len(order), np.int64)
        inverse[order] = np.arange(len(order))
        joined = inverse[joined]
    return _sorted(np.concatenate(hashes), joined)


def _sorted(
    hashes: NDArray[np.uint32], rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    keys = np.sort((hashes.astype(np.uint64) << np.uint64(32)) | rows.astype(np.uint64))
    return (keys >> np.uint64(32)).astype("<u4"), keys.astype("<u4")


class Needles:
    """Texts to be found, hashed and sorted once for all segments."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [text.encode() for text in texts]
        hashes = hashes_of(encoded)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._encoded = encoded

    def rows_in(self, segment: Segment, name: str) -> Iterator[tuple[int, int]]:
        """(needle, row) for every row of a segment that holds a needle, deleted rows too."""
        if name + ".hash" not in segment:
            return
        hashes = segment.array(name + ".hash")
        if not len(hashes):
            return
        left = np.searchsorted(hashes, self._hashes)
        found = np.flatnonzero(hashes[np.minimum(left, len(hashes) - 1)] == self._hashes)
        found = found[left[found] < len(hashes)]
        if not len(found):
            return
        right = np.searchsorted(hashes, self._hashes[found], side="right")
        rows = segment.array(name + ".hashrows")
        column = segment.column(name)
        if not isinstance(column, TextColumn):
            return
        for position, stop in zip(found.tolist(), right.tolist(), strict=True):
            needle = int(self._order[position])
            text = self._encoded[needle]
            candidates = rows[left[position] : stop]
            entries, _ = column.entry_of(candidates)
            same = {int(e): column.entry_bytes(int(e)) == text for e in np.unique(entries)}
            for row, entry in zip(candidates.tolist(), entries.tolist(), strict=True):
                if same[entry]:
                    yield needle, row
