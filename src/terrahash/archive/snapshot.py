"""One moment of an archive: its segments and tombstones, and every question that can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import Column
from terrahash.archive.filters import Few, Filter
from terrahash.archive.found import Found, found_in, merged
from terrahash.archive.hits import Record
from terrahash.archive.lookup import Needles
from terrahash.archive.manifest import State
from terrahash.archive.pieces import Piece, joined
from terrahash.archive.schema import BBOX, BUILT_IN, WINDOW
from terrahash.archive.segments import Segment
from terrahash.codes import CodeLayout
from terrahash.errors import InputError
from terrahash.search import Cells, search


@dataclass(frozen=True)
class StoredCells:
    """Cells and the segments, in this order, whose rows they are of."""

    cells: Cells
    covers: tuple[int, ...]


class Snapshot:
    """An archive as it was after one commit; nothing that happens later changes it.

    Args:
        state: of the manifest.
        segments: the open segments that the state names.
        layout: of the codes.
        cells: of the codes, where they were built.
    """

    def __init__(
        self,
        state: State,
        segments: Sequence[Segment],
        layout: CodeLayout,
        cells: StoredCells | None = None,
    ) -> None:
        self.cells = cells
        self.state = state
        self.layout = layout
        self.segments = sorted(
            (s for s in segments if s.rows), key=lambda s: (s.footer.ids[0], s.seq)
        )
        self.all_segments = list(segments)

    @cached_property
    def dead(self) -> dict[int, NDArray[np.uint32]]:
        """Deleted rows of each segment that has any, ascending, by segment number."""
        parts: dict[int, list[NDArray[np.uint32]]] = {}
        for segment in self.all_segments:
            for target, rows in segment.dead.items():
                if target in self.state.segments:
                    parts.setdefault(target, []).append(rows)
        return {
            target: rows[0] if len(rows) == 1 else np.unique(np.concatenate(rows))
            for target, rows in parts.items()
        }

    def __len__(self) -> int:
        rows = sum(segment.rows for segment in self.segments)
        return rows - sum(map(len, self.dead.values()))

    @cached_property
    def groups(self) -> list[list[Segment]]:
        """Segments in groups whose ids ascend from one to the next; one group without updates."""
        groups: list[list[Segment]] = []
        for segment in self.segments:
            for group in groups:
                if group[-1].footer.ids[1] < segment.footer.ids[0]:
                    group.append(segment)
                    break
            else:
                groups.append([segment])
        return groups

    @cached_property
    def _alive(self) -> dict[int, NDArray[np.bool_]]:
        return {}

    def alive(self, segment: Segment) -> NDArray[np.bool_] | None:
        """``(rows,) bool`` of the rows not deleted, or None where none is."""
        dead = self.dead.get(segment.seq)
        if dead is None:
            return None
        mask = self._alive.get(segment.seq)
        if mask is None:
            mask = np.ones(segment.rows, bool)
            mask[dead] = False
            self._alive[segment.seq] = mask
        return mask

    def kinds(self) -> dict[str, str]:
        """Kinds of all columns, built-in ones first."""
        return {**BUILT_IN, **self.state.columns}

    def select(
        self, segments: Sequence[Segment], condition: Filter | None
    ) -> list[NDArray[np.bool_] | Few | None]:
        """The live rows of segments that meet a condition: a mask, few rows, or None for all."""
        alive = [self.alive(segment) for segment in segments]
        if condition is None:
            return list(alive)
        return list(map(_living, condition.select(segments), alive))

    def rows(self, condition: Filter | None = None) -> Iterator[tuple[Segment, NDArray[np.int64]]]:
        """Segments and their live rows that meet a condition, in the order of ids per group."""
        for segment, met in zip(self.segments, self.select(self.segments, condition), strict=True):
            if met is None:
                rows = np.arange(segment.rows)
            else:
                rows = met.rows if isinstance(met, Few) else np.flatnonzero(met)
            if len(rows):
                yield segment, rows

    def ids(self, condition: Filter | None = None) -> NDArray[np.int64]:
        """``(n,) int64`` ids of the live rows that meet a condition, ascending."""
        parts = [segment.ids.ids_of(rows) for segment, rows in self.rows(condition)]
        joined = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return joined if len(self.groups) <= 1 else np.sort(joined)

    def locate(self, ids: NDArray[np.int64]) -> list[tuple[Segment, NDArray[Any], NDArray[Any]]]:
        """Where live rows lie.

        Returns:
            For each segment that holds any: itself, positions within ``ids``, rows.
        """
        out = []
        for group, firsts in zip(self.groups, self._firsts, strict=True):
            owner = np.searchsorted(firsts, ids, side="right") - 1
            for number in np.unique(owner[owner >= 0]).tolist():
                segment = group[number]
                possible = np.flatnonzero(owner == number)
                rows = segment.ids.rows_of(ids[possible])
                known = rows >= 0
                alive = self.alive(segment)
                if alive is not None:
                    known &= alive[np.maximum(rows, 0)]
                if known.any():
                    out.append((segment, possible[known], rows[known]))
        return out

    @cached_property
    def _firsts(self) -> list[NDArray[np.int64]]:
        """The smallest id of each segment of each group, ascending."""
        return [
            np.array([segment.footer.ids[0] for segment in group], np.int64)
            for group in self.groups
        ]

    def find(self, name: str, texts: Sequence[str]) -> Iterator[tuple[int, Segment, int]]:
        """(position in texts, segment, row) of every live row whose indexed column is a text."""
        needles = Needles(texts)
        for segment in self.segments:
            alive: NDArray[np.bool_] | None = None
            for position, row in needles.rows_in(segment, name):
                alive = self.alive(segment) if alive is None else alive
                if alive is None or alive[row]:
                    yield position, segment, row

    def codes(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """``(n, nbytes) uint8`` codes of ids.

        Raises:
            InputError: if an id is not in the archive.
        """
        out = np.empty((len(ids), self.layout.nbytes), np.uint8)
        missing = np.ones(len(ids), bool)
        for segment, positions, rows in self.locate(ids):
            out[positions] = segment.codes[rows]
            missing[positions] = False
        check_found(ids, missing)
        return out

    def records(self, ids: NDArray[np.int64]) -> list[Record]:
        """What is known of tiles, in the order of their ids as given.

        Raises:
            InputError: if an id is not in the archive.
        """
        found: dict[int, Record] = {}
        missing = np.ones(len(ids), bool)
        for segment, positions, rows in self.locate(ids):
            columns = {name: segment.column(name) for name in segment.footer.columns}
            missing[positions] = False
            for position, row in zip(positions.tolist(), rows.tolist(), strict=True):
                found[position] = _record(
                    int(ids[position]), row, columns, self.state.columns, segment.path.parents[1]
                )
        check_found(ids, missing)
        return [found[position] for position in range(len(ids))]

    def search(
        self,
        queries: NDArray[np.uint8],
        *,
        k: int | None,
        radius: float | None,
        condition: Filter | None = None,
        magnitudes: NDArray[np.float32] | None = None,
        ties: bool = False,
    ) -> list[Found]:
        """The nearest live rows of each query; see :func:`terrahash.search.search`.

        The order is (distance, id), with magnitudes (score, distance, id).
        """
        per_group = [
            self._search_group(group, queries, k, radius, condition, magnitudes, ties)
            for group in self.groups
        ]
        if len(per_group) == 1:
            return per_group[0]
        if not per_group:
            scores = None if magnitudes is None else np.empty(0, np.float32)
            nothing = Found(np.empty(0, np.int64), np.empty(0, np.float32), scores, 0, ())
            return [nothing] * len(queries)
        return [merged(parts, k, ties) for parts in zip(*per_group, strict=True)]

    def _cells_of(self, group: Sequence[Segment]) -> Cells | None:
        """The cells, if they are of this group's first rows."""
        stored = self.cells
        if stored is None:
            return None
        first = tuple(segment.seq for segment in group[: len(stored.covers)])
        return stored.cells if first == stored.covers else None

    def _search_group(
        self,
        group: Sequence[Segment],
        queries: NDArray[np.uint8],
        k: int | None,
        radius: float | None,
        condition: Filter | None,
        magnitudes: NDArray[np.float32] | None,
        ties: bool,
    ) -> list[Found]:
        if condition is None:
            pieces, gathered = self._whole(group), False
        else:
            chosen = list(zip(group, self.select(group, condition), strict=True))
            gathered = any(isinstance(met, Few) for _, met in chosen)
            pieces = [
                Piece.of(segment, met)
                for segment, met in chosen
                if not isinstance(met, Few) or len(met.rows)
            ]
        matches = search(
            [piece.codes for piece in pieces],
            queries,
            self.layout,
            k=k,
            radius=radius,
            masks=[piece.mask for piece in pieces],
            magnitudes=magnitudes,
            cells=None if gathered else self._cells_of(group),
            ties=ties,
        )
        starts = np.cumsum([0, *(len(piece.codes) for piece in pieces)])
        return [found_in(match, starts, pieces) for match in matches]

    @cached_property
    def _pieces(self) -> dict[int, list[Piece]]:
        return {}

    def _whole(self, group: Sequence[Segment]) -> list[Piece]:
        """What a search without a condition reads of a group."""
        key = group[0].seq
        pieces = self._pieces.get(key)
        if pieces is None:
            pieces = joined((segment, self.alive(segment)) for segment in group)
            self._pieces[key] = pieces
        return pieces


