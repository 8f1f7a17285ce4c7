"""Merging segments, so that ten thousand small appends do not stay ten thousand files.

Segments are merged by size: once :data:`FAN_OUT` of them that follow one another in the order of
ids are small enough, they become one. Each row is thus rewritten only a few times in its life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import lookup
from terrahash.archive.columns import Column, absent_column, join
from terrahash.archive.files import Files
from terrahash.archive.ids import IdRuns
from terrahash.archive.schema import BBOX
from terrahash.archive.segments import MAX_ROWS, Footer, Segment, segment_path
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.writing import (
    SegmentWriter,
    write_column,
    write_ids,
    write_index,
    write_zones,
)

FAN_OUT = 16
# A merge makes a segment at least this many times as large as the largest in it: else each small
# append would rewrite a large segment, and a row would be rewritten any number of times.
GROWTH = 8
# Rows below which a segment is in tier 0, 1, 2…; from the last on it is left to `compact`.
TIERS = (1 << 4, 1 << 8, 1 << 12, 1 << 16, 1 << 20, 1 << 23)

Part = tuple[Segment, NDArray[np.int64]]


def due(snapshot: Snapshot) -> list[Segment]:
    """Segments that should become one now; empty if none should."""
    # Merging a segment would put the cells that cover it out of use.
    covered = set(snapshot.cells.covers) if snapshot.cells is not None else set()
    segments = [s for s in snapshot.segments if s.seq not in covered]
    segments += [s for s in snapshot.all_segments if not s.rows]
    for limit in TIERS:
        run: list[Segment] = []
        for segment in segments:
            if segment.rows < limit and sum(s.rows for s in run) + segment.rows <= MAX_ROWS:
                run.append(segment)
            elif _worthwhile(run):
                return run
            else:
                run = []
        if _worthwhile(run):
            return run
    return []


def _worthwhile(run: Sequence[Segment]) -> bool:
    rows = [segment.rows for segment in run]
    return len(run) >= FAN_OUT and max(rows) * GROWTH <= sum(rows)


def merge(
    snapshot: Snapshot,
    chosen: Sequence[Segment],
    *,
    folder: Path,
    files: Files,
    seq: int,
    archive: Mapping[str, Any],
) -> list[Footer]:
    """Write the live rows of some segments as new ones, and carry over their other tombstones.

    Returns:
        Footers of the new, durable segments, for the manifest.
    """
    gone = {segment.seq for segment in chosen}
    tombstones = _tombstones(snapshot, chosen, gone)
    sources = [segment for segment in chosen if segment.rows]
    ranges = _ranges(snapshot, sources)
    if not ranges and tombstones:
        ranges = [(0, 0)]
    footers: list[Footer] = []
    for number, (first, stop) in enumerate(ranges, seq):
        writer = SegmentWriter(files, segment_path(folder, number))
        try:
            ids, kinds = _write_rows(writer, _parts(snapshot, sources, first, stop), snapshot)
            for target, dead in tombstones.items():
                writer.add(f"dead.{target}", dead)
            footers.append(
                writer.finish(
                    seq=number,
                    ids=ids,
                    next_id=snapshot.state.next_id,
                    columns=kinds,
                    replaces=tuple(sorted(gone)),
                    outputs=(seq, len(ranges)),
                    archive=archive,
                )
            )
        except BaseException:
            writer.abandon()
            for footer in footers:
                files.remove(segment_path(folder, footer.seq))
            raise
        tombstones = {}
    return footers


def _tombstones(
    snapshot: Snapshot, chosen: Sequence[Segment], gone: set[int]
) -> dict[int, NDArray[np.uint32]]:
    found: dict[int, list[NDArray[np.uint32]]] = {}
    for segment in chosen:
        for target, rows in segment.dead.items():
            if target in snapshot.state.segments and target not in gone:
                found.setdefault(target, []).append(rows)
    return {target: np.unique(np.concatenate(rows)) for target, rows in found.items()}


def _ranges(snapshot: Snapshot, segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """Ranges of ids [first, stop) of at most MAX_ROWS rows each, that hold all live rows."""
    stop = max((segment.footer.ids[1] for segment in segments), default=-1) + 1
    ranges = []
    first = 0
    while first < stop:
        if _count(segments, first, stop) <= MAX_ROWS:
            bound = stop
        else:
            low, high = first + 1, stop
            while low < high:
                middle = (low + high + 1) // 2
                if _count(segments, first, middle) <= MAX_ROWS:
                    low = middle
                else:
                    high = middle - 1
            bound = low
        if _parts(snapshot, segments, first, bound):
            ranges.append((first, bound))
        first = bound
    return ranges


def _count(segments: Sequence[Segment], first: int, stop: int) -> int:
    return sum(s.ids.below(stop) - s.ids.below(first) for s in segments)


def _parts(snapshot: Snapshot, segments: Sequence[Segment], first: int, stop: int) -> list[Part]:
    parts = []
    for segment in segments:
        rows = np.arange(segment.ids.below(first), segment.ids.below(stop))
        alive = snapshot.alive(segment)
        if alive is not None:
            rows = rows[alive[rows]]
        if len(rows):
            parts.append((segment, rows))
    return parts


def _write_rows(
    writer: SegmentWriter, parts: Sequence[Part], snapshot: Snapshot
) -> tuple[IdRuns, dict[str, str]]:
    if not parts:
        return write_ids(writer, np.empty(0, np.int64)), {}
    ids = np.concatenate([segment.ids.ids_of(rows) for segment, rows in parts])
    order = None
    if not (np.diff(ids) > 0).all():
        order = np.argsort(ids)
        ids = ids[order]
    codes = np.concatenate([s.codes if len(rows) == s.rows else s.codes[rows] for s, rows in parts])
    writer.add("codes", codes if order is None else codes[order])
    del codes
    runs = write_ids(writer, ids)
    kinds = {}
    sides: dict[str, Column] = {}
    for name, kind in snapshot.kinds().items():
        if not any(name in segment.footer.columns for segment, _ in parts):
            continue
        kinds[name] = kind
        column = join(
            kind,
            [
                absent_column(kind, len(rows))
                if column is None
                else column
                if len(rows) == segment.rows
                else column.take(rows)
                for segment, rows in parts
                for column in [segment.column(name)]
            ],
        )
        if order is not None:
            column = column.take(order)
        write_column(writer, name, column)
        if name in BBOX:
            sides[name] = column
        else:
            write_zones(writer, {name: column})
        if name in lookup.INDEXED:
            write_index(writer, name, *lookup.join(parts, name, order))
    write_zones(writer, sides)
    return runs, kinds
