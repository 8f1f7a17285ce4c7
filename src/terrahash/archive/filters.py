"""Which rows of a segment meet a condition: the filters of a search, as one mask a segment.

Conditions run over the columns beside the codes, block by block; a block whose smallest and
largest values rule it out is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import expressions
from terrahash.archive.expressions import Both, Compare, Either, Expression, In, IsNull, Like
from terrahash.archive.predicates import (
    SIGNS,
    Absent,
    AllOf,
    AnyOf,
    Footprint,
    Mask,
    Number,
    NumberIn,
    Test,
    Text,
)
from terrahash.archive.schema import ID
from terrahash.archive.segments import Segment
from terrahash.archive.sketching import PERHAPS, SURELY, counting, few
from terrahash.archive.times import iso, moment
from terrahash.archive.zones import ZONE_ROWS
from terrahash.errors import InputError
from terrahash.search.workers import run_on_threads, thread_count

# Blocks that are judged in one go: their judgements fit in the cache of a core.
RUN_BLOCKS = 8
# Where sketches leave open fewer than one row in this many of a block, these are looked at one by
# one.
SPARSE = 8
# Where fewer than one row in this many of a segment meet a filter, they are listed and their codes
# copied together: reading few rows beats testing a mask for every one.
FEW = 8


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
        blocks = _runs(segment.rows, self._test.possible(segment))
        met: list[Mask | Few] = [_NONE] * len(blocks)
        numbered = iter(enumerate(blocks))

        def work(_number: int) -> None:
            for number, rows in numbered:
                met[number] = self._met(segment, rows)

        with counting():
            # The first block alone: a test of texts works out its answer for a segment once.
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
        judgement = self._test.judge(segment, rows)
        if judgement is None:
            return self._test.block(segment, rows)
        most = len(judgement) // SPARSE
        places = few(judgement, most)
        if places is not None:
            met = judgement[places] == SURELY
            unclear = np.flatnonzero(~met)
            places += rows.start
            met[unclear] = self._test.block(segment, places[unclear])
            return Few(places[met])
        unclear = np.flatnonzero(judgement == PERHAPS)
        if len(unclear) > most:
            return self._test.block(segment, rows)
        mask = np.asarray(judgement == SURELY)
        mask[unclear] = self._test.block(segment, unclear + rows.start)
        return mask


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
    compare = SIGNS[sign]
    return Text(name, lambda other: bool(compare(other, text)))


def _text_in(name: str, texts: Sequence[str], negated: bool) -> Test:
    wanted = frozenset(texts)
    if negated:
        return Text(name, lambda other: other not in wanted)
    return Text(name, wanted.__contains__, texts)


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
