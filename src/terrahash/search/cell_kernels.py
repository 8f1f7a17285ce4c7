"""The search through cells, compiled: one query on one thread, queries shared among threads."""

# Numba's decorators and types carry no annotations, so functions for the compiler have none.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit, types

from terrahash.search.intrinsics import constant, lesser, load, store, take_ticket
from terrahash.search.kernels import (
    PLANES,
    STEP_ROWS,
    TABLE_BYTES,
    code_words,
    compile_for,
    distanced,
    measured,
    number_at,
    offer,
    result_of,
    scored,
    sum_width,
)
from terrahash.search.ranking import DISTANCE_BITS

# So many cells with the nearest centres are visited first; what they hold rules most others out.
NEAREST_CELLS = 16
# The others are visited in the order of their centres' distance, sorted into so many classes.
CLASSES = 256
# A piece of a cell takes as long to begin with as so many codes to read.
PIECE_COST = 150
# The cost left is estimated from every so many-th cell.
COST_STRIDE = 32
# Looking up a row and whether a mask allows it takes as long as so many codes to read.
ROW_COST = 16
# A block of a cell's codes: pieces are short.
BLOCK_CODES = 256
# What a query reads before it is decided whether the cells are worth the rest.
TRIAL_SHARE = 256
LEAST_TRIAL = 1 << 12

# The addresses of the arrays of cells.
CODES, STARTS, ROWS, CENTRES, FIRST_RINGS, RINGS, LAST_RINGS = range(7)

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
    types.int64,  # width of a ring where that says it all, or 0
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
def _allowed(masks, chunks, row):
    """Whether a row may be returned; masks is the address of pairs (first row, address)."""
    low, high = 0, chunks - 1
    while low < high:
        middle = (low + high + 1) // 2
        if number_at(masks, 2 * middle) <= row:
            low = middle
        else:
            high = middle - 1
    mask = number_at(masks, 2 * low + 1)
    return mask == 0 or load(mask, row - number_at(masks, 2 * low), 8) != 0


@njit
def _offer_rows(starts, code_rows, code, masks, chunks, result, key):
    """Offer all rows of a code; returns how many were looked at."""
    keys, held, dropped, _ = result
    first, last = code, code + 1
    if starts != 0:
        first = types.int64(load(starts, code, 32))
        last = types.int64(load(starts, code + 1, 32))
    for place in range(first, last):
        row = types.int64(load(code_rows, place, 32))
        if chunks == 0 and key == number_at(keys, 0) and row > number_at(held, 0):
            store(dropped, 0, number_at(dropped, 0) + last - place)
            return place - first
        if chunks == 0 or _allowed(masks, chunks, row):
            offer(result, key, row)
    return last - first


