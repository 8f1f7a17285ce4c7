"""The state of an archive on disk: opening it, committing to it, merging, and letting go of it.

The order of every commit: write a segment, sync it and its folder (it alone where its name is
durable already), then commit the manifest that names it. The order of every removal: commit the
manifest that no longer names a file, then remove it. Of what the manifest does not name the next
writer names whole segments that follow on its last one (:mod:`recovering`) and sweeps the rest.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from terrahash.archive import celling, merging, recovering
from terrahash.archive.changes import Change
from terrahash.archive.checking import ENCODER, SEGMENTS
from terrahash.archive.files import Files, WriterLock, explained, keep_aside
from terrahash.archive.manifest import NAME, Manifest, State, meta_of, not_an_archive
from terrahash.archive.names import Names
from terrahash.archive.segments import MAX_ROWS, SUFFIX, Segment, segment_path
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.writing import SegmentWriter, Table, write_table
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.encoder import Encoder

# A reader whose segments vanish under it while it opens them starts over; each time a merge was
# faster than it, which does not happen this often.
READ_ATTEMPTS = 100

_log = logging.getLogger("terrahash.archive")


class Store:
    """An open archive folder.

    Calls of several threads are taken one at a time where they change something; reading never
    waits for a change.

    Args:
        path: the folder.
        writable: whether to be its one writer.
        files: the disk.

    Raises:
        ArchiveError: if there is no archive, it is damaged, or another process is writing to it.
    """

    def __init__(self, path: Path, *, writable: bool, files: Files) -> None:
        self.path = path
        self.writable = writable
        self.closed = False
        self.mutex = threading.RLock()
        self._files = files
        self._names = Names(path / SEGMENTS, files)
        if not (path / NAME).is_file():
            raise not_an_archive(path)
        self._lock = WriterLock(path) if writable else None
        try:
            self._manifest = Manifest(path, writable=writable, files=files)
            try:
                self._read_meta()
                if writable:
                    self._catch_up()
                self._snapshot = self._load(None)
                if writable:
                    self._sweep()
            except BaseException:
                self._manifest.close()
                raise
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise

    @staticmethod
    def create(
        path: Path, layout: CodeLayout, encoder: Encoder | None, fingerprint: str, files: Files
    ) -> None:
        """Make a new, empty archive; one that was cut short at any moment can be made again.

        Raises:
            ArchiveError: if there is something at that place, or it cannot be written.
        """
        ours = {SEGMENTS, ENCODER, "archive.lock", NAME + ".new"}
        if path.exists() and (
            not path.is_dir() or any(entry.name not in ours for entry in path.iterdir())
        ):
            raise ArchiveError(
                f"{path} exists and is not an empty folder", "choose another place for the archive"
            )
        if encoder is not None:
            fingerprint = encoder.fingerprint
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with explained(path, "creating it"):
            (path / SEGMENTS).mkdir(parents=True, exist_ok=True)
            lock = WriterLock(path)
            try:
                if encoder is not None:
                    encoder.save(path / ENCODER, weights=False)
                    _sync_tree(path / ENCODER, files)
                Manifest.create(path, meta_of(layout.to_json(), fingerprint, created), files)
                files.sync_folder(path.parent)
            finally:
                lock.release()

    # -- reading ---------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The present state; a reader first looks what another process has written."""
        if self.closed:
            raise ArchiveError(f"{self.path} is closed", "open it again")
        if not self.writable:
            with self.mutex:
                if self._manifest.version() != self._snapshot.state.version:
                    self._snapshot = self._load(self._snapshot)
        return self._snapshot

    def bytes(self) -> int:
        """Bytes on disk, the encoder left out."""
        folders = (self.path / SEGMENTS, self.path / celling.FOLDER)
        found = [*self.path.glob("*.sqlite*"), *(f for folder in folders for f in folder.glob("*"))]
        return sum(file.stat().st_size for file in found if file.is_file())

    def _read_meta(self) -> None:
        try:
            self.layout = CodeLayout.from_json(json.loads(self._manifest.meta["layout"]))
            self.encoder_fingerprint = self._manifest.meta["encoder_fingerprint"]
            self.created = self._manifest.meta["created"]
        except (KeyError, ValueError, TypeError, InputError) as error:
            raise self._contradicted(f"layout or encoder ({error})") from None

    def _contradicted(self, what: str) -> ArchiveError:
        return ArchiveError(
            f"{self.path}: archive.sqlite is damaged: {what}",
            f"see what is lost with: terrahash archive repair {self.path}",
        )

    def _load(self, before: Snapshot | None) -> Snapshot:
        opened = {} if before is None else {s.seq: s for s in before.all_segments}
        for _ in range(READ_ATTEMPTS):
            state = self._manifest.state({seq: s.footer for seq, s in opened.items()})
            try:
                with explained(self.path, "opening its segments"):
                    for seq, footer in state.segments.items():
                        if seq not in opened:
                            opened[seq] = Segment.open(self._folder, footer)
            except ArchiveError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                if self._manifest.version() == state.version:
                    raise ArchiveError(
                        f"{self.path}: {error.__cause__.filename} is missing",
                        f"keep what is sound with: terrahash archive repair {self.path}",
                    ) from None
                continue
            layout = self.layout.to_json()
            if any(f.archive.get("layout") != layout for f in state.segments.values()):
                raise self._contradicted("its layout of codes is not that of its segments")
            cells = before.cells if before is not None else None
            if before is None or state.cells != before.state.cells:
                cells = celling.load(self.path, state.cells, self.layout)
            segments = [opened[seq] for seq in state.segments]
            return Snapshot(state, segments, self.layout, cells)
        raise ArchiveError(f"{self.path} changes faster than it can be read", "try again")

    # -- writing ---------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Refuse to change what is closed or open for reading.

        Raises:
            ArchiveError: if it is.
        """
        if self.closed:
            raise ArchiveError(f"{self.path} is closed", "open it again")
        if not self.writable:
            raise ArchiveError(f"{self.path} is open for reading", "open it with mode='a'")

    def commit(self, change: Change) -> None:
        """Make a change durable, wholly or not at all; then merge what should be merged."""
        state = self._snapshot.state
        table = change.table
        if table is None:
            empty = np.empty((0, self.layout.nbytes), np.uint8)
            table = Table(np.empty(0, np.int64), empty, {})
        kinds = state.columns if change.kinds is None else change.kinds
        next_id = max(state.next_id, int(table.ids[-1]) + 1 if len(table.ids) else 0)
        with explained(self.path, "writing a segment"):
            path = segment_path(self._folder, state.next_seq)
            named = self._names.ready(state.next_seq)
            writer = SegmentWriter(self._files, path, named=named)
            try:
                if not named:
                    self._names.make(state.next_seq + 1)
                ids, columns = write_table(writer, table)
                for target, rows in change.dead.items():
                    writer.add(f"dead.{target}", rows)
                footer = writer.finish(
                    seq=state.next_seq,
                    ids=ids,
                    next_id=next_id,
                    columns=columns,
                    archive=self._described(kinds),
                )
                if not named:
                    self._names.settle()
                segment = Segment.open(self._folder, footer)
                after = self._manifest.commit(state, add=[footer], next_id=next_id, columns=kinds)
            except BaseException:
                if self._is_at(state):
                    writer.abandon()
                raise
        self._advance(after, [*self._snapshot.all_segments, segment])
        self._merge_due()

    def set_columns(self, kinds: Mapping[str, str]) -> None:
        """Declare the user's columns."""
        after = self._manifest.commit(self._snapshot.state, columns=kinds)
        self._advance(after, self._snapshot.all_segments)

    def compact(self) -> None:
        """Merge everything into as few segments as there can be."""
        snapshot = self._snapshot
        tidy = not snapshot.dead and len(snapshot.groups) <= 1
        if not tidy or len(snapshot.all_segments) > -(-len(snapshot) // MAX_ROWS):
            self._merge(snapshot.all_segments)

    def build_cells(self, progress: Callable[[float], None] | None) -> bool:
        """Order the codes of the present snapshot into cells; gives whether there are any.

        Other threads may change the archive meanwhile; the cells count if the segments that they
        are of still exist.
        """
        snapshot = self._snapshot
        covered = tuple(s.seq for s in (snapshot.groups[0] if snapshot.groups else []))
        if snapshot.cells is not None and snapshot.cells.covers == covered:
            return True
        with explained(self.path, "building cells"):
            noted = celling.build(snapshot, self.path, self._files, progress)
            with self.mutex:
                self.check_writable()
                state = self._snapshot.state
                if noted is None or not set(covered) <= state.segments.keys():
                    celling.sweep(self.path, state.cells, self._files)
                    return False
                after = self._manifest.commit(state, cells=noted)
                self._advance(after, self._snapshot.all_segments)
                celling.sweep(self.path, after.cells, self._files)
        return True

    def close(self) -> None:
        """Let go of the files; may be called twice."""
        with self.mutex:
            if not self.closed:
                self.closed = True
                if self.writable:
                    self._let_go_of_names()
                self._manifest.close()
                if self._lock is not None:
                    self._lock.release()

    def _let_go_of_names(self) -> None:
        try:
            self._names.drop(self._snapshot.state.next_seq)
        except OSError as error:
            _log.warning("%s: leftovers stay until it is opened again: %s", self.path, error)

    @property
    def _folder(self) -> Path:
        return self.path / SEGMENTS

    def _described(self, kinds: Mapping[str, str]) -> dict[str, Any]:
        return {
            "layout": self.layout.to_json(),
            "encoder_fingerprint": self.encoder_fingerprint,
            "created": self.created,
            "columns": dict(kinds),
        }

    def _is_at(self, state: State) -> bool:
        try:
            return self._manifest.version() == state.version
        except ArchiveError:
            return False

    def _advance(self, state: State, segments: Sequence[Segment]) -> None:
        cells = self._snapshot.cells
        if state.cells != self._snapshot.state.cells:
            cells = celling.load(self.path, state.cells, self.layout)
        self._snapshot = Snapshot(state, segments, self.layout, cells)

    def _catch_up(self) -> None:
        """Name the finished changes that the manifest does not know of; see :mod:`recovering`."""
        state = self._manifest.state()
        found = recovering.following(self._folder, state)
        if not found:
            return
        layout = self.layout.to_json()
        for seq, footer in list(found.items()):
            if not recovering.same_archive(self._manifest.meta, layout, footer):
                raise self._contradicted(f"segment {seq} is of another archive")
            if not recovering.is_whole(self._folder, footer):
                keep_aside(self.path, segment_path(self._folder, seq), self._files)
                _log.warning("%s: unfinished segment %d was put aside", self.path, seq)
                del found[seq]
        with explained(self.path, "opening its segments"):
            # What it names must be its own before anything that it does not name is judged by it.
            for footer in state.segments.values():
                if segment_path(self._folder, footer.seq).exists():
                    Segment.open(self._folder, footer)
        after = recovering.catch_up(self._manifest, state, self._folder, found)
        taken = sorted(after.segments.keys() - state.segments.keys())
        if taken:
            _log.warning("%s: segments %s were whole and are named again", self.path, taken)

    def _sweep(self) -> None:
        """Remove what the manifest does not name."""
        named = {segment_path(self._folder, seq) for seq in self._snapshot.state.segments}
        with explained(self.path, "sweeping leftovers"):
            for path in self._folder.glob("*" + SUFFIX):
                if path not in named:
                    self._files.remove(path)
            celling.sweep(self.path, self._snapshot.state.cells, self._files)

    def _merge_due(self) -> None:
        """Merge what should be; the rows are durable already, so that failing costs only space."""
        try:
            while chosen := merging.due(self._snapshot):
                self._merge(chosen)
        except ArchiveError as error:
            _log.warning("segments of %s were not merged: %s", self.path, error.message)

    def _merge(self, chosen: Sequence[Segment]) -> None:
        snapshot = self._snapshot
        state = snapshot.state
        gone = [segment.seq for segment in chosen]
        with explained(self.path, "merging segments"):
            footers = merging.merge(
                snapshot,
                chosen,
                folder=self._folder,
                files=self._files,
                seq=state.next_seq,
                archive=self._described(state.columns),
            )
            new = [Segment.open(self._folder, footer) for footer in footers]
            cells = celling.remaining(state.cells, set(gone))
            after = self._manifest.commit(state, add=footers, remove=gone, cells=cells)
        kept = [s for s in snapshot.all_segments if s.seq in after.segments]
        self._advance(after, [*kept, *new])
        try:
            celling.sweep(self.path, after.cells, self._files)
            for segment in chosen:
                self._files.remove(segment.path)
        except OSError as error:
            _log.warning("%s: leftovers stay until it is opened again: %s", self.path, error)


def _sync_tree(folder: Path, files: Files) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as file:
            files.sync(file)
    files.sync_folder(folder)
