"""Fused scans compiled by numba: difference, bit count and running threshold in one pass.

A kernel walks ranges of rows, taken one by one from a counter that all threads share. Rows are
compared in blocks: a first pass that LLVM turns into vector instructions computes only the
smallest distance in the block, and rarely, when that could enter the result, a second pass looks
at the rows one by one.

Kernels are made for a word and a number of words by factories whose inner functions close over
whole numbers only: only then does numba find them again in its cache on disk. Parts of kernels take
addresses instead of arrays, because numba counts references to arrays wherever it passes them on,
which costs more than what these parts do.
"""

# Numba's decorators and types carry no annotations, so functions for the compiler have none.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from functools import cache
from typing import Any

from numba import njit, types

from terrahash.search.intrinsics import (
    both,
    constant,
    differing,
    either,
    exchange_if,
    lesser,
    load,
    minus,
    plus,
    popcount,
    shifted,
    store,
    take_ticket,
    times,
)
from terrahash.search.ranking import DISTANCE_BITS

# Bytes of a block: small enough for the first-level cache, large enough to amortise its overhead.
BLOCK_BYTES = 1 << 13
LEAST_BLOCK_ROWS = 128
# Rows of a step through a block that may hold a match.
STEP_ROWS = 32
# Up to so many words a code's loop is unrolled; longer ones are summed along the code.
UNROLLED_WORDS = {64: 5, 32: 7, 16: 7, 8: 7}
# Leading binary digits of the magnitudes that bound an asymmetric score from below.
PLANES = 5
# Bytes of a query's table of the scores of one byte's values.
TABLE_BYTES = 256 * 4
# A key above all others, for places in a result that are not filled.
NO_KEY = 1 << 62

# What a helping thread's state may be: it may publish, is publishing, or must not any more.
OPEN, PUBLISHING, CLOSED = range(3)
# What a kernel ranks by.
PLAIN, WEIGHTED, ASYMMETRIC = range(3)
# Columns of the array of ranges: address of the chunk, address of its mask or 0, rows, first row.
CODES, MASK, START, STOP, BASE = range(5)
# Columns of what a radius search finds.
QUERY, KEY, ROW = range(3)
# Where a radius search that ran out of room goes on, and how much it has found.
RANGE, BLOCK, NEXT_QUERY, FOUND = range(4)

_ints = types.int64[::1]
_int_rows = types.int64[:, ::1]
_QUERY_TYPES = (
    types.uint8[:, ::1],  # queries
    types.uint8[::1],  # label mask
    types.int64,  # hash unit
    types.int64,  # label unit
)
_TOPK = types.void(
    _int_rows,  # ranges
    _ints,  # ticket
    *_QUERY_TYPES,
    types.uint8[:, :, ::1],  # planes
    types.int64,  # shift
    types.int32[:, :, ::1],  # tables
    types.int64,  # radius
    _int_rows,  # keys
    _int_rows,  # rows
    _ints,  # dropped
    _int_rows,  # published keys
    _int_rows,  # published rows
    _ints,  # published dropped
    _ints,  # state
    types.uint8[::1],  # ranges done
)
_COLLECT = types.boolean(
    _int_rows,  # ranges
    _ints,  # ticket
    *_QUERY_TYPES,
    types.int64,  # radius
    _ints,  # state
    _int_rows,  # found
)