def _living(
    met: NDArray[np.bool_] | Few, alive: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | Few:
    if alive is None:
        return met
    return Few(met.rows[alive[met.rows]]) if isinstance(met, Few) else met & alive


def check_found(ids: NDArray[np.int64], missing: NDArray[np.bool_]) -> None:
    """Raise for ids that are not in the archive.

    Raises:
        InputError: naming the first of them.
    """
    if missing.any():
        absent = ids[missing]
        more = f" and {len(absent) - 1} others" if len(absent) > 1 else ""
        raise InputError(
            f"id {int(absent[0])}{more} not in the archive", "list ids with: archive list"
        )


def _record(
    number: int,
    row: int,
    columns: Mapping[str, Column | None],
    user: Mapping[str, str],
    archive: Path,
) -> Record:
    values: dict[str, Any] = {
        name: column.item(row) for name, column in columns.items() if column is not None
    }
    west, *rest = (values.get(name) for name in BBOX)
    x, *more = (values.get(name) for name in WINDOW)
    return Record(
        id=number,
        user_id=values.get("user_id"),
        source=values.get("source"),
        label=values.get("label"),
        predicted_label=values.get("predicted_label"),
        confidence=values.get("confidence"),
        datetime=values.get("datetime"),
        bbox=None if west is None else (west, *rest),
        window=None if x is None else (x, *more),
        size=values.get("size"),
        mtime=values.get("mtime"),
        columns={name: values.get(name) for name in user},
        archive=archive,
    )
