"""Tests on the columns of a segment: what a condition is made of, once it fits the columns.

Each is asked in three ways: which blocks can hold a row that meets it, what the sketches say of the
rows of a block, and which rows do meet it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import KINDS, NumberColumn, TextColumn
from terrahash.archive.expressions import Literal
from terrahash.archive.lookup import INDEXED, Needles
from terrahash.archive.schema import BBOX, ID
from terrahash.archive.segments import Segment
from terrahash.archive.sketching import PERHAPS, Judgement, Limit, judge
from terrahash.archive.zones import ZONE_ROWS
from terrahash.errors import InputError

Mask: TypeAlias = NDArray[np.bool_]
# Rows of a segment that a test is asked about: a block of them, or some.
Rows: TypeAlias = slice | NDArray[np.int64]

# Zones and sketches of these take a footprint across the antimeridian for one all the way round,
# which is right for the test of footprints and for no other.
WRAPPED = ("west", "east")

SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class Test(Protocol):
    """Something that each row of a segment meets or not."""

    def block(self, segment: Segment, rows: Rows) -> Mask:
        """``(n,) bool`` of some rows."""

    def possible(self, segment: Segment) -> Mask | None:
        """``(blocks,) bool``, false where no row can meet it; None if that is not known."""

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        """``(n,) uint8`` of a block by its sketches; None if they say nothing."""

    def limits(self) -> Sequence[Limit] | None:
        """What the sketches are asked, if meeting all of these limits is meeting the test."""


@dataclass(frozen=True)
class AllOf:
    """Every test is met."""

    tests: tuple[Test, ...]

    def block(self, segment: Segment, rows: Rows) -> Mask:
        mask = self.tests[0].block(segment, rows)
        for test in self.tests[1:]:
            if not mask.any():
                break
            mask = mask & test.block(segment, rows)
        return mask

    def possible(self, segment: Segment) -> Mask | None:
        known = [p for p in (test.possible(segment) for test in self.tests) if p is not None]
        return np.asarray(np.logical_and.reduce(known)) if known else None

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        together: list[Limit] = []
        judgements = []
        for test in self.tests:
            limits = test.limits()
            if limits is None:
                judgements.append(test.judge(segment, rows))
            else:
                together += limits
        if together:
            judgements.append(judge(segment, together, rows))
        known = [judgement for judgement in judgements if judgement is not None]
        if not known:
            return None
        out, *others = known
        for judgement in others:
            np.minimum(out, judgement, out=out)
        return out if len(known) == len(judgements) else np.minimum(out, PERHAPS, out=out)

    def limits(self) -> Sequence[Limit] | None:
        return None


@dataclass(frozen=True)
class AnyOf:
    """At least one test is met."""

    tests: tuple[Test, ...]

    def block(self, segment: Segment, rows: Rows) -> Mask:
        mask = self.tests[0].block(segment, rows)
        for test in self.tests[1:]:
            mask = mask | test.block(segment, rows)
        return mask

    def possible(self, segment: Segment) -> Mask | None:
        known = [test.possible(segment) for test in self.tests]
        if any(p is None for p in known):
            return None
        return np.asarray(np.logical_or.reduce([p for p in known if p is not None]))

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        out: Judgement | None = None
        for test in self.tests:
            judgement = test.judge(segment, rows)
            if judgement is None:
                return None
            out = judgement if out is None else np.maximum(out, judgement, out=out)
        return out

    def limits(self) -> Sequence[Limit] | None:
        return None


@dataclass(frozen=True)
class Number:
    """A column of numbers against one of them; an absent value meets nothing."""

    column: str
    kind: str
    sign: str
    value: Literal

    def block(self, segment: Segment, rows: Rows) -> Mask:
        values = _numbers(segment, self.column, rows)
        if values is None:
            return np.zeros(_count(rows), bool)
        mask = np.asarray(SIGNS[self.sign](values, self.value))
        if self.column != ID and self.sign in ("!=", "<", "<="):
            null = KINDS[self.kind].null
            if null == null:
                mask &= values != null
            elif self.sign == "!=":
                mask &= ~np.isnan(values)
        return mask

    def possible(self, segment: Segment) -> Mask | None:
        zones = None if self.column in WRAPPED else _zones(segment, self.column)
        if zones is None:
            return None
        low, high = zones[:, 0], zones[:, 1]
        some = low <= high
        match self.sign:
            case "=":
                return np.asarray(some & np.less_equal(low, self.value) & (high >= self.value))
            case "<" | "<=":
                return np.asarray(some & SIGNS[self.sign](low, self.value))
            case ">" | ">=":
                return np.asarray(some & SIGNS[self.sign](high, self.value))
        return np.asarray(some)

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        limits = self.limits()
        return None if limits is None else judge(segment, limits, rows)

    def limits(self) -> Sequence[Limit] | None:
        if self.sign == "!=" or self.column in WRAPPED:
            return None
        return (Limit(self.column, self.sign, self.value),)


@dataclass(frozen=True)
class NumberIn:
    """A column of numbers has one of some values, or none of them."""

    column: str
    kind: str
    values: tuple[Literal, ...]
    negated: bool

    def block(self, segment: Segment, rows: Rows) -> Mask:
        values = _numbers(segment, self.column, rows)
        if values is None:
            return np.zeros(_count(rows), bool)
        mask = np.isin(values, np.array(self.values), invert=self.negated)
        if self.column != ID:
            null = KINDS[self.kind].null
            mask &= ~np.isnan(values) if null != null else values != null
        return mask

    def possible(self, segment: Segment) -> Mask | None:
        return None

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        return None

    def limits(self) -> Sequence[Limit] | None:
        return None


@dataclass(frozen=True)
class Absent:
    """A column has no value, or has one."""

    column: str
    negated: bool

    def block(self, segment: Segment, rows: Rows) -> Mask:
        count = _count(rows)
        if self.column == ID:
            return np.full(count, self.negated)
        column = segment.column(self.column)
        if column is None:
            return np.full(count, not self.negated)
        if isinstance(column, NumberColumn):
            absent = NumberColumn(column.kind, column.values[rows]).nulls()
        else:
            absent = column.entry_of(_numbered(rows))[1]
        return ~absent if self.negated else absent

    def possible(self, segment: Segment) -> Mask | None:
        return None

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        return None

    def limits(self) -> Sequence[Limit] | None:
        return None


class Text:
    """A column of texts meets a test on texts; an absent text meets nothing.

    Args:
        column: its name.
        fits: the test.
        equal_to: the texts that meet it, where only these do: they are found through the lookup.
    """

    def __init__(
        self, column: str, fits: Callable[[str], bool], equal_to: Sequence[str] | None = None
    ) -> None:
        self._column = column
        self._fits = fits
        self._equal_to = equal_to
        # One segment is asked block by block: its answer is worked out once.
        self._last: tuple[Segment, Mask] | None = None

    def block(self, segment: Segment, rows: Rows) -> Mask:
        last = self._last
        if last is None or last[0] is not segment:
            last = self._last = (segment, self._whole(segment))
        return last[1][rows]

    def possible(self, segment: Segment) -> Mask | None:
        return None

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        return None

    def limits(self) -> Sequence[Limit] | None:
        return None

    def _whole(self, segment: Segment) -> Mask:
        column = segment.column(self._column)
        out = np.zeros(segment.rows, bool)
        if not isinstance(column, TextColumn):
            return out
        if self._equal_to is not None and self._column in INDEXED:
            for _, row in Needles(self._equal_to).rows_in(segment, self._column):
                out[row] = True
            return out
        fits = np.fromiter(
            (text is not None and self._fits(text) for text in column.entries()), bool
        )
        if column.codes is None:
            return fits
        table = np.zeros(int(np.iinfo(column.codes.dtype).max) + 1, bool)
        table[: len(fits)] = fits
        return np.asarray(table[column.codes])


@dataclass(frozen=True)
class Footprint:
    """A footprint meets a box; either may lie across the antimeridian (west > east)."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, bbox: Sequence[float]) -> Footprint:
        """From west south east north.

        Raises:
            InputError: if it is no box in degrees.
        """
        try:
            west, south, east, north = (float(side) for side in bbox)
        except (TypeError, ValueError):
            west = south = east = north = np.nan
        fits = abs(west) <= 180 and abs(east) <= 180 and -90 <= south <= north <= 90
        if not fits:
            raise InputError(
                f"bbox {list(bbox) if isinstance(bbox, Sequence) else bbox} is no box",
                "give west south east north in degrees, south ≤ north; "
                "west > east crosses the antimeridian",
            )
        return cls(west, south, east, north)

    def block(self, segment: Segment, rows: Rows) -> Mask:
        sides = [_numbers(segment, name, rows) for name in BBOX]
        west, south, east, north = sides
        if west is None or south is None or east is None or north is None:
            return np.zeros(_count(rows), bool)
        begins, ends, across = west <= self.east, east >= self.west, west > east
        if self.west > self.east:
            meets = begins | ends | across
        elif across.any():
            meets = (begins & ends) | (across & (begins | ends))
        else:
            meets = begins & ends
        return np.asarray(meets & (south <= self.north) & (north >= self.south))

    def possible(self, segment: Segment) -> Mask | None:
        zones = [_zones(segment, name) for name in BBOX]
        west, south, east, north = zones
        if west is None or south is None or east is None or north is None:
            return None
        mask = (south[:, 0] <= self.north) & (north[:, 1] >= self.south)
        begins, ends = west[:, 0] <= self.east, east[:, 1] >= self.west
        across = (begins | ends) if self.west > self.east else (begins & ends)
        return np.asarray(mask & across)

    def judge(self, segment: Segment, rows: slice) -> Judgement | None:
        begins, ends, *heights = self._limits
        if self.west <= self.east:
            return judge(segment, self._limits, rows)
        parts = [judge(segment, limits, rows) for limits in ((begins,), (ends,), heights)]
        if any(part is None for part in parts):
            return None
        west, east, between = (part for part in parts if part is not None)
        return np.asarray(np.minimum(np.maximum(west, east), between))

    def limits(self) -> Sequence[Limit] | None:
        return self._limits if self.west <= self.east else None

    @property
    def _limits(self) -> tuple[Limit, ...]:
        """A footprint across the antimeridian is sketched as all the way round, never surely."""
        return (
            Limit("west", "<=", self.east),
            Limit("east", ">=", self.west),
            Limit("south", "<=", self.north),
            Limit("north", ">=", self.south),
        )


def _count(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _numbered(rows: Rows) -> NDArray[np.int64]:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def _numbers(segment: Segment, name: str, rows: Rows) -> NDArray[Any] | None:
    if name == ID:
        return segment.ids.ids_of(_numbered(rows))
    if name not in segment.footer.columns:
        return None
    return segment.array(name)[rows]


def _zones(segment: Segment, name: str) -> NDArray[Any] | None:
    blocks = -(-segment.rows // ZONE_ROWS)
    if name == ID:
        return None
    if name not in segment.footer.columns:
        return np.tile(np.array([[1, 0]]), (blocks, 1))
    return segment.array(name + ".zones") if name + ".zones" in segment else None
