"""Which rows of a segment meet a condition: the filters of a search, as one mask a segment.

Conditions run over the columns beside the codes, block by block; a block whose smallest and
largest values rule it out is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import expressions
from terrahash.archive.columns import KINDS, NumberColumn, TextColumn
from terrahash.archive.expressions import Both, Compare, Either, Expression, In, IsNull, Like
from terrahash.archive.lookup import INDEXED, Needles
from terrahash.archive.schema import BBOX, ID
from terrahash.archive.segments import Segment
from terrahash.archive.times import iso, moment
from terrahash.archive.zones import ZONE_ROWS, sketched
from terrahash.errors import InputError
from terrahash.search.workers import run_on_threads, thread_count

Mask: TypeAlias = NDArray[np.bool_]
# Rows of a segment that a test is asked about: a block of them, or some.
Rows: TypeAlias = slice | NDArray[np.int64]

# Where sketches leave fewer than one row in this many of a block, these are looked at one by one.
SPARSE = 8
# Where fewer than one row in this many of a segment meet a filter, they are listed and their codes
# copied together: reading few rows beats testing a mask for every one.
FEW = 8

_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
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

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
        """``(n,) bool`` of a block by its sketches, false where a row cannot meet the test.

        None if that is not known.
        """


@dataclass(frozen=True)
class Few:
    """Few rows of a segment, ascending: ``rows (n,) int64``."""

    rows: NDArray[np.int64]


_NONE = Few(np.empty(0, np.int64))


class Filter:
    """A condition on tiles that is known to fit the archive's columns."""

    def __init__(self, test: Test) -> None:
        self._test = test

    @classmethod
    def of(
        cls,
        kinds: Mapping[str, str],
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        after: Any = None,
        before: Any = None,
    ) -> Filter | None:
        """All filters of a call as one, or None without any.

        Args:
            kinds: of the archive's columns.
            where: see :mod:`terrahash.archive.expressions`.
            bbox: west south east north, degrees.
            after: this moment or later.
            before: earlier than this moment.

        Raises:
            InputError: if one cannot be understood, or names a column that is not there.
        """
        tests: list[Test] = []
        if after is not None:
            tests.append(Number("datetime", "datetime", ">=", moment(after, "after")))
        if before is not None:
            tests.append(Number("datetime", "datetime", "<", moment(before, "before")))
        if bbox is not None:
            tests.append(Footprint.of(bbox))
        if where is not None:
            tests.append(_bind(expressions.parse(where), {ID: "integer", **kinds}))
        if not tests:
            return None
        return cls(tests[0] if len(tests) == 1 else AllOf(tuple(tests)))

    def select(self, segment: Segment) -> Mask | Few:
        """The rows of a segment that meet the condition, deleted ones too: a mask or few rows."""
        starts = np.arange(0, segment.rows, ZONE_ROWS)
        possible = self._test.possible(segment)
        if possible is not None:
            starts = starts[possible]
        blocks = [slice(n, min(n + ZONE_ROWS, segment.rows)) for n in starts.tolist()]
        met: list[Mask | Few] = [_NONE] * len(blocks)
        numbered = iter(enumerate(blocks))

        def work(_number: int) -> None:
            for number, rows in numbered:
                met[number] = self._met(segment, rows)

        # The first block alone: a test of texts works out its answer for the whole segment once.
        for number, rows in islice(numbered, 1):
            met[number] = self._met(segment, rows)
        run_on_threads(work, min(thread_count(), max(1, len(blocks) - 1)))
        count = sum(len(m.rows) if isinstance(m, Few) else np.count_nonzero(m) for m in met)
        if count * FEW < segment.rows:
            found = [
                m.rows if isinstance(m, Few) else np.flatnonzero(m) + rows.start
                for rows, m in zip(blocks, met, strict=True)
            ]
            return Few(np.concatenate([_NONE.rows, *found]))
        out = np.zeros(segment.rows, bool)
        for rows, m in zip(blocks, met, strict=True):
            if isinstance(m, Few):
                out[m.rows] = True
            else:
                out[rows] = m
        return out

    def _met(self, segment: Segment, rows: slice) -> Mask | Few:
        maybe = self._test.maybe(segment, rows)
        if maybe is None or np.count_nonzero(maybe) * SPARSE >= len(maybe):
            return self._test.block(segment, rows)
        places = np.flatnonzero(maybe) + rows.start
        return Few(places[self._test.block(segment, places)])


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

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
        out: Mask | None = None
        for test in self.tests:
            mask = test.maybe(segment, rows)
            if mask is not None:
                out = mask if out is None else np.logical_and(out, mask, out=out)
        return out


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

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
        out: Mask | None = None
        for test in self.tests:
            mask = test.maybe(segment, rows)
            if mask is None:
                return None
            out = mask if out is None else np.logical_or(out, mask, out=out)
        return out


