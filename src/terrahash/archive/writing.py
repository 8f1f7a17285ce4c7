"""Laying down rows as arrays of a segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import lookup, zones
from terrahash.archive.columns import Column, TextColumn, absent_column, join
from terrahash.archive.ids import IdRuns
from terrahash.archive.segments import SegmentWriter
from terrahash.archive.snapshot import Snapshot


@dataclass(frozen=True)
class Table:
    """Rows in memory, on their way into a segment.

    Attributes:
        ids: ``(N,) int64``.
        codes: ``(N, nbytes) uint8``.
        columns: those that have values, by name.
    """

    ids: NDArray[np.int64]
    codes: NDArray[np.uint8]
    columns: Mapping[str, Column]

    @classmethod
    def stored(cls, snapshot: Snapshot, ids: NDArray[np.int64]) -> Table:
        """Rows of an archive, in ascending order of their ids.

        Args:
            snapshot: that holds them all.
            ids: ``(N,) int64`` without repetition.
        """
        parts = [(segment, rows) for segment, _, rows in snapshot.locate(ids)]
        found = np.concatenate([s.ids.ids_of(rows) for s, rows in parts])
        order = np.argsort(found)
        columns = {}
        for name, kind in snapshot.kinds().items():
            if any(name in segment.footer.columns for segment, _ in parts):
                columns[name] = join(
                    kind,
                    [
                        absent_column(kind, len(rows)) if column is None else column.take(rows)
                        for segment, rows in parts
                        for column in [segment.column(name)]
                    ],
                ).take(order)
        codes = np.concatenate([segment.codes[rows] for segment, rows in parts])
        return cls(found[order], codes[order], columns)

    def changed(self, codes: NDArray[np.uint8] | None, columns: Mapping[str, Column]) -> Table:
        """The same rows with other codes or columns."""
        return Table(self.ids, self.codes if codes is None else codes, {**self.columns, **columns})

    def followed_by(self, other: Table) -> Table:
        """These rows, then those, in ascending order of ids."""
        kinds = {n: c.kind for n, c in [*self.columns.items(), *other.columns.items()]}
        ids = np.concatenate([self.ids, other.ids])
        order = np.argsort(ids)
        columns = {
            name: join(
                kind,
                [
                    absent_column(kind, len(table.ids)) if column is None else column
                    for table in (self, other)
                    for column in [table.columns.get(name)]
                ],
            ).take(order)
            for name, kind in kinds.items()
        }
        return Table(ids[order], np.concatenate([self.codes, other.codes])[order], columns)


def write_table(writer: SegmentWriter, table: Table) -> tuple[IdRuns, dict[str, str]]:
    """Lay down rows whose ids ascend; gives their ids and the kinds of their columns."""
    writer.add("codes", table.codes)
    runs = write_ids(writer, table.ids)
    for name, column in table.columns.items():
        write_column(writer, name, column)
        if name in lookup.INDEXED and isinstance(column, TextColumn):
            write_index(writer, name, *lookup.build(column))
    write_zones(writer, table.columns)
    return runs, {name: column.kind for name, column in table.columns.items()}


def write_ids(writer: SegmentWriter, ids: NDArray[np.int64]) -> IdRuns:
    """Lay down ascending ids."""
    runs = IdRuns.of(ids)
    writer.add("ids.rows", runs.rows)
    writer.add("ids.ids", runs.ids)
    return runs


def write_column(writer: SegmentWriter, name: str, column: Column) -> None:
    """Lay down a column."""
    for suffix, values in column.arrays().items():
        writer.add(name + suffix, values)


def write_zones(writer: SegmentWriter, columns: Mapping[str, Column]) -> None:
    """Lay down the zones and sketches of columns; the sides of footprints must be together."""
    for name, (ranges, sketch) in zones.build(columns).items():
        writer.add(name + ".zones", ranges)
        writer.add(name + ".sketch", sketch)


def write_index(
    writer: SegmentWriter, name: str, hashes: NDArray[np.uint32], rows: NDArray[np.uint32]
) -> None:
    """Lay down a lookup."""
    writer.add(name + ".hash", hashes)
    writer.add(name + ".hashrows", rows)
