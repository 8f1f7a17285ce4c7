"""The compiled loops of :mod:`sketching`; all release the GIL."""

# Numba's decorators and types carry no annotations, so functions for the compiler have none.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import types

from terrahash.archive.zones import LEVELS
from terrahash.search.kernels import compile_for

# Rows whose judgements stay in the fastest cache while one column after the other is read.
TILE_ROWS = 1 << 13

_STORED = types.Array(types.uint8, 1, "C", readonly=True)
_BYTES = types.uint8[::1]


def _lower(stored, places, bounds, zone_rows, out):
    """Lower the judgements of rows to what the sketches of all columns say.

    Args:
        stored: a segment's file.
        places: ``(columns,)`` where the sketch of the first row lies in it.
        bounds: ``(columns, blocks, 4)``, see ``sketching._ranges``.
        zone_rows: rows of a block.
        out: judgements.
    """
    for block in range(bounds.shape[1]):
        end = min((block + 1) * zone_rows, len(out))
        for first in range(block * zone_rows, end, TILE_ROWS):
            stop = min(first + TILE_ROWS, end)
            for column in range(len(places)):
                bound = bounds[column, block]
                if bound[0] > bound[1]:
                    out[first:stop] = 0
                    break
                low, high = np.uint8(bound[0]), np.uint8(bound[1])
                sure_low, sure_high = np.uint8(LEVELS), np.uint8(0)
                if bound[2] <= bound[3]:
                    sure_low, sure_high = np.uint8(bound[2]), np.uint8(bound[3])
                # Slices, from 0 on: only then does LLVM see that it may take many rows at a time.
                values = stored[places[column] + first : places[column] + stop]
                judged = out[first:stop]
                for row in range(len(judged)):
                    perhaps = np.uint8((values[row] >= low) & (values[row] <= high))
                    surely = np.uint8((values[row] >= sure_low) & (values[row] <= sure_high))
                    judged[row] = min(judged[row], np.uint8(perhaps + surely))


def _lower_coded(codes, table, out):
    """Lower the judgements of rows to what a table says of their codes."""
    for row in range(len(out)):
        out[row] = min(out[row], table[codes[row]])


def _collect(judgement, rows):
    """Number the rows above 0; gives how many, or -1 for more than all but eight of the room."""
    found = 0
    most = len(rows) - 8
    words = judgement[: len(judgement) // 8 * 8].view(np.uint64)
    for word in range(len(words)):
        if words[word]:
            if found > most:
                return -1
            for row in range(8 * word, 8 * word + 8):
                rows[found] = row
                found += judgement[row] != 0
    for row in range(8 * len(words), len(judgement)):
        if judgement[row]:
            if found > most:
                return -1
            rows[found] = row
            found += 1
    return found if found <= most else -1


lower = compile_for(
    types.void(_STORED, types.int64[::1], types.int16[:, :, ::1], types.int64, _BYTES), _lower
)
lower_coded = {
    dtype.itemsize: compile_for(
        types.void(types.Array(code, 1, "C", readonly=True), _BYTES, _BYTES), _lower_coded
    )
    for dtype, code in ((np.dtype(np.uint8), types.uint8), (np.dtype(np.uint16), types.uint16))
}
collect = compile_for(types.int64(_BYTES, types.int64[::1]), _collect)
