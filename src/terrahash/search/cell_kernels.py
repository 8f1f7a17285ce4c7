"""The search through cells, compiled: one query on one thread, queries shared among threads."""

# Numba's decorators and types carry no annotations, so functions for the compiler have none.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit, types

from terrahash.search.intrinsics import constant, lesser, load, take_ticket
from terrahash.search.kernels import (
    PLANES,
    STEP_ROWS,
    code_words,
    compile_for,
    distanced,
    measured,
    offer,
    scored,
    sum_width,
)
from terrahash.search.ranking import DISTANCE_BITS

# Cells are visited in the order of their centres' distance, sorted into so many classes.
CLASSES = 256
# A piece of a cell takes as long to begin with as so many codes to read.
PIECE_COST = 150
# Looking up a row and whether a mask allows it takes as long as so many codes to read.
ROW_COST = 16
# A block of a cell's codes: pieces are short.
BLOCK_CODES = 256
# What a query reads before it is decided whether the cells are worth the rest.
TRIAL_SHARE = 64
LEAST_TRIAL = 1 << 12

# The addresses of the arrays of cells.
CODES, STARTS, ROWS, CENTRES, FIRST_RINGS, RINGS = range(6)

_TOPK = types.void(
    types.int64[::1],  # ticket
    types.uint8[:, ::1],  # queries
    types.uint8[::1],  # label mask
    types.int64,  # hash unit
    types.int64,  # label unit
    types.uint8[:, :, ::1],  # planes
    types.int64,  # shift
    types.int32[:, :, ::1],  # tables
    types.int64,  # radius
    types.int64[::1],  # addresses of the arrays of cells
    types.int64,  # codes
    types.int64,  # centres
    types.int64[:, ::1],  # nearest that a ring's codes can be to their centre, in the rank's unit
    types.int64[:, ::1],  # farthest
    types.int64[:, ::1],  # masks: first row and address of each chunk's, none if there is none
    types.int64,  # allowance: codes that may be read before the scan is cheaper
    types.int64[:, ::1],  # keys
    types.int64[:, ::1],  # rows
    types.int64[::1],  # dropped
    types.int64[::1],  # codes read; ~codes read by a query that gave up
)


@cache
def _kernel(width: int, words: int, mode: int) -> Any:
    return compile_for(_TOPK, _make_topk(width, sum_width(width, words, mode), words, mode))


def cells_kernel(nbytes: int, mode: int) -> Any:
    """The kernel that searches cells; see ``_TOPK``."""
    return _kernel(*code_words(nbytes), mode)


@njit
def _allowed(masks, row):
    if len(masks) == 0:
        return True
    low, high = 0, len(masks) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if masks[middle, 0] <= row:
            low = middle
        else:
            high = middle - 1
    return masks[low, 1] == 0 or load(masks[low, 1], row - masks[low, 0], 8) != 0


@njit
def _offer_rows(cells, code, masks, keys, rows, dropped, number, key):
    """Offer all rows of a code; returns how many were looked at."""
    first, last = code, code + 1
    if cells[STARTS] != 0:
        first = types.int64(load(cells[STARTS], code, 32))
        last = types.int64(load(cells[STARTS], code + 1, 32))
    for place in range(first, last):
        row = types.int64(load(cells[ROWS], place, 32))
        if _allowed(masks, row):
            if len(masks) == 0 and key == keys[number, 0] and row > rows[number, 0]:
                dropped[number] += last - place
                return place - first
            offer(keys, rows, dropped, number, key, row)
    return last - first


@njit
def _piece(cells, cell, away, limit, nearest, farthest):
    """The codes of a cell that can be within a limit: where they begin and end."""
    first = types.int64(load(cells[FIRST_RINGS], cell, 32))
    rings = types.int64(load(cells[FIRST_RINGS], cell + 1, 32)) - first - 1
    if rings == 0 or farthest[rings - 1] < away - limit or nearest[0] > away + limit:
        return 0, 0
    low, high = 0, rings
    while farthest[low] < away - limit:
        low += 1
    while high > low and nearest[high - 1] > away + limit:
        high -= 1
    start = types.int64(load(cells[RINGS], first + low, 32))
    return start, types.int64(load(cells[RINGS], first + high, 32))


