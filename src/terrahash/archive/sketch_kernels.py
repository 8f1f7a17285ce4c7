"""The compiled loops of :mod:`sketching`; both release the GIL."""

# Numba's decorators and types carry no annotations, so functions for the compiler have none.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import types

from terrahash.archive.zones import LEVELS, ZONE_ROWS
from terrahash.search.kernels import compile_for

_STORED = types.Array(types.uint8, 1, "C", readonly=True)
_BYTES = types.uint8[::1]


def _lower(sketch, bounds, out):
    """Lower the judgements of rows to what the sketches of one more column say."""
    for block in range(len(bounds)):
        first, stop = block * ZONE_ROWS, min((block + 1) * ZONE_ROWS, len(out))
        if bounds[block, 0] > bounds[block, 1]:
            out[first:stop] = 0
            continue
        low, high = np.uint8(bounds[block, 0]), np.uint8(bounds[block, 1])
        sure_low, sure_high = np.uint8(LEVELS), np.uint8(0)
        if bounds[block, 2] <= bounds[block, 3]:
            sure_low, sure_high = np.uint8(bounds[block, 2]), np.uint8(bounds[block, 3])
        # Slices, from 0 on: only then does LLVM see that it may take many rows at a time.
        values, judged = sketch[first:stop], out[first:stop]
        for row in range(len(judged)):
            perhaps = np.uint8((values[row] >= low) & (values[row] <= high))
            surely = np.uint8((values[row] >= sure_low) & (values[row] <= sure_high))
            judged[row] = min(judged[row], np.uint8(perhaps + surely))


def _collect(judgement, rows):
    """Number the rows above 0, as many as there is room for; gives how many, or -1 for too many."""
    found = 0
    words = judgement[: len(judgement) // 8 * 8].view(np.uint64)
    for word in range(len(words)):
        if words[word]:
            for row in range(8 * word, 8 * word + 8):
                if judgement[row]:
                    if found == len(rows):
                        return -1
                    rows[found] = row
                    found += 1
    for row in range(8 * len(words), len(judgement)):
        if judgement[row]:
            if found == len(rows):
                return -1
            rows[found] = row
            found += 1
    return found


lower = compile_for(types.void(_STORED, types.int16[:, ::1], _BYTES), _lower)
collect = compile_for(types.int64(_BYTES, types.int64[::1]), _collect)
