"""Laying down segments: the file of one, and rows as its arrays."""

from __future__ import annotations

import base64
import contextlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import lookup, zones
from terrahash.archive.columns import Column, TextColumn, absent_column, join
from terrahash.archive.files import Files
from terrahash.archive.ids import IdRuns
from terrahash.archive.segments import (
    ALIGNMENT,
    COPIED,
    END,
    MAGIC,
    MAX_COPIED_BYTES,
    TRAILER,
    ArrayPlace,
    Footer,
    checksums,
)
from terrahash.archive.snapshot import Snapshot

Array: TypeAlias = NDArray[Any]


class SegmentWriter:
    """Lays down one segment; nothing names it until the manifest does.

    Args:
        files: the disk.
        path: of the new file.
        named: whether its name is durable already, so that its folder need not be synced.
    """

    def __init__(self, files: Files, path: Path, *, named: bool = False) -> None:
        self._files = files
        self._path = path
        self._named = named
        self._file = files.create(path)
        self._places: list[ArrayPlace] = []
        self._checks: list[int] = []
        self._copies: dict[str, str] = {}
        self._end = len(MAGIC)
        try:
            files.write(self._file, MAGIC)
        except BaseException:
            self.abandon()
            raise

    def add(self, name: str, values: Array) -> None:
        """Append an array."""
        values = np.ascontiguousarray(values)
        padding = -self._end % ALIGNMENT
        self._files.write(self._file, b"\0" * padding)
        place = ArrayPlace(name, self._end + padding, values.dtype.str, values.shape)
        self._places.append(place)
        if values.size:
            raw = values.reshape(-1).view(np.uint8).data
            self._checks += checksums(raw)
            if name.startswith(COPIED) and len(raw) <= MAX_COPIED_BYTES:
                self._copies[name] = base64.b64encode(raw).decode("ascii")
            self._files.write(self._file, raw)
        self._end = place.offset + place.nbytes

    def finish(
        self,
        *,
        seq: int,
        ids: IdRuns,
        next_id: int,
        columns: Mapping[str, str],
        replaces: tuple[int, ...] = (),
        outputs: tuple[int, int] | None = None,
        archive: Mapping[str, Any],
    ) -> Footer:
        """Write the footer and make file and name durable."""
        checks = base64.b64encode(np.array(self._checks, "<u4").tobytes()).decode("ascii")
        footer = Footer(
            seq,
            ids.count,
            next_id,
            columns,
            replaces,
            outputs or (seq, 1),
            archive,
            tuple(self._places),
            checks,
            ids=(ids.first, ids.last),
            copies=self._copies,
        )
        text = footer.to_text().encode()
        trailer = TRAILER.pack(len(text), zlib.crc32(text), END)
        self._files.write(self._file, text + trailer)
        self._files.sync(self._file)
        self._file.close()
        if not self._named:
            self._files.sync_folder(self._path.parent)
        return Footer.from_text(text.decode(), self._end + len(text) + len(trailer))

    def abandon(self) -> None:
        """Close and remove what was written so far."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._files.remove(self._path)


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