@njit
def _by_class(away):
    """Cells in the order of their centres' distance, roughly."""
    largest = away.max() + 1
    ends = np.zeros(CLASSES + 1, np.int64)
    for cell in range(len(away)):
        ends[away[cell] * CLASSES // largest + 1] += 1
    for class_ in range(CLASSES):
        ends[class_ + 1] += ends[class_]
    order = np.empty(len(away), np.int64)
    for cell in range(len(away)):
        class_ = away[cell] * CLASSES // largest
        order[ends[class_]] = cell
        ends[class_] += 1
    return order


@njit
def _cost_left(cells, order, first, away, limit, nearest, farthest):
    cost = 0
    for place in range(first, len(order)):
        cell = order[place]
        start, stop = _piece(cells, cell, away[cell], limit, nearest, farthest)
        if start < stop:
            cost += stop - start + PIECE_COST
    return cost


def _make_topk(width: int, total: int, words: int, mode: int) -> Any:
    def topk(
        ticket,
        queries,
        label_mask,
        hash_unit,
        label_unit,
        planes,
        shift,
        tables,
        radius,
        cells,
        codes_count,
        centres_count,
        all_nearest,
        all_farthest,
        masks,
        allowance,
        keys,
        rows,
        dropped,
        read,
    ):
        nbytes = queries.shape[1]
        stride = words if words > 0 else nbytes * 8 // width
        layout = stride, nbytes, label_mask.ctypes.data, hash_unit, label_unit
        codes, centres = cells[CODES], cells[CENTRES]
        away = np.empty(centres_count, np.int64)
        trial = max(codes_count // TRIAL_SHARE, LEAST_TRIAL)
        while True:
            number = take_ticket(ticket.ctypes.data)
            if number >= len(queries):
                break
            query = queries.ctypes.data + number * nbytes
            plane = planes.ctypes.data + number * PLANES * nbytes
            nearest = all_nearest[number % len(all_nearest)]
            farthest = all_farthest[number % len(all_farthest)]
            if mode == 2:
                for cell in range(centres_count):
                    away[cell] = scored(centres, cell, query, nbytes, tables, number)
            else:
                for cell in range(centres_count):
                    near = distanced(centres, cell, query, layout, width, total, mode)
                    away[cell] = types.int64(near)
            order = _by_class(away)
            tried = False
            count = 0
            looked = 0
            for place in range(centres_count):
                cell = order[place]
                limit = keys[number, 0]
                if mode == 2:
                    limit >>= DISTANCE_BITS
                else:
                    limit = min(limit, radius)
                if count + looked * ROW_COST >= trial and not tried:
                    tried = True
                    if _cost_left(cells, order, place, away, limit, nearest, farthest) > allowance:
                        count = ~count
                        break
                begin, end = _piece(cells, cell, away[cell], limit, nearest, farthest)
                count += end - begin
                for start in range(begin, end, BLOCK_CODES):
                    stop = min(start + BLOCK_CODES, end)
                    smallest = constant(-1, total)
                    for code in range(start, stop):
                        near = measured(codes, code, query, plane, layout, width, total, mode)
                        smallest = lesser(smallest, near)
                    least = types.int64(smallest)
                    if mode == 2:
                        least <<= shift + DISTANCE_BITS
                    elif least > radius:
                        continue
                    if least > keys[number, 0]:
                        continue
                    for first in range(start, stop, STEP_ROWS):
                        last = min(first + STEP_ROWS, stop)
                        smallest = constant(-1, total)
                        for code in range(first, last):
                            near = measured(codes, code, query, plane, layout, width, total, mode)
                            smallest = lesser(smallest, near)
                        least = types.int64(smallest)
                        if mode == 2:
                            least <<= shift + DISTANCE_BITS
                        if least > keys[number, 0]:
                            continue
                        for code in range(first, last):
                            near = measured(codes, code, query, plane, layout, width, total, mode)
                            key = types.int64(near)
                            if mode == 2:
                                if key << (shift + DISTANCE_BITS) > keys[number, 0]:
                                    continue
                                units = distanced(codes, code, query, layout, width, total, mode)
                                score = scored(codes, code, query, nbytes, tables, number)
                                key = (score << DISTANCE_BITS) | types.int64(units)
                            if key <= keys[number, 0] and (mode == 2 or key <= radius):
                                looked += _offer_rows(
                                    cells, code, masks, keys, rows, dropped, number, key
                                )
            read[number] = count

    return topk