@njit
def _piece(first_rings, rings, cell, away, limit, nearest, farthest, width):
    """The codes of a cell that can be within a limit: where they begin and end.

    With a width above 0 ring r holds distances from r * width; else ``nearest`` and ``farthest``
    tell, at the address of each, what the codes of a ring can be from their centre.
    """
    first = types.int64(load(first_rings, cell, 32))
    high = types.int64(load(first_rings, cell + 1, 32)) - first - 1
    if high == 0 or number_at(farthest, high - 1) < away - limit:
        return 0, 0
    low = 0
    if width > 0:
        if away > limit:
            low = min(high, (away - limit) // width)
        high = min(high, (away + limit) // width + 1)
    else:
        while number_at(farthest, low) < away - limit:
            low += 1
        while high > low and number_at(nearest, high - 1) > away + limit:
            high -= 1
    start = types.int64(load(rings, first + low, 32))
    return start, types.int64(load(rings, first + high, 32))


@njit
def _nearest(away, order):
    """Begin an order of cells with those of the nearest centres; returns how many."""
    held = 0
    for cell in range(len(away)):
        if held == NEAREST_CELLS and away[cell] >= away[order[held - 1]]:
            continue
        held = min(held + 1, NEAREST_CELLS)
        place = held - 1
        while place > 0 and away[order[place - 1]] > away[cell]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = cell
    return held


@njit
def _others(away, order, done, last_rings, farthest, limit):
    """Continue an order with the other cells that can hold a code within a limit, the nearer
    centres first, roughly; returns how many there are in all."""
    for place in range(done):
        away[order[place]] = -1
    found = np.empty(len(away), np.int64)
    count = 0
    largest = 0
    for cell in range(len(away)):
        reach = number_at(farthest, number_at(last_rings, cell)) + limit
        if 0 <= away[cell] <= reach:
            found[count] = cell
            count += 1
            largest = max(largest, away[cell])
    shift = 0
    while largest >> shift >= CLASSES:
        shift += 1
    ends = np.zeros(CLASSES + 1, np.int64)
    for cell in found[:count]:
        ends[(away[cell] >> shift) + 1] += 1
    for class_ in range(CLASSES):
        ends[class_ + 1] += ends[class_]
    for cell in found[:count]:
        class_ = away[cell] >> shift
        order[done + ends[class_]] = cell
        ends[class_] += 1
    return done + count


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
        ring_width,
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
        first_rings, rings = cells[FIRST_RINGS], cells[RINGS]
        mask_table, chunks = masks.ctypes.data, len(masks)
        ring_bytes = all_nearest.shape[1] * 8
        away = np.empty(centres_count, np.int64)
        order = np.empty(centres_count, np.int64)
        trial = max(codes_count // TRIAL_SHARE, LEAST_TRIAL)
        while True:
            number = take_ticket(ticket.ctypes.data)
            if number >= len(queries):
                break
            query = queries.ctypes.data + number * nbytes
            plane = planes.ctypes.data + number * PLANES * nbytes
            table = tables.ctypes.data + number * nbytes * TABLE_BYTES
            nearest = all_nearest.ctypes.data + number % len(all_nearest) * ring_bytes
            farthest = all_farthest.ctypes.data + number % len(all_farthest) * ring_bytes
            result = result_of(keys, rows, dropped, number)
            if mode == 2:
                for cell in range(centres_count):
                    away[cell] = scored(centres, cell, query, nbytes, table)
            else:
                for cell in range(centres_count):
                    near = distanced(centres, cell, query, layout, width, total, mode)
                    away[cell] = types.int64(near)
            ordered = _nearest(away, order)
            all_ordered = tried = False
            count = looked = place = 0
            while True:
                limit = keys[number, 0]
                if mode == 2:
                    limit >>= DISTANCE_BITS
                else:
                    limit = min(limit, radius)
                if place == ordered and not all_ordered:
                    all_ordered = True
                    ordered = _others(away, order, ordered, cells[LAST_RINGS], farthest, limit)
                if place == ordered:
                    break
                cell = order[place]
                if all_ordered and count + looked * ROW_COST >= trial and not tried:
                    tried = True
                    cost = 0
                    for later in range(place, ordered, COST_STRIDE):
                        begin, end = _piece(
                            first_rings, rings, order[later], away[order[later]], limit,
                            nearest, farthest, ring_width,
                        )  # fmt: skip
                        if begin < end:
                            cost += COST_STRIDE * (end - begin + PIECE_COST)
                    if cost > allowance:
                        count = ~count
                        break
                begin, end = _piece(
                    first_rings, rings, cell, away[cell], limit, nearest, farthest, ring_width
                )
                place += 1
                count += end - begin
                for start in range(begin, end, BLOCK_CODES):
                    stop = min(start + BLOCK_CODES, end)
                    smallest = constant(-1, total)
                    # Whole steps, though the last may reach into the next cell: quicker than one
                    # code at a time, and what is not of this piece is not looked at below.
                    steps = (stop - start + STEP_ROWS - 1) // STEP_ROWS
                    for code in range(start, min(start + steps * STEP_ROWS, codes_count)):
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
                                score = scored(codes, code, query, nbytes, table)
                                key = (score << DISTANCE_BITS) | types.int64(units)
                            if key <= keys[number, 0] and (mode == 2 or key <= radius):
                                looked += _offer_rows(
                                    cells[STARTS],
                                    cells[ROWS],
                                    code,
                                    mask_table,
                                    chunks,
                                    result,
                                    key,
                                )
            read[number] = count

    return topk
