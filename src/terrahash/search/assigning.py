"""The nearest centre of each code, by a compiled kernel on several threads."""

# Numba's decorators and types carry no annotations, so functions for the compiler have none.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.search.intrinsics import constant, either, lesser, shifted, take_ticket
from terrahash.search.kernels import (
    code_words,
    compile_for,
    distanced,
)
from terrahash.search.scan import mode_of
from terrahash.search.workers import run_on_threads, thread_count

# Codes that a thread takes at a time.
PIECE_ROWS = 1 << 12
# The lower bits of a sum hold the centre while the smallest is looked for.
CENTRE_BITS = 13

_ASSIGN = types.void(
    types.int64[::1],  # ticket
    types.int64,  # address of the codes
    types.int64,  # codes
    types.uint8[:, ::1],  # centres
    types.uint8[::1],  # label mask
    types.int64,  # hash unit
    types.int64,  # label unit
    types.uint32[::1],  # cells
    types.uint32[::1],  # distances
)


def nearest_centres(
    codes: NDArray[np.uint8], centres: NDArray[np.uint8], layout: CodeLayout
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """For each code its nearest centre, the first of equals, and the distance in units.

    Args:
        codes: ``(n, nbytes) uint8``.
        centres: ``(c, nbytes) uint8``, at most 8192.
        layout: of both.

    Returns:
        ``(n,) uint32`` indices and ``(n,) uint32`` distances.
    """
    codes = np.ascontiguousarray(codes)
    kernel = _kernel(*code_words(layout.nbytes), mode_of(layout))
    cells, away = np.empty(len(codes), np.uint32), np.empty(len(codes), np.uint32)
    ticket = np.zeros(1, np.int64)
    label_mask = layout.label_mask()
    hash_unit, label_unit, _ = layout.units

    def work(_number: int) -> None:
        kernel(
            ticket,
            codes.ctypes.data,
            len(codes),
            centres,
            label_mask,
            hash_unit,
            label_unit,
            cells,
            away,
        )

    run_on_threads(work, min(thread_count(), len(codes) // PIECE_ROWS + 1))
    return cells, away


@cache
def _kernel(width: int, words: int, mode: int) -> Any:
    # Sums of 2^20 and 13 bits for the centre do not fit in 32 bits; unweighted ones do.
    total = 64 if width == 64 or mode else 32
    return compile_for(_ASSIGN, _make_assign(width, total, words, mode))


def _make_assign(width: int, total: int, words: int, mode: int) -> Any:
    def assign(ticket, codes, rows, centres, label_mask, hash_unit, label_unit, cells, away):
        nbytes = centres.shape[1]
        stride = words if words > 0 else nbytes * 8 // width
        layout = stride, nbytes, label_mask.ctypes.data, hash_unit, label_unit
        first_centre = centres.ctypes.data
        while True:
            start = take_ticket(ticket.ctypes.data) * PIECE_ROWS
            if start >= rows:
                break
            for row in range(start, min(start + PIECE_ROWS, rows)):
                code = codes + row * nbytes
                smallest = constant(-1, total)
                for centre in range(len(centres)):
                    near = distanced(first_centre, centre, code, layout, width, total, mode)
                    numbered = either(shifted(near, CENTRE_BITS), centre)
                    smallest = lesser(smallest, numbered)
                best = types.int64(smallest)
                cells[row] = best & ((1 << CENTRE_BITS) - 1)
                away[row] = best >> CENTRE_BITS

    return assign