def compile_for(signature: Any, function: Any) -> Any:
    """Compile for one signature, with the code kept on disk where numba finds a place for it.

    That is beside the source, or the user's cache folder for a read-only install.
    """
    try:
        return njit(signature, nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder that it may write to
        return njit(signature, nogil=True)(function)


def inlined(function: Any) -> Any:
    """Make a part of kernels that sees their constants."""
    return njit(inline="always")(function)


def topk_kernel(nbytes: int, mode: int) -> Any:
    """The kernel that keeps each query's ``k`` smallest (key, row); see ``_TOPK``."""
    return _topk_kernel(*code_words(nbytes), mode)


def collect_kernel(nbytes: int, mode: int) -> Any:
    """The kernel that collects all rows within a radius; see ``_COLLECT``."""
    return _collect_kernel(*code_words(nbytes), mode)


@cache
def _topk_kernel(width: int, words: int, mode: int) -> Any:
    return compile_for(_TOPK, _make_topk(width, sum_width(width, words, mode), words, mode))


@cache
def _collect_kernel(width: int, words: int, mode: int) -> Any:
    return compile_for(_COLLECT, _make_collect(width, sum_width(width, words, mode), words, mode))


def code_words(nbytes: int) -> tuple[int, int]:
    """Width in bits of the words of a code, and their number, or 0 for "many"."""
    width = next(width for width in (64, 32, 16, 8) if nbytes * 8 % width == 0)
    words = nbytes * 8 // width
    return width, words if words <= UNROLLED_WORDS[width] else 0


def sum_width(width: int, words: int, mode: int) -> int:
    """Bits of the sums: weighted ones reach 2^20, those of 1024 bits need two bytes."""
    if mode != PLAIN:
        return max(width, 32)
    return max(width, 8 if words else 16)


@inlined
def measured(codes, row, query, plane, layout, width, total, mode):
    """The distance in units, or in asymmetric mode a lower bound of the score in leading digits.

    ``layout`` is (stride in words, bytes, address of the label mask, hash unit, label unit).
    """
    if mode == 2:
        return _bounded(codes, row, query, plane, layout, width, total)
    return distanced(codes, row, query, layout, width, total, mode)


@inlined
def distanced(codes, row, query, layout, width, total, mode):
    """The distance in units."""
    stride, _, labels, hash_unit, label_unit = layout
    in_hash = constant(0, total)
    in_labels = constant(0, total)
    for word in range(stride):
        bits = differing(load(codes, row * stride + word, width), load(query, word, width))
        if mode != 0:
            label = both(bits, load(labels, word, width))
            in_labels = plus(in_labels, popcount(label))
            bits = differing(bits, label)
        in_hash = plus(in_hash, popcount(bits))
    if mode == 0:
        return in_hash
    return plus(times(in_hash, hash_unit), times(in_labels, label_unit))


@inlined
def _bounded(codes, row, query, plane, layout, width, total):
    stride, nbytes, _, _, _ = layout
    bound = constant(0, total)
    for word in range(stride):
        bits = differing(load(codes, row * stride + word, width), load(query, word, width))
        for digit in range(PLANES):
            weighing = both(bits, load(plane + digit * nbytes, word, width))
            bound = plus(bound, shifted(plus(constant(0, total), popcount(weighing)), digit))
    return bound


@njit
def number_at(address, index):
    """The ``index``-th int64 from an address."""
    return types.int64(load(address, index, 64))


@inlined
def result_of(keys, rows, dropped, query):
    """Where a query's result lies, for :func:`offer`."""
    size = keys.shape[1]
    return (
        keys.ctypes.data + query * size * 8,
        rows.ctypes.data + query * size * 8,
        dropped.ctypes.data + query * 8,
        size,
    )


@njit
def offer(result, key, row):
    """Offer a row to a query's result, a max-heap ordered by (key, row).

    ``result`` is (address of the keys, of the rows, of the number of dropped rows, size); dropped
    are rows at the worst key that are not held.
    """
    keys, rows, dropped, size = result
    worst = number_at(keys, 0)
    if key > worst:
        return
    if key == worst and row > number_at(rows, 0):
        store(dropped, 0, number_at(dropped, 0) + 1)
        return
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        child_key, child_row = number_at(keys, child), number_at(rows, child)
        if child + 1 < size:
            other_key, other_row = number_at(keys, child + 1), number_at(rows, child + 1)
            if other_key > child_key or (other_key == child_key and other_row > child_row):
                child, child_key, child_row = child + 1, other_key, other_row
        if child_key < key or (child_key == key and child_row < row):
            break
        store(keys, place, child_key)
        store(rows, place, child_row)
        place = child
    store(keys, place, key)
    store(rows, place, row)
    if number_at(keys, 0) != worst:
        store(dropped, 0, 0)
    elif worst != NO_KEY:
        store(dropped, 0, number_at(dropped, 0) + 1)


@njit
def any_set(mask, start, stop):
    """Whether a mask allows any of a block's rows."""
    found = constant(0, 8)
    for row in range(start, stop):
        found = either(found, load(mask, row, 8))
    return found != 0


@njit
def scored(codes, row, query, nbytes, tables):
    """The asymmetric score in steps, by the query's tables."""
    score = 0
    for byte in range(nbytes):
        bits = differing(load(codes, row * nbytes + byte, 8), load(query, byte, 8))
        score += types.int64(load(tables, byte * 256 + types.int64(bits), 32))
    return score


def _make_topk(width: int, total: int, words: int, mode: int) -> Any:
    def topk(
        ranges,
        ticket,
        queries,
        label_mask,
        hash_unit,
        label_unit,
        planes,
        shift,
        tables,
        radius,
        keys,
        rows,
        dropped,
        published_keys,
        published_rows,
        published_dropped,
        state,
        done,
    ):
        nbytes = queries.shape[1]
        stride = words if words > 0 else nbytes * 8 // width
        layout = stride, nbytes, label_mask.ctypes.data, hash_unit, label_unit
        block_rows = max(BLOCK_BYTES // nbytes, LEAST_BLOCK_ROWS)
        while True:
            current = take_ticket(ticket.ctypes.data)
            if current >= len(ranges):
                break
            codes, mask = ranges[current, CODES], ranges[current, MASK]
            base, end = ranges[current, BASE], ranges[current, STOP]
            for start in range(ranges[current, START], end, block_rows):
                stop = min(start + block_rows, end)
                if mask != 0 and not any_set(mask, start, stop):
                    continue
                for number in range(len(queries)):
                    query = queries.ctypes.data + number * nbytes
                    plane = planes.ctypes.data + number * PLANES * nbytes
                    table = tables.ctypes.data + number * nbytes * TABLE_BYTES
                    result = result_of(keys, rows, dropped, number)
                    worst = keys[number, 0]
                    smallest = constant(-1, total)
                    if mask == 0:
                        for row in range(start, stop):
                            near = measured(codes, row, query, plane, layout, width, total, mode)
                            smallest = lesser(smallest, near)
                    else:
                        for row in range(start, stop):
                            near = measured(codes, row, query, plane, layout, width, total, mode)
                            allowed = plus(constant(0, total), load(mask, row, 8))
                            near = either(near, minus(allowed, constant(1, total)))
                            smallest = lesser(smallest, near)
                    least = types.int64(smallest)
                    if mode == 2:
                        if least << (shift + DISTANCE_BITS) > worst:
                            continue
                    elif least > worst or least > radius:
                        continue
                    elif least == worst and base + start > rows[number, 0]:
                        # No condition on the mask inside the loop: it would become a vector load
                        # from address 0 with all lanes off, which takes processors very long.
                        count = 0
                        if mask == 0:
                            for row in range(start, stop):
                                near = distanced(codes, row, query, layout, width, total, mode)
                                count += near == smallest
                        else:
                            for row in range(start, stop):
                                near = distanced(codes, row, query, layout, width, total, mode)
                                count += (near == smallest) & load(mask, row, 8)
                        dropped[number] += count
                        continue
                    for first in range(start, stop, STEP_ROWS):
                        last = min(first + STEP_ROWS, stop)
                        smallest = constant(-1, total)
                        for row in range(first, last):
                            near = measured(codes, row, query, plane, layout, width, total, mode)
                            smallest = lesser(smallest, near)
                        least = types.int64(smallest)
                        if mode == 2:
                            least <<= shift + DISTANCE_BITS
                        if least > keys[number, 0]:
                            continue
                        for row in range(first, last):
                            if mask != 0 and load(mask, row, 8) == 0:
                                continue
                            near = measured(codes, row, query, plane, layout, width, total, mode)
                            key = types.int64(near)
                            if mode == 2:
                                if key << (shift + DISTANCE_BITS) > keys[number, 0]:
                                    continue
                                units = distanced(codes, row, query, layout, width, total, mode)
                                score = scored(codes, row, query, nbytes, table)
                                key = (score << DISTANCE_BITS) | types.int64(units)
                            if key <= keys[number, 0] and (mode == 2 or key <= radius):
                                offer(result, key, base + row)
            if exchange_if(state.ctypes.data, OPEN, PUBLISHING) != OPEN:
                break
            published_keys[:] = keys
            published_rows[:] = rows
            published_dropped[:] = dropped
            done[current] = 1
            exchange_if(state.ctypes.data, PUBLISHING, OPEN)

    return topk


def _close(state):
    """Keep a thread from publishing more; returns whether that has come into force."""
    return exchange_if(state.ctypes.data, OPEN, CLOSED) != PUBLISHING


@cache
def close_kernel() -> Any:
    """Compiled :func:`_close`."""
    return compile_for(types.boolean(_ints), _close)


def _make_collect(width: int, total: int, words: int, mode: int) -> Any:
    def collect(ranges, ticket, queries, label_mask, hash_unit, label_unit, radius, state, found):
        nbytes = queries.shape[1]
        stride = words if words > 0 else nbytes * 8 // width
        layout = stride, nbytes, label_mask.ctypes.data, hash_unit, label_unit
        block_rows = max(BLOCK_BYTES // nbytes, LEAST_BLOCK_ROWS)
        count = state[FOUND]
        current = state[RANGE]
        while True:
            if current < 0:
                current = take_ticket(ticket.ctypes.data)
                if current >= len(ranges):
                    break
                state[BLOCK], state[NEXT_QUERY] = ranges[current, START], 0
            codes, mask = ranges[current, CODES], ranges[current, MASK]
            base, end = ranges[current, BASE], ranges[current, STOP]
            for start in range(state[BLOCK], end, block_rows):
                stop = min(start + block_rows, end)
                first = state[NEXT_QUERY]
                state[NEXT_QUERY] = 0
                if mask != 0 and not any_set(mask, start, stop):
                    continue
                for number in range(first, len(queries)):
                    if count + stop - start > len(found):
                        state[RANGE], state[BLOCK] = current, start
                        state[NEXT_QUERY], state[FOUND] = number, count
                        return False
                    query = queries.ctypes.data + number * nbytes
                    smallest = constant(-1, total)
                    for row in range(start, stop):
                        near = distanced(codes, row, query, layout, width, total, mode)
                        smallest = lesser(smallest, near)
                    if types.int64(smallest) > radius:
                        continue
                    for row in range(start, stop):
                        near = distanced(codes, row, query, layout, width, total, mode)
                        units = types.int64(near)
                        if units <= radius and (mask == 0 or load(mask, row, 8) != 0):
                            found[count, QUERY] = number
                            found[count, KEY] = units
                            found[count, ROW] = base + row
                            count += 1
            current = -1
        state[FOUND] = count
        return True

    return collect
