"""Which rows meet a condition: the filters of a search, as one mask or list of rows a segment.

Conditions run over the columns beside the codes, block by block; a block whose smallest and
largest values rule it out is not read. Threads share the blocks of all segments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import expressions
from terrahash.archive.expressions import Both, Compare, Either, Expression, In, IsNull, Like
from terrahash.archive.on_numbers import SIGNS, Box, Footprint, Number, NumberIn
from terrahash.archive.on_texts import text_test
from terrahash.archive.predicates import SPARSE, Absent, AllOf, AnyOf, Mask, Test
from terrahash.archive.schema import ID
from terrahash.archive.segments import Segment
from terrahash.archive.sketching import PERHAPS, SURELY, Judgement, counting, few
from terrahash.archive.times import iso, moment
from terrahash.archive.zones import ZONE_ROWS
from terrahash.errors import InputError
from terrahash.search.workers import run_on_threads, thread_count

# Blocks that are judged in one go: their judgements fit in the cache of a core.
RUN_BLOCKS = 8
# Where fewer than one row in this many of a segment meet a filter, they are listed and their codes
# copied together: reading few rows beats testing a mask for every one.
FEW = 8


@dataclass(frozen=True)
class Few:
    """Few rows of a segment, ascending: ``rows (n,) int64``."""

    rows: NDArray[np.int64]


_NONE = Few(np.empty(0, np.int64))

# A test that fits the archive's columns, to be asked of one segment or another.
_Bound: TypeAlias = Callable[[Segment], Test]


class Filter:
    """A condition on tiles that is known to fit the archive's columns."""

    def __init__(self, bound: _Bound) -> None:
        self._bound = bound

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
        tests: list[_Bound] = []
        if after is not None:
            tests.append(_number("datetime", "datetime", ">=", moment(after, "after")))
        if before is not None:
            tests.append(_number("datetime", "datetime", "<", moment(before, "before")))
        if bbox is not None:
            box = Box.of(bbox)
            tests.append(lambda segment: Footprint(segment, box))
        if where is not None:
            tests.append(_bind(expressions.parse(where), {ID: "integer", **kinds}))
        if not tests:
            return None
        return cls(tests[0] if len(tests) == 1 else _all_of(tests))

    def select(self, segments: Sequence[Segment]) -> list[Mask | Few]:
        """The rows of each segment that meet the condition, deleted ones too: mask or few rows."""
        with counting():
            tests = [self._bound(segment) for segment in segments]
            runs = [
                (number, rows)
                for number, (segment, test) in enumerate(zip(segments, tests, strict=True))
                for rows in _runs(segment.rows, test.possible())
            ]
            met: list[Mask | Few] = [_NONE] * len(runs)
            shared = iter(enumerate(runs))

            def work(_thread: int) -> None:
                judgement = np.empty(RUN_BLOCKS * ZONE_ROWS, np.uint8)
                for place, (number, rows) in shared:
                    met[place] = _met(tests[number], rows, judgement[: rows.stop - rows.start])

            rows = sum(run.stop - run.start for _, run in runs)
            run_on_threads(work, min(thread_count(), 1 + rows // (RUN_BLOCKS * ZONE_ROWS)))
        parts: list[list[tuple[slice, Mask | Few]]] = [[] for _ in segments]
        for (number, rows), found in zip(runs, met, strict=True):
            parts[number].append((rows, found))
        return [_whole(s.rows, found) for s, found in zip(segments, parts, strict=True)]


def _met(test: Test, rows: slice, judgement: Judgement) -> Mask | Few:
    """The rows of some blocks that meet a test; the judgement is room to work in."""
    judgement.fill(SURELY)
    if not test.judge(rows, judgement):
        return test.block(rows)
    most = len(judgement) // SPARSE
    places = few(judgement, most)
    if places is not None:
        met = judgement[places] == SURELY
        unclear = np.flatnonzero(~met)
        places += rows.start
        met[unclear] = test.block(places[unclear])
        return Few(places[met])
    unclear = np.flatnonzero(judgement == PERHAPS)
    if len(unclear) > most:
        return test.block(rows)
    mask = np.asarray(judgement == SURELY)
    mask[unclear] = test.block(unclear + rows.start)
    return mask


def _whole(rows: int, parts: Sequence[tuple[slice, Mask | Few]]) -> Mask | Few:
    """What was found in the blocks of a segment of so many rows, as one."""
    count = sum(len(m.rows) if isinstance(m, Few) else np.count_nonzero(m) for _, m in parts)
    if count * FEW < rows:
        found = [
            m.rows if isinstance(m, Few) else np.flatnonzero(m) + run.start for run, m in parts
        ]
        return Few(np.concatenate([_NONE.rows, *found]))
    out = np.zeros(rows, bool)
    for run, m in parts:
        if isinstance(m, Few):
            out[m.rows] = True
        else:
            out[run] = m
    return out


def _runs(rows: int, possible: Mask | None) -> list[slice]:
    """Runs of rows whose blocks are all possible, each of at most some blocks."""
    if possible is None:
        possible = np.ones(-(-rows // ZONE_ROWS), bool)
    edges = np.flatnonzero(np.diff(possible, prepend=False, append=False)).reshape(-1, 2)
    return [
        slice(start * ZONE_ROWS, min(rows, min(start + RUN_BLOCKS, stop) * ZONE_ROWS))
        for first, stop in edges.tolist()
        for start in range(first, stop, RUN_BLOCKS)
    ]


def _all_of(tests: Sequence[_Bound]) -> _Bound:
    return lambda segment: AllOf(segment, [test(segment) for test in tests])


def _number(name: str, kind: str, sign: str, value: expressions.Literal) -> _Bound:
    return lambda segment: Number(segment, name, kind, sign, value)


def _bind(expression: Expression, kinds: Mapping[str, str]) -> _Bound:
    if isinstance(expression, Both):
        return _all_of([_bind(part, kinds) for part in expression.parts])
    if isinstance(expression, Either):
        parts = [_bind(part, kinds) for part in expression.parts]
        return lambda segment: AnyOf([part(segment) for part in parts])
    name = expression.column
    kind = kinds.get(name)
    if kind is None:
        raise InputError(f"there is no column '{name}'", f"the columns are: {', '.join(kinds)}")
    if isinstance(expression, IsNull):
        negated = expression.negated
        return lambda segment: Absent(segment, name, negated)
    if isinstance(expression, Like):
        if kind != "text":
            raise InputError(f"column '{name}' is of kind {kind}, not text", "LIKE needs texts")
        fits = _like(expression)
        return lambda segment: text_test(segment, name, fits)
    if isinstance(expression, In):
        values = tuple(_literal(name, kind, value) for value in expression.values)
        negated = expression.negated
        if kind == "text":
            return _text_in(name, [str(value) for value in values], negated)
        return lambda segment: NumberIn(segment, name, kind, values, negated)
    return _compared(expression, kind)


def _compared(expression: Compare, kind: str) -> _Bound:
    name, sign = expression.column, expression.sign
    value = _literal(name, kind, expression.value)
    if kind != "text":
        return _number(name, kind, sign, value)
    text = str(value)
    if sign in ("=", "!="):
        return _text_in(name, [text], sign == "!=")
    compare = SIGNS[sign]
    return lambda segment: text_test(segment, name, lambda other: bool(compare(other, text)))


def _text_in(name: str, texts: Sequence[str], negated: bool) -> _Bound:
    wanted = frozenset(texts)
    if negated:
        return lambda segment: text_test(segment, name, lambda other: other not in wanted)
    return lambda segment: text_test(segment, name, wanted.__contains__, texts)


def _like(expression: Like) -> Callable[[str], bool]:
    """A test in time of pattern × text at most: nothing is tried again once a piece is found.

    Between two ``%`` a piece may as well be taken where it comes first, which an atomic group
    says; a chain of plain ``.*`` would take ages over a pattern such as ``%a%a%a%a%b``.
    """
    pieces = [""]
    pattern = iter(expression.pattern)
    for letter in pattern:
        if letter == "%":
            pieces.append("")
        elif letter == "\\":
            pieces[-1] += re.escape(next(pattern, "\\"))
        else:
            pieces[-1] += "." if letter == "_" else re.escape(letter)
    regular = pieces[0]
    if len(pieces) > 1:
        regular += "".join(f"(?>.*?{piece})" for piece in pieces[1:-1]) + ".*" + pieces[-1]
    flags = re.DOTALL | (re.IGNORECASE if expression.folded else 0)
    fits = re.compile(regular, flags).fullmatch
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
