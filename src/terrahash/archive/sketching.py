"""What the sketches of some blocks say of their rows: no, perhaps or surely, for all tests at once.

Judgements are bytes, so that "and" is the smaller of two and "or" the larger. A limit becomes, in
each block, a range of sketches.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

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


@dataclass(frozen=True)
class Sketches:
    """Limits that a row must all meet, as ranges of the sketches of a segment.

    Attributes:
        segment: whose rows are judged.
        columns: that each limit is of.
        bounds: ``(limits, blocks, 4) int16``, see :func:`_ranges`.
    """

    segment: Segment
    columns: tuple[str, ...]
    bounds: NDArray[np.int16]

    @classmethod
    def of(cls, segment: Segment, limits: Sequence[Limit]) -> Sketches | None:
        """From limits; None if a column of theirs has no sketches."""
        if not have_sketches(segment, limits):
            return None
        columns = tuple(limit.column for limit in limits)
        return cls(segment, columns, _ranges(segment, limits))

    def judge(self, rows: slice, out: Judgement) -> None:
        """Lower the judgements ``(n,)`` of the rows of some whole blocks."""
        bounds = self.bounds[:, rows.start // ZONE_ROWS : -(-rows.stop // ZONE_ROWS)]
        if _compiled():
            from terrahash.archive.sketch_kernels import lower

            places = [self.segment.offset(name + ".sketch") + rows.start for name in self.columns]
            stored = self.segment.stored
            lower(stored, np.array(places), np.ascontiguousarray(bounds), ZONE_ROWS, out)
            return
        for name, column in zip(self.columns, bounds, strict=True):
            _lower(self.segment.array(name + ".sketch")[rows], column, out)


def have_sketches(segment: Segment, limits: Sequence[Limit]) -> bool:
    """Whether all columns that limits are of have sketches."""
    return all(limit.column + ".sketch" in segment for limit in limits)


def judge_coded(codes: NDArray[Any], table: Judgement, out: Judgement) -> None:
    """Lower judgements ``(n,)`` to what a table says of each row's code in a dictionary."""
    if _compiled():
        from terrahash.archive.sketch_kernels import lower_coded

        lower_coded[codes.itemsize](codes, table, out)
    else:
        np.minimum(out, table.take(codes), out=out)


def counting() -> AbstractContextManager[None]:
    """Count the time of filters by numpy towards the loading of the compiled loops."""
    return nullcontext() if _compiled() else counted()


def few(judgement: Judgement, most: int) -> NDArray[np.int64] | None:
    """``(n,) int64`` rows that perhaps or surely meet the tests; None if that is too many."""
    if _compiled():
        from terrahash.archive.sketch_kernels import collect

        rows = np.empty(most + 8, np.int64)
        count = collect(judgement, rows)
        return rows[:count] if count >= 0 else None
    return np.flatnonzero(judgement != NO) if np.count_nonzero(judgement) <= most else None


def _compiled() -> bool:
    """Whether the compiled loops are to be used, as soon as searches are compiled too."""
    return kernels_pay(0, asymmetric=False)


def _lower(sketch: NDArray[np.uint8], bounds: NDArray[np.int16], out: Judgement) -> None:
    """Lower the judgements of rows to what the sketches of one more column say."""
    for number, (low, high, sure_low, sure_high) in enumerate(bounds.tolist()):
        rows = slice(number * ZONE_ROWS, (number + 1) * ZONE_ROWS)
        perhaps = (sketch[rows] >= low) & (sketch[rows] <= high)
        surely = (sketch[rows] >= sure_low) & (sketch[rows] <= sure_high)
        np.minimum(out[rows], perhaps.view(np.uint8) + surely.view(np.uint8), out=out[rows])


def _ranges(segment: Segment, limits: Sequence[Limit]) -> NDArray[np.int16]:
    """Which sketches allow, and which force, a value to compare as a limit says.

    A smaller sketch means a smaller value, and a smaller value no larger sketch.

    Returns:
        ``(limits, blocks, 4)``: first and last sketch of a row that perhaps meets it, first and
        last of one that surely does; a range whose first is the larger is empty.
    """
    zones = [segment.array(limit.column + ".zones") for limit in limits]
    narrow = [KINDS[segment.footer.columns[limit.column]].dtype == "<f4" for limit in limits]
    # As numpy compares them: a column of float32 rounds the limit.
    values = [
        float(np.float32(limit.value)) if small else limit.value
        for limit, small in zip(limits, narrow, strict=True)
    ]
    ends = np.array(zones, np.float64)
    places = sketched(np.array(values, np.float64)[:, None], ends[..., 0], ends[..., 1])
    out = np.empty((*places.shape, 4), np.int16)
    for limit, zone, place, bound in zip(limits, zones, places, out, strict=True):
        match limit.sign:
            case "=":
                first, last, sure_first, sure_last = place, place, place + 1, place
            case "<" | "<=":
                high = zone[:, 1]
                all_meet = (high < limit.value) if limit.sign == "<" else (high <= limit.value)
                first, last, sure_first = 0, place, ABSENT + 1
                sure_last = np.where(all_meet, LEVELS, place - 1)
            case _:
                low = zone[:, 0]
                all_meet = (low > limit.value) if limit.sign == ">" else (low >= limit.value)
                first, last, sure_last = place, LEVELS, LEVELS
                sure_first = np.where(all_meet, ABSENT + 1, place + 1)
        bound[:, 0], bound[:, 1], bound[:, 2], bound[:, 3] = first, last, sure_first, sure_last
    return out
