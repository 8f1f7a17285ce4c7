"""What the sketches of some blocks say of their rows: no, perhaps or surely, for all tests at once.

Judgements are bytes, so that "and" is the smaller of two and "or" the larger. Tests that a row must
all meet become, in each block, one range of sketches a column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import KINDS
from terrahash.archive.segments import Segment
from terrahash.archive.zones import LEVELS, ZONE_ROWS, sketched
from terrahash.search.paths import counted, kernels_pay

Judgement: TypeAlias = NDArray[np.uint8]
NO, PERHAPS, SURELY = 0, 1, 2
# The sketch of an absent value, and of a footprint's west that lies across the antimeridian: such a
# row never surely meets a test.
ABSENT = 0


@dataclass(frozen=True)
class Limit:
    """A column of numbers against one of them.

    Attributes:
        column: its name.
        sign: ``=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: what it is compared with.
    """

    column: str
    sign: str
    value: Any


def judge(segment: Segment, limits: Sequence[Limit], rows: slice) -> Judgement | None:
    """Judge the rows of some blocks, ``(n,) uint8``; None if a column has no sketches."""
    blocks = slice(rows.start // ZONE_ROWS, -(-rows.stop // ZONE_ROWS))
    ranges: dict[str, NDArray[np.int16]] = {}
    for limit in limits:
        if limit.column + ".sketch" not in segment:
            return None
        found = _ranges(segment, limit, blocks)
        known = ranges.get(limit.column)
        ranges[limit.column] = found if known is None else _both(known, found)
    out = np.full(rows.stop - rows.start, SURELY, np.uint8)
    lower = _lowering()
    for name, bounds in ranges.items():
        lower(segment.array(name + ".sketch")[rows], bounds, out)
    return out


def counting() -> AbstractContextManager[None]:
    """Count the time of filters by numpy towards the loading of the compiled loops."""
    return nullcontext() if _compiled() else counted()


def few(judgement: Judgement, most: int) -> NDArray[np.int64] | None:
    """``(n,) int64`` rows that perhaps or surely meet the tests; None if that is too many."""
    if _compiled():
        from terrahash.archive.sketch_kernels import collect

        rows = np.empty(most, np.int64)
        count = collect(judgement, rows)
        return rows[:count] if count >= 0 else None
    return np.flatnonzero(judgement != NO) if np.count_nonzero(judgement) <= most else None


def _compiled() -> bool:
    """Whether the compiled loops are to be used, as soon as searches are compiled too."""
    return kernels_pay(0, asymmetric=False)


def _lowering() -> Callable[..., Any]:
    if not _compiled():
        return _lower
    from terrahash.archive.sketch_kernels import lower

    return cast("Callable[..., Any]", lower)


def _lower(sketch: NDArray[np.uint8], bounds: NDArray[np.int16], out: Judgement) -> None:
    """Lower the judgements of rows to what the sketches of one more column say."""
    for number, (low, high, sure_low, sure_high) in enumerate(bounds.tolist()):
        rows = slice(number * ZONE_ROWS, (number + 1) * ZONE_ROWS)
        perhaps = (sketch[rows] >= low) & (sketch[rows] <= high)
        surely = (sketch[rows] >= sure_low) & (sketch[rows] <= sure_high)
        np.minimum(out[rows], perhaps.view(np.uint8) + surely.view(np.uint8), out=out[rows])


def _ranges(segment: Segment, limit: Limit, blocks: slice) -> NDArray[np.int16]:
    """Which sketches allow, and which force, a value to compare as a limit says.

    A smaller sketch means a smaller value, and a smaller value no larger sketch.

    Returns:
        ``(blocks, 4)``: first and last sketch of a row that perhaps meets it, first and last of
        one that surely does; a range whose first is the larger is empty.
    """
    zones = segment.array(limit.column + ".zones")[blocks]
    low, high = zones[:, 0], zones[:, 1]
    # As numpy compares them: a column of float32 rounds the limit.
    narrow = KINDS[segment.footer.columns[limit.column]].dtype == "<f4"
    place = sketched(float(np.float32(limit.value)) if narrow else limit.value, low, high)
    out = np.empty((len(zones), 4), np.int16)
    match limit.sign:
        case "=":
            out[:] = np.stack([place, place, place + 1, place], axis=1)
        case "<" | "<=":
            all_meet = (high < limit.value) if limit.sign == "<" else (high <= limit.value)
            out[:, 0], out[:, 1] = 0, place
            out[:, 2], out[:, 3] = ABSENT + 1, np.where(all_meet, LEVELS, place - 1)
        case ">" | ">=":
            all_meet = (low > limit.value) if limit.sign == ">" else (low >= limit.value)
            out[:, 0], out[:, 1] = place, LEVELS
            out[:, 2], out[:, 3] = np.where(all_meet, ABSENT + 1, place + 1), LEVELS
    return out


def _both(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.int16]:
    """Ranges of the rows that meet two tests of one column."""
    first = np.maximum(one[:, ::2], other[:, ::2])
    last = np.minimum(one[:, 1::2], other[:, 1::2])
    return np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)
