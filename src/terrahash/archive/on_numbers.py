"""Tests on columns of numbers, and on the four of a footprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import KINDS
from terrahash.archive.expressions import Literal
from terrahash.archive.predicates import Mask, Rows, Test, blocks_of, count_of, numbered
from terrahash.archive.schema import BBOX, ID
from terrahash.archive.segments import Segment
from terrahash.archive.sketching import SURELY, Judgement, Limit, Sketches
from terrahash.errors import InputError

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


class Sketched(Test):
    """A test that the sketches of its columns may judge."""

    segment: Segment

    @cached_property
    def _sketches(self) -> Sketches | None:
        limits = self.limits()
        return None if limits is None else Sketches.of(self.segment, limits)

    def judge(self, rows: slice, out: Judgement) -> bool:
        if self._sketches is None:
            return False
        self._sketches.judge(rows, out)
        return True


@dataclass(frozen=True)
class Number(Sketched):
    """A column of numbers against one of them; an absent value meets nothing."""

    segment: Segment
    column: str
    kind: str
    sign: str
    value: Literal

    def block(self, rows: Rows) -> Mask:
        values = _numbers(self.segment, self.column, rows)
        if values is None:
            return np.zeros(count_of(rows), bool)
        mask = np.asarray(SIGNS[self.sign](values, self.value))
        if self.column != ID and self.sign in ("!=", "<", "<="):
            null = KINDS[self.kind].null
            if null == null:
                mask &= values != null
            elif self.sign == "!=":
                mask &= ~np.isnan(values)
        return mask

    def possible(self) -> Mask | None:
        zones = None if self.column in WRAPPED else _zones(self.segment, self.column)
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

    def limits(self) -> Sequence[Limit] | None:
        if self.sign == "!=" or self.column in WRAPPED:
            return None
        return (Limit(self.column, self.sign, self.value),)


@dataclass(frozen=True)
class NumberIn(Test):
    """A column of numbers has one of some values, or none of them."""

    segment: Segment
    column: str
    kind: str
    values: tuple[Literal, ...]
    negated: bool

    def block(self, rows: Rows) -> Mask:
        values = _numbers(self.segment, self.column, rows)
        if values is None:
            return np.zeros(count_of(rows), bool)
        mask = np.isin(values, np.array(self.values), invert=self.negated)
        if self.column != ID:
            null = KINDS[self.kind].null
            mask &= ~np.isnan(values) if null != null else values != null
        return mask


@dataclass(frozen=True)
class Box:
    """West, south, east, north in degrees; west > east lies across the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, bbox: Sequence[float]) -> Box:
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


@dataclass(frozen=True)
class Footprint(Sketched):
    """A footprint meets a box; either may lie across the antimeridian."""

    segment: Segment
    box: Box

    def block(self, rows: Rows) -> Mask:
        sides = [_numbers(self.segment, name, rows) for name in BBOX]
        west, south, east, north = sides
        if west is None or south is None or east is None or north is None:
            return np.zeros(count_of(rows), bool)
        begins, ends, across = west <= self.box.east, east >= self.box.west, west > east
        if self._crosses:
            meets = begins | ends | across
        elif across.any():
            meets = (begins & ends) | (across & (begins | ends))
        else:
            meets = begins & ends
        return np.asarray(meets & (south <= self.box.north) & (north >= self.box.south))

    def possible(self) -> Mask | None:
        zones = [_zones(self.segment, name) for name in BBOX]
        west, south, east, north = zones
        if west is None or south is None or east is None or north is None:
            return None
        mask = (south[:, 0] <= self.box.north) & (north[:, 1] >= self.box.south)
        begins, ends = west[:, 0] <= self.box.east, east[:, 1] >= self.box.west
        across = (begins | ends) if self._crosses else (begins & ends)
        return np.asarray(mask & across)

    def judge(self, rows: slice, out: Judgement) -> bool:
        if not self._crosses:
            return super().judge(rows, out)
        heights, begins, ends = self._apart
        if heights is None or begins is None or ends is None:
            return False
        heights.judge(rows, out)
        west, east = np.full_like(out, SURELY), np.full_like(out, SURELY)
        begins.judge(rows, west)
        ends.judge(rows, east)
        np.minimum(out, np.maximum(west, east), out=out)
        return True

    def limits(self) -> Sequence[Limit] | None:
        heights, begins, ends = self._limits
        return None if self._crosses else (*heights, *begins, *ends)

    @cached_property
    def _apart(self) -> list[Sketches | None]:
        return [Sketches.of(self.segment, part) for part in self._limits]

    @property
    def _crosses(self) -> bool:
        return self.box.west > self.box.east

    @property
    def _limits(self) -> tuple[tuple[Limit, ...], ...]:
        """Of the heights, the west and the east.

        A footprint across the antimeridian is sketched as all the way round, never surely.
        """
        heights = Limit("south", "<=", self.box.north), Limit("north", ">=", self.box.south)
        return (
            heights,
            (Limit("west", "<=", self.box.east),),
            (Limit("east", ">=", self.box.west),),
        )


def _numbers(segment: Segment, name: str, rows: Rows) -> NDArray[Any] | None:
    if name == ID:
        return segment.ids.ids_of(numbered(rows))
    if name not in segment.footer.columns:
        return None
    return segment.array(name)[rows]


def _zones(segment: Segment, name: str) -> NDArray[Any] | None:
    if name == ID:
        return None
    if name not in segment.footer.columns:
        return np.tile(np.array([[1, 0]]), (blocks_of(segment.rows), 1))
    return segment.array(name + ".zones") if name + ".zones" in segment else None