@dataclass(frozen=True)
class Number:
    """A column of numbers against one of them; an absent value meets nothing."""

    column: str
    kind: str
    sign: str
    value: expressions.Literal

    def block(self, segment: Segment, rows: Rows) -> Mask:
        values = _numbers(segment, self.column, rows)
        if values is None:
            return np.zeros(_count(rows), bool)
        mask = np.asarray(_SIGNS[self.sign](values, self.value))
        if self.column != ID and self.sign in ("!=", "<", "<="):
            null = KINDS[self.kind].null
            if null == null:
                mask &= values != null
            elif self.sign == "!=":
                mask &= ~np.isnan(values)
        return mask

    def possible(self, segment: Segment) -> Mask | None:
        zones = _zones(segment, self.column)
        if zones is None:
            return None
        low, high = zones[:, 0], zones[:, 1]
        some = low <= high
        match self.sign:
            case "=":
                return np.asarray(some & np.less_equal(low, self.value) & (high >= self.value))
            case "<" | "<=":
                return np.asarray(some & _SIGNS[self.sign](low, self.value))
            case ">" | ">=":
                return np.asarray(some & _SIGNS[self.sign](high, self.value))
        return np.asarray(some)

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
        return _sketch_test(segment, self.column, self.sign, self.value, rows)


@dataclass(frozen=True)
class NumberIn:
    """A column of numbers has one of some values, or none of them."""

    column: str
    kind: str
    values: tuple[expressions.Literal, ...]
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

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
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

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
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

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
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

    def maybe(self, segment: Segment, rows: slice) -> Mask | None:
        tests = (("west", "<=", self.east), ("east", ">=", self.west))
        begins, ends = (_sketch_test(segment, *test, rows) for test in tests)
        tests = (("south", "<=", self.north), ("north", ">=", self.south))
        under, over = (_sketch_test(segment, *test, rows) for test in tests)
        if begins is None or ends is None or under is None or over is None:
            return None
        meets = (begins | ends) if self.west > self.east else (begins & ends)
        return np.asarray(meets & under & over)


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


def _sketch_test(segment: Segment, name: str, sign: str, value: Any, rows: slice) -> Mask | None:
    """Where the sketches of a block allow a value to compare with a limit as said."""
    if name + ".sketch" not in segment or sign == "!=":
        return None
    number = rows.start // ZONE_ROWS
    low, high = segment.array(name + ".zones")[number].tolist()
    limit = sketched(value, low, high)
    sketch = segment.array(name + ".sketch")[rows]
    loose = {"<": np.less_equal, ">": np.greater_equal}.get(sign, _SIGNS[sign])
    return np.asarray(loose(sketch, limit))


def _zones(segment: Segment, name: str) -> NDArray[Any] | None:
    blocks = -(-segment.rows // ZONE_ROWS)
    if name == ID:
        return None
    if name not in segment.footer.columns:
        return np.tile(np.array([[1, 0]]), (blocks, 1))
    return segment.array(name + ".zones") if name + ".zones" in segment else None


def _bind(expression: Expression, kinds: Mapping[str, str]) -> Test:
    if isinstance(expression, Both):
        return AllOf(tuple(_bind(part, kinds) for part in expression.parts))
    if isinstance(expression, Either):
        return AnyOf(tuple(_bind(part, kinds) for part in expression.parts))
    name = expression.column
    kind = kinds.get(name)
    if kind is None:
        raise InputError(f"there is no column '{name}'", f"the columns are: {', '.join(kinds)}")
    if isinstance(expression, IsNull):
        return Absent(name, expression.negated)
    if isinstance(expression, Like):
        if kind != "text":
            raise InputError(f"column '{name}' is of kind {kind}, not text", "LIKE needs texts")
        return Text(name, _like(expression))
    if isinstance(expression, In):
        values = tuple(_literal(name, kind, value) for value in expression.values)
        if kind == "text":
            return _text_in(name, [str(value) for value in values], expression.negated)
        return NumberIn(name, kind, values, expression.negated)
    return _compared(expression, kind)


def _compared(expression: Compare, kind: str) -> Test:
    name, sign = expression.column, expression.sign
    value = _literal(name, kind, expression.value)
    if kind != "text":
        return Number(name, kind, sign, value)
    text = str(value)
    if sign in ("=", "!="):
        return _text_in(name, [text], sign == "!=")
    compare = _SIGNS[sign]
    return Text(name, lambda other: bool(compare(other, text)))


def _text_in(name: str, texts: Sequence[str], negated: bool) -> Test:
    wanted = frozenset(texts)
    if negated:
        return Text(name, lambda other: other not in wanted)
    return Text(name, wanted.__contains__, texts)


def _like(expression: Like) -> Callable[[str], bool]:
    out = []
    pattern = iter(expression.pattern)
    for letter in pattern:
        if letter == "\\":
            out.append(re.escape(next(pattern, "\\")))
        else:
            out.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    flags = re.DOTALL | (re.IGNORECASE if expression.folded else 0)
    fits = re.compile("".join(out), flags).fullmatch
    if expression.negated:
        return lambda text: fits(text) is None
    return lambda text: fits(text) is not None


def _literal(name: str, kind: str, value: expressions.Literal) -> expressions.Literal:
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "datetime" and isinstance(value, str):
        return moment(value, f"column '{name}':")
    if kind == "boolean" and isinstance(value, bool):
        return int(value)
    if kind in ("integer", "pixels", "real", "probability") and not isinstance(value, (str, bool)):
        return value
    example = {"text": "'text'", "datetime": f"'{iso(0)}'", "boolean": "TRUE"}.get(kind, "0.5")
    raise InputError(
        f"column '{name}' is of kind {kind}; {value!r} is not",
        f"compare it with a value like {example}",
    )
