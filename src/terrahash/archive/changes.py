"""What a call of the archive changes, worked out in full before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import Column, absent_column
from terrahash.archive.conflicts import Conflict, conflicts
from terrahash.archive.filters import Filter
from terrahash.archive.schema import BBOX, BUILT_IN, WINDOW, build_columns
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.writing import Table
from terrahash.codes import check_codes
from terrahash.errors import InputError

Values: TypeAlias = Sequence[Any] | NDArray[Any]
Ids: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Change:
    """One change of an archive.

    Attributes:
        table: rows to be written, or None.
        dead: rows that are deleted by it, by segment.
        kinds: of the user's columns after it; None if they stay as they are.
        ids: ``(N,) int64`` of the tiles that it is about, in the order of the call.
    """

    table: Table | None = None
    dead: Mapping[int, NDArray[np.uint32]] = field(default_factory=dict)
    kinds: Mapping[str, str] | None = None
    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not self.dead and (self.table is None or not len(self.table.ids))


def addition(
    snapshot: Snapshot,
    codes: NDArray[np.uint8],
    given: Mapping[str, Any],
    user: Mapping[str, Any],
    ids: Values | None,
    on_conflict: Conflict,
) -> Change:
    """New tiles, and new values of those that are known already.

    Raises:
        InputError: if an argument is wrong, or a tile is known and should not be.
    """
    check_codes(codes, snapshot.layout)
    built, kinds = build_columns(len(codes), snapshot.state.columns, given, user)
    known = conflicts(snapshot, given, built, len(codes), on_conflict)
    numbers = _new_ids(ids, len(codes), snapshot.state.next_id)
    if known is None:
        return Change(Table(numbers, codes, built), kinds=kinds, ids=numbers)
    if ids is not None:
        raise InputError(
            "ids are given, but some tiles are known already", "leave out one of the two"
        )
    fresh = known < 0
    numbers[fresh] = np.arange(int(fresh.sum())) + snapshot.state.next_id
    numbers[~fresh] = known[~fresh]
    new = np.flatnonzero(fresh)
    table = Table(numbers[new], codes[new], {n: c.take(new) for n, c in built.items()})
    if on_conflict == "skip":
        return Change(table, kinds=kinds, ids=numbers)
    old = np.flatnonzero(~fresh)
    old = old[np.argsort(numbers[old])]
    values = _values({**given, **user}, built, kinds, old)
    changed = Table.stored(snapshot, numbers[old]).changed(codes[old], values)
    dead = dead_rows(snapshot, numbers[old])
    return Change(changed.followed_by(table), dead, kinds, numbers)


def update(
    snapshot: Snapshot,
    ids: Ids,
    codes: NDArray[np.uint8] | None,
    given: Mapping[str, Any],
    user: Mapping[str, Any],
) -> Change:
    """Other values of stored tiles.

    Raises:
        InputError: if an argument is wrong, or an id is not there or given twice.
    """
    numbers = whole_ids(ids)
    if len(np.unique(numbers)) != len(numbers):
        raise InputError("an id is given twice", "give each id once")
    if not len(numbers):
        return Change()
    snapshot.codes(numbers)
    if codes is not None:
        check_codes(codes, snapshot.layout)
        if len(codes) != len(numbers):
            raise InputError(
                f"{len(codes)} codes for {len(numbers)} ids", "give one code for each id"
            )
    built, kinds = build_columns(len(numbers), snapshot.state.columns, given, user)
    taken = conflicts(snapshot, given, built, len(numbers), "update")
    if taken is not None and ((taken >= 0) & (taken != numbers)).any():
        raise InputError("a source or user id given here belongs to another tile", "give each once")
    order = np.argsort(numbers)
    table = Table.stored(snapshot, numbers[order]).changed(
        None if codes is None else codes[order],
        _values({**given, **user}, built, kinds, order),
    )
    return Change(table, dead_rows(snapshot, numbers), kinds, numbers)


def deletion(snapshot: Snapshot, ids: Ids | None, condition: Filter | None) -> Change:
    """Tiles to be deleted, by ids or by a condition.

    Raises:
        InputError: if neither or both are given.
    """
    if (ids is None) == (condition is None):
        raise InputError("delete needs either ids or a filter", "say what to delete, in one way")
    if ids is not None:
        return Change(dead=dead_rows(snapshot, np.unique(whole_ids(ids))))
    return Change(dead={s.seq: rows.astype(np.uint32) for s, rows in snapshot.rows(condition)})


def whole_ids(ids: Ids) -> NDArray[np.int64]:
    """``(N,) int64`` ids of a caller.

    Raises:
        InputError: if they are no whole numbers.
    """
    try:
        out = np.asarray(ids)
        if out.ndim == 1 and (not out.size or out.dtype.kind in "iu"):
            return out.astype(np.int64)
    except (ValueError, OverflowError):
        pass
    raise InputError("ids must be whole numbers", "give a list of the ids that the archive gave")


def dead_rows(snapshot: Snapshot, ids: NDArray[np.int64]) -> dict[int, NDArray[np.uint32]]:
    """Live rows of ids, by segment."""
    return {
        segment.seq: np.sort(rows).astype(np.uint32) for segment, _, rows in snapshot.locate(ids)
    }


def _new_ids(ids: Values | None, rows: int, next_id: int) -> NDArray[np.int64]:
    if ids is None:
        return np.arange(rows, dtype=np.int64) + next_id
    numbers = whole_ids(ids)
    if len(numbers) != rows:
        raise InputError(f"{len(numbers)} ids for {rows} codes", "give one id for each code")
    if rows and (numbers[0] < next_id or (np.diff(numbers) <= 0).any()):
        raise InputError(
            f"ids must ascend from {next_id}, the next free one; they are never used twice",
            "leave the ids out, or keep yours as user ids",
        )
    return numbers


def _values(
    given: Mapping[str, Any],
    built: Mapping[str, Column],
    kinds: Mapping[str, str],
    rows: NDArray[np.intp],
) -> dict[str, Column]:
    """Given columns of some rows; one that was given without any value removes what was there."""
    known = {**BUILT_IN, **kinds}
    out = {name: column.take(rows) for name, column in built.items()}
    for name, values in given.items():
        if values is None:
            continue
        for part in {"bbox": BBOX, "window": WINDOW}.get(name, (name,)):
            if part not in built and part in known:
                out[part] = absent_column(known[part], len(rows))
    return out
