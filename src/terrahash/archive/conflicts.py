"""Tiles that are known already: by user id where they have one, else by source and window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import Column, NumberColumn
from terrahash.archive.schema import WINDOW
from terrahash.archive.segments import Segment
from terrahash.archive.snapshot import Snapshot
from terrahash.errors import InputError

Conflict: TypeAlias = Literal["error", "update", "skip"]
Window: TypeAlias = tuple[int, int, int, int]

# The window of a tile that is all of its source.
NOWHERE: Window = (-1, -1, -1, -1)


def conflicts(
    snapshot: Snapshot,
    given: Mapping[str, Any],
    built: Mapping[str, Column],
    rows: int,
    on_conflict: Conflict,
) -> NDArray[np.int64] | None:
    """Ids of the tiles that are known already.

    Returns:
        ``(rows,) int64``, −1 for tiles that are new; None if all are.

    Raises:
        InputError: if a tile is given twice or, with ``"error"``, one is known.
    """
    if on_conflict not in ("error", "update", "skip"):
        raise InputError(f"on_conflict is {on_conflict!r}", "choose 'error', 'update' or 'skip'")
    known: NDArray[np.int64] | None = None
    user_ids, sources = given.get("user_id"), given.get("source")
    if user_ids is not None:
        known = _by_text(snapshot, "user_id", user_ids, None, rows)
    if sources is not None:
        if user_ids is not None:
            sources = [s if u is None else None for s, u in zip(sources, user_ids, strict=True)]
        windows = _windows(built, rows)
        by_source = _by_text(snapshot, "source", sources, windows, rows)
        if by_source is not None:
            known = by_source if known is None else np.maximum(known, by_source)
    if known is not None and on_conflict == "error":
        row = int(np.argmax(known >= 0))
        name = (
            f"user id {user_ids[row]!r}" if user_ids is not None else str(sources and sources[row])
        )
        count = int((known >= 0).sum())
        raise InputError(
            f"row {row}, {name}, is in the archive already (id {int(known[row])})"
            + (f", and {count - 1} others" if count > 1 else ""),
            "leave it out, or say on_conflict='update' or 'skip'",
        )
    return known


def _windows(built: Mapping[str, Column], rows: int) -> list[Window] | None:
    if not any(name in built for name in WINDOW):
        return None
    sides = []
    for name in WINDOW:
        column = built.get(name)
        sides.append(column.values.tolist() if isinstance(column, NumberColumn) else [-1] * rows)
    return list(zip(*sides, strict=True))


def _by_text(
    snapshot: Snapshot,
    name: str,
    texts: Sequence[str | None],
    windows: Sequence[Window] | None,
    rows: int,
) -> NDArray[np.int64] | None:
    keys: Sequence[Any] = texts if windows is None else list(zip(texts, windows, strict=True))
    row_of = dict(zip(keys, range(rows), strict=True))
    if len(row_of) < rows or None in row_of:
        row_of = _row_of(keys, texts, name)
    needles = [text for text in dict.fromkeys(texts) if text is not None]
    known: NDArray[np.int64] | None = None
    for position, segment, stored in snapshot.find(name, needles):
        window = _window_at(segment, stored) if name == "source" else NOWHERE
        if windows is None and window != NOWHERE:
            continue
        text = needles[position]
        row = row_of.get(text if windows is None else (text, window))
        if row is not None:
            known = np.full(rows, -1, np.int64) if known is None else known
            known[row] = segment.ids.ids_of(np.array([stored]))[0]
    return known


def _row_of(keys: Sequence[Any], texts: Sequence[str | None], name: str) -> dict[Any, int]:
    out: dict[Any, int] = {}
    for row, (key, text) in enumerate(zip(keys, texts, strict=True)):
        if text is not None and out.setdefault(key, row) != row:
            raise InputError(
                f"rows {out[key]} and {row} are the same tile: {name} {text!r}",
                "give each tile once; tiles of one source differ by their window",
            )
    return out


def _window_at(segment: Segment, row: int) -> Window:
    columns = [segment.column(name) for name in WINDOW]
    x, y, width, height = (
        int(column.values[row]) if isinstance(column, NumberColumn) else -1 for column in columns
    )
    return x, y, width, height
