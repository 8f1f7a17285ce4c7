"""Repairing an archive: what is sound is kept, what is lost is said, nothing is made up.

Damage is confined by the checksums of 64 KiB. A row whose code or id is damaged is lost; a damaged
value of a row that is sound otherwise becomes absent. Files that were damaged are kept aside, in
the folder ``damaged``, before anything takes their place.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import celling, rebuilding, recovering, thumbnails
from terrahash.archive.checking import SEGMENTS, check_manifest, check_segment
from terrahash.archive.columns import Column
from terrahash.archive.files import Files, WriterLock, explained, keep_aside
from terrahash.archive.ids import IdRuns
from terrahash.archive.manifest import NAME, Manifest, State, not_an_archive
from terrahash.archive.segments import (
    SUFFIX,
    Footer,
    Segment,
    read_footer,
    segment_path,
)
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.wrecks import Wreck
from terrahash.archive.writing import SegmentWriter, Table, write_table
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError


@dataclass
class Repair:
    """What `repair` did.

    Attributes:
        path: of the archive.
        done: what was changed, in words; empty if the archive was sound.
        lost: what could not be kept, in words.
        lost_rows: rows that could not be kept.
        lost_values: values that could not be kept of rows that were.
        lost_ids: ranges of ids, both ends included, within which the lost rows lie.
    """

    path: str
    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lost_rows: int = 0
    lost_values: int = 0
    lost_ids: list[tuple[int, int]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {**self.__dict__, "lost_ids": [list(pair) for pair in self.lost_ids]}


def repair(path: str | Path, *, files: Files | None = None) -> Repair:
    """Make a damaged archive usable again with all that is sound in it.

    Raises:
        ArchiveError: if there is no archive, another process is writing to it, or nothing of it
            can be read.
    """
    path = Path(path)
    files = files or Files()
    folder = path / SEGMENTS
    if not (path / NAME).exists() and not any(folder.glob("*" + SUFFIX)):
        raise not_an_archive(path)
    lock = WriterLock(path)
    try:
        with explained(path, "repairing it"):
            folder.mkdir(exist_ok=True)
            return _Repairer(path, files).run()
    finally:
        lock.release()


class _Repairer:
    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self.folder = path / SEGMENTS
        self.files = files
        self.report = Repair(str(path))
        # When the rows of a segment written by this repair were first written.
        self._ages: dict[int, int] = {}
        self._refused: list[Path] = []

    def run(self) -> Repair:
        sound = self._read_manifest()
        if sound is None:
            meta, state = self._rebuilt()
        else:
            meta, state = sound[0], self._caught_up(sound[1])
        wrecks = {
            footer.seq: Wreck(segment_path(self.folder, footer.seq), footer)
            for footer in state.segments.values()
            if list(check_segment(self.folder, footer))
        }
        for wreck in wrecks.values():
            self._keep_aside(wreck.path)
        fresh = self._salvage(state, wrecks)
        if sound is None:
            self._replace_manifest(meta, state, fresh, wrecks)
        elif wrecks or celling.problems(self.path, state.cells):
            manifest = Manifest(self.path, writable=True, files=self.files)
            try:
                cells = celling.remaining(state.cells, set(wrecks))
                if celling.problems(self.path, cells):
                    self.report.done.append("damaged cells were dropped; `compact` makes new ones")
                    cells = {}
                after = manifest.commit(state, add=fresh, remove=list(wrecks), cells=cells)
                self._drop_doubles(manifest, after, meta)
            finally:
                manifest.close()
        for path in (*(wreck.path for wreck in wrecks.values()), *self._refused):
            self.files.remove(path)
        self._mend_thumbnails()
        return self.report

    def _mend_thumbnails(self) -> None:
        from terrahash.archive.store import Store

        store = Store(self.path, writable=False, files=self.files)
        try:
            found = thumbnails.mend(self.path, store.snapshot(), self.files, self._keep_aside)
        finally:
            store.close()
        if found is not None:
            kept, lost = found
            self.report.done.append(f"{thumbnails.NAME} was made anew of its {kept} sound pictures")
            if lost:
                self.report.lost.append(f"{lost} thumbnails; their tiles are shown by their files")

    def _caught_up(self, state: State) -> State:
        """The state with the finished changes that a sound manifest does not name."""
        found = recovering.following(self.folder, state)
        lacking = recovering.unnamed(self.folder, state, found)
        if not lacking:
            return state
        manifest = Manifest(self.path, writable=True, files=self.files)
        try:
            after = recovering.catch_up(manifest, state, self.folder, found)
        finally:
            manifest.close()
        rows = sum(footer.rows for footer in lacking.values())
        self.report.done.append(
            f"finished changes that {NAME} did not name were named again: {len(lacking)}, with "
            f"{rows} rows (the last may be a write that was never acknowledged)"
        )
        return after

    # -- the manifest ----------------------------------------------------------------------------

    def _read_manifest(self) -> tuple[Mapping[str, str], State] | None:
        try:
            manifest = Manifest(self.path, writable=False, files=self.files)
        except ArchiveError:
            return None
        try:
            state, meta = manifest.state(), manifest.meta
            if manifest.integrity() or next(check_manifest(state, meta), None) is not None:
                return None
            layout = json.loads(meta["layout"])
            behind = recovering.following(self.folder, state).values()
            if not all(recovering.same_archive(meta, layout, footer) for footer in behind):
                return None
            # A footer is checksummed in its file only: where both are there they must agree.
            for seq, footer in state.segments.items():
                path = segment_path(self.folder, seq)
                if path.is_file() and not _agrees(path, footer):
                    return None
            return meta, state
        except (ArchiveError, KeyError, ValueError, TypeError):
            return None
        finally:
            manifest.close()

    def _rebuilt(self) -> tuple[Mapping[str, str], State]:
        """Meta and state as the segments themselves tell them."""
        footers, refused = rebuilding.footers_of(self.folder)
        for path, why in refused.items():
            self.report.lost.append(why)
            self._keep_aside(path)
        self._refused = list(refused)
        meta, state = rebuilding.state_of(self.path, footers, refused)
        self.report.done.append(
            f"{NAME} was damaged or contradicted the segments; it was made anew from the footers "
            f"of {len(footers)} segments (a write that was never acknowledged may be among them)"
        )
        return meta, state

    def _replace_manifest(
        self,
        meta: Mapping[str, str],
        state: State,
        fresh: list[Footer],
        wrecks: Mapping[int, Wreck],
    ) -> None:
        scratch = self.path / "rebuilt"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        Manifest.create(scratch, meta, self.files)
        manifest = Manifest(scratch, writable=True, files=self.files)
        try:
            kept = [f for f in state.segments.values() if f.seq not in wrecks]
            empty = State(0, 1, state.next_seq, {}, {}, {})
            after = manifest.commit(
                empty, add=[*kept, *fresh], next_id=state.next_id, columns=state.columns
            )
            self._drop_doubles(manifest, after, meta)
        finally:
            manifest.close()
        for suffix in ("", "-wal", "-shm"):
            self._keep_aside(self.path / (NAME + suffix))
        # In this order: a database without its log would be an older state that looks sound, and
        # a log that outlived its database must never be replayed onto another.
        for suffix in ("", "-wal", "-shm"):
            self.files.remove(self.path / (NAME + suffix))
            self.files.sync_folder(self.path)
        self.files.replace(scratch / NAME, self.path / NAME)
        self.files.sync_folder(self.path)
        shutil.rmtree(scratch, ignore_errors=True)

    def _drop_doubles(self, manifest: Manifest, state: State, meta: Mapping[str, str]) -> None:
        """Of rows with one id keep the one written last."""
        segments = [Segment.open(self.folder, footer) for footer in state.segments.values()]
        layout = CodeLayout.from_json(json.loads(meta["layout"]))
        snapshot = Snapshot(state, segments, layout)
        if len(snapshot.groups) <= 1:
            return
        parts = list(snapshot.rows())
        ids = np.concatenate([segment.ids.ids_of(rows) for segment, rows in parts])
        seqs = np.concatenate([np.full(len(rows), segment.seq) for segment, rows in parts])
        written = np.array([self._ages.get(seq, seq) for seq in seqs.tolist()])
        row = np.concatenate([rows for _, rows in parts])
        order = np.lexsort((-written, ids))
        doubles = order[1:][ids[order][1:] == ids[order][:-1]]
        if not len(doubles):
            return
        dead = {
            int(seq): np.sort(row[doubles[seqs[doubles] == seq]]).astype(np.uint32)
            for seq in np.unique(seqs[doubles])
        }
        table = Table(np.empty(0, np.int64), np.empty((0, layout.nbytes), np.uint8), {})
        some = next(iter(state.segments.values()))
        footer = self._write(table, dead, state.next_seq, state.next_id, some.archive)
        manifest.commit(state, add=[footer])
        self.report.done.append(f"{len(doubles)} rows that a later one had replaced were dropped")

    # -- segments --------------------------------------------------------------------------------

    def _keep_aside(self, path: Path) -> None:
        keep_aside(self.path, path, self.files)

    def _salvage(self, state: State, wrecks: Mapping[int, Wreck]) -> list[Footer]:
        """New segments with what is sound of damaged ones."""
        dead: dict[int, list[NDArray[np.uint32]]] = {}
        for footer in state.segments.values() if wrecks else ():
            wreck = wrecks.get(footer.seq) or Wreck(
                segment_path(self.folder, footer.seq), footer, sound=True
            )
            for target, rows, lost in wreck.tombstones():
                dead.setdefault(target, []).append(rows)
                if lost and target in state.segments:
                    self.report.lost.append(
                        f"{wreck.path.name}: which {lost} rows of segment {target} were deleted; "
                        "these rows are there again"
                    )
        first = state.next_seq
        fresh: list[Footer] = []
        for wreck in wrecks.values():
            gone = dead.get(wreck.footer.seq, [])
            table = self._sound_rows(wreck, gone)
            kept = {
                target: rows
                for target, rows, _ in wreck.tombstones()
                if target in state.segments and target not in wrecks and len(rows)
            }
            self.report.done.append(f"{wreck.path.name} was replaced by its {len(table.ids)} rows")
            number = first + len(fresh)
            self._ages[number] = wreck.footer.seq
            # One for each, even without rows: together they count, or none of them does.
            fresh.append(
                self._write(
                    table,
                    kept,
                    number,
                    wreck.footer.next_id,
                    wreck.footer.archive,
                    replaces=tuple(wrecks),
                    outputs=(first, len(wrecks)),
                )
            )
        return fresh

    def _sound_rows(self, wreck: Wreck, dead: Sequence[NDArray[np.uint32]]) -> Table:
        footer, name = wreck.footer, wreck.path.name
        alive = np.ones(footer.rows, bool)
        for rows in dead:
            alive[rows[rows < footer.rows]] = False
        ids = wreck.ids()
        if ids is None:
            if footer.rows:
                self._lose(int(alive.sum()), [footer.ids], f"{name} is missing or its ids damaged")
            nothing = np.empty((0, wreck.array("codes").shape[1]), np.uint8)
            return Table(np.empty(0, np.int64), nothing, {})
        sound = wreck.sound("codes")
        lost = np.flatnonzero(alive & ~sound)
        if len(lost):
            runs = IdRuns.of(ids.ids_of(lost))
            lengths = np.diff(runs.rows, append=runs.count)
            ranges = [(int(a), int(a + n - 1)) for a, n in zip(runs.ids, lengths, strict=True)]
            self._lose(len(lost), ranges, f"codes in {name} are damaged")
        kept = np.flatnonzero(alive & sound)
        columns: dict[str, Column] = {}
        for column_name, kind in footer.columns.items():
            column, damage = wreck.column(column_name, kind)
            columns[column_name] = column.take(kept)
            count = int(damage[kept].sum())
            if count:
                self.report.lost_values += count
                self.report.lost.append(f"{name}: {count} values of '{column_name}'")
        return Table(ids.ids_of(kept), wreck.array("codes")[kept], columns)

    def _write(
        self,
        table: Table,
        dead: Mapping[int, NDArray[np.uint32]],
        seq: int,
        next_id: int,
        archive: Mapping[str, Any],
        *,
        replaces: tuple[int, ...] = (),
        outputs: tuple[int, int] | None = None,
    ) -> Footer:
        writer = SegmentWriter(self.files, segment_path(self.folder, seq))
        try:
            ids, kinds = write_table(writer, table)
            for target, rows in dead.items():
                writer.add(f"dead.{target}", rows)
            return writer.finish(
                seq=seq,
                ids=ids,
                next_id=next_id,
                columns=kinds,
                replaces=replaces,
                outputs=outputs,
                archive=archive,
            )
        except BaseException:
            writer.abandon()
            raise

    def _lose(self, rows: int, ids: Sequence[tuple[int, int]], why: str) -> None:
        self.report.lost_rows += rows
        self.report.lost_ids += ids
        self.report.lost.append(f"{why}: {rows} rows, ids within {_ranges(ids)}")


def _ranges(ids: Sequence[tuple[int, int]], shown: int = 10) -> str:
    text = ", ".join(f"{a}…{b}" if b > a else str(a) for a, b in ids[:shown])
    return text + (f" and {len(ids) - shown} ranges more" if len(ids) > shown else "")


def _agrees(path: Path, footer: Footer) -> bool:
    try:
        return read_footer(path).to_text() == footer.to_text()
    except ArchiveError:
        return True
