"""The archive: a collection of hash codes and what is known of their tiles, on disk."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import celling, merging
from terrahash.archive.checking import ENCODER, SEGMENTS, Verification, verify
from terrahash.archive.columns import Column, absent_column
from terrahash.archive.conflicts import Conflict, conflicts
from terrahash.archive.files import Files, WriterLock, explained
from terrahash.archive.filters import Filter
from terrahash.archive.hits import Hits, Record
from terrahash.archive.manifest import NAME, Manifest, State, meta_of, not_an_archive
from terrahash.archive.repairing import Repair, repair
from terrahash.archive.schema import (
    BBOX,
    BUILT_IN,
    WINDOW,
    build_columns,
    check_kind,
    check_name,
)
from terrahash.archive.segments import MAX_ROWS, SUFFIX, Segment, SegmentWriter, segment_path
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.writing import Table, write_table
from terrahash.codes import CodeLayout, check_codes
from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.archive.indexing import IndexReport
    from terrahash.encoder import Encoder

Mode: TypeAlias = Literal["r", "a"]
Values: TypeAlias = Sequence[Any] | NDArray[Any]
BBox: TypeAlias = tuple[float, float, float, float]

# A reader whose segments vanish under it while it opens them starts over; each time a merge was
# faster than it, which does not happen this often.
READ_ATTEMPTS = 100
DEFAULT_K = 20

_log = logging.getLogger("terrahash.archive")


@dataclass(frozen=True)
class ArchiveInfo:
    """What an archive is and holds.

    Attributes:
        path: where it is.
        tiles: live tiles.
        bits: of a stored code, label bits included.
        encoder: fingerprint of the encoder that made the codes; empty if there is none.
        bytes: on disk, the encoder left out.
        deleted: deleted rows that still take space; `compact` frees it.
        segments: files of codes.
        cells: share of the rows that is ordered into cells.
        columns: kinds of the columns that users named.
        created: when it was made, ISO 8601.
        version: number of changes so far.
    """

    path: str
    tiles: int
    bits: int
    hash_bits: int
    label_bits: int
    label_weight: float
    encoder: str
    bytes: int
    deleted: int
    segments: int
    cells: float
    columns: Mapping[str, str]
    created: str
    version: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {**self.__dict__, "columns": dict(self.columns)}


class Archive:
    """A collection of hash codes with ids and metadata, in a folder.

    One process writes at a time, any number read; each call sees one consistent state. What a
    call has stored when it returns survives the death of the process and of the machine.

    Use :func:`open_archive` to open one and :meth:`create` to make one.

    Args:
        path: the folder.
        mode: ``"r"`` to read, ``"a"`` to read and write.
        files: the disk; tests put another in its place.

    Raises:
        ArchiveError: if there is no archive, it is damaged, or another process is writing to it.
    """

    def __init__(self, path: str | Path, mode: Mode = "a", *, files: Files | None = None) -> None:
        if mode not in ("r", "a"):
            raise InputError(f"mode is {mode!r}", "open with 'r' to read or 'a' to add")
        self.path = Path(path)
        self.mode = mode
        self._files = files or Files()
        self._mutex = threading.RLock()
        self._encoder: Encoder | None = None
        if not (self.path / NAME).is_file():
            raise not_an_archive(self.path)
        self._lock = WriterLock(self.path) if mode == "a" else None
        try:
            self._manifest = Manifest(self.path, writable=mode == "a", files=self._files)
            try:
                self._read_meta()
                self._snapshot = self._load(None)
                if mode == "a":
                    self._sweep()
            except BaseException:
                self._manifest.close()
                raise
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise
        self._closed = False

    @classmethod
    def create(
        cls,
        path: str | Path,
        layout: CodeLayout,
        *,
        encoder_folder: str | Path | None = None,
        encoder_fingerprint: str = "",
        files: Files | None = None,
    ) -> Archive:
        """Make a new, empty archive and open it for writing.

        Args:
            path: a folder that does not exist or is empty.
            layout: of the codes.
            encoder_folder: an encoder to keep a copy of.
            encoder_fingerprint: of the encoder that makes the codes, where it is not kept.

        Raises:
            ArchiveError: if there is something at that place, or it cannot be written.
        """
        encoder = None
        if encoder_folder is not None:
            from terrahash.encoder import Encoder

            encoder = Encoder.load(encoder_folder)
        return cls._create(Path(path), layout, encoder, encoder_fingerprint, files or Files())

    @classmethod
    def _create(
        cls,
        path: Path,
        layout: CodeLayout,
        encoder: Encoder | None,
        fingerprint: str,
        files: Files,
    ) -> Archive:
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
        return cls(path, "a", files=files)

    # -- reading ---------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The present state; it stays as it is whatever happens to the archive later."""
        self.refresh()
        return self._snapshot

    def refresh(self) -> None:
        """See what another process has written; every call of a reader does so by itself."""
        with self._mutex:
            self._check_open()
            if self._lock is None and self._manifest.version() != self._snapshot.state.version:
                self._snapshot = self._load(self._snapshot)

    def __len__(self) -> int:
        return len(self.snapshot())

    @property
    def encoder(self) -> Encoder:
        """The encoder that the archive keeps, loaded on first use.

        Raises:
            ArchiveError: if it keeps none, or one that did not make its codes.
        """
        if self._encoder is None:
            if not (self.path / ENCODER).is_dir():
                raise ArchiveError(
                    f"{self.path} keeps no encoder", "open it together with the encoder"
                )
            from terrahash.encoder import Encoder

            self._use_encoder(Encoder.load(self.path / ENCODER))
        assert self._encoder is not None  # noqa: S101 - set just above
        return self._encoder

    def _use_encoder(self, encoder: Encoder) -> None:
        if encoder.fingerprint != self.encoder_fingerprint:
            raise ArchiveError(
                f"{self.path} holds codes of encoder {self.encoder_fingerprint or 'unknown'}, "
                f"not of {encoder.fingerprint}; their codes cannot be compared",
                "use the encoder of the archive, or index the images into a new archive",
            )
        self._encoder = encoder

    def info(self) -> ArchiveInfo:
        """What the archive is and holds."""
        snapshot = self.snapshot()
        size = sum(segment.footer.size for segment in snapshot.all_segments)
        size += sum(f.stat().st_size for f in self.path.glob(NAME + "*"))
        size += sum(f.stat().st_size for f in self.path.glob(celling.FOLDER + "/*"))
        rows = sum(segment.rows for segment in snapshot.segments)
        return ArchiveInfo(
            path=str(self.path),
            tiles=len(snapshot),
            bits=self.layout.bits,
            hash_bits=self.layout.hash_bits,
            label_bits=self.layout.label_bits,
            label_weight=self.layout.label_weight,
            encoder=self.encoder_fingerprint,
            bytes=size,
            deleted=sum(map(len, snapshot.dead.values())),
            segments=len(snapshot.all_segments),
            cells=snapshot.cells.cells.size / rows if snapshot.cells and rows else 0.0,
            columns=snapshot.state.columns,
            created=self._manifest.meta["created"],
            version=snapshot.state.version,
        )

    def ids(
        self,
        *,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        after: Any = None,
        before: Any = None,
    ) -> NDArray[np.int64]:
        """``(n,) int64`` ids of the tiles that meet the filters, ascending; see :meth:`search`."""
        snapshot = self.snapshot()
        return snapshot.ids(Filter.of(snapshot.kinds(), where, bbox, after, before))

    def records(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> list[Record]:
        """What is known of tiles.

        Raises:
            InputError: if an id is not in the archive.
        """
        return self.snapshot().records(_ids(ids))

    def codes(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """``(n, nbytes) uint8`` codes of tiles.

        Raises:
            InputError: if an id is not in the archive.
        """
        return self.snapshot().codes(_ids(ids))

    def source_states(
        self, sources: Sequence[str]
    ) -> dict[str, tuple[int | None, int | None, int]]:
        """What is stored of sources, for indexing only what has changed.

        Returns:
            Size in bytes, mtime in nanoseconds and id (the lowest, where a source has several
            tiles) of each source that is in the archive.
        """
        out: dict[str, tuple[int | None, int | None, int]] = {}
        for position, segment, row in self.snapshot().find("source", sources):
            number = int(segment.ids.ids_of(np.array([row]))[0])
            source = sources[position]
            if source not in out or number < out[source][2]:
                values: list[Any] = [
                    None if column is None else column.item(row)
                    for column in (segment.column("size"), segment.column("mtime"))
                ]
                out[source] = (values[0], values[1], number)
        return out

    def ids_of_sources(self, sources: Sequence[str]) -> dict[str, list[int]]:
        """All ids of each source that is in the archive, ascending."""
        return self._ids_by("source", sources)

    def ids_of_user_ids(self, user_ids: Sequence[str]) -> dict[str, int]:
        """The id of each user's id that is in the archive."""
        return {text: ids[0] for text, ids in self._ids_by("user_id", user_ids).items()}

    def _ids_by(self, name: str, texts: Sequence[str]) -> dict[str, list[int]]:
        out: dict[str, list[int]] = {}
        for position, segment, row in self.snapshot().find(name, texts):
            out.setdefault(texts[position], []).append(int(segment.ids.ids_of(np.array([row]))[0]))
        return {text: sorted(ids) for text, ids in out.items()}

    def search_codes(
        self,
        codes: NDArray[np.uint8],
        *,
        k: int | None = DEFAULT_K,
        radius: float | None = None,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        after: Any = None,
        before: Any = None,
        magnitudes: NDArray[np.float32] | None = None,
        ties: bool = False,
        names: Sequence[str | None] | None = None,
    ) -> list[Hits]:
        """The tiles nearest to each of some codes, exactly, in the order (distance, id).

        Args:
            codes: ``(Q, nbytes) uint8`` packed; one code ``(nbytes,)`` will do.
            k: how many hits; None for all within the radius.
            radius: largest distance, bits as the layout weighs them.
            where: a condition on the tiles' columns (``docs/archive.md``).
            bbox: footprints that meet west south east north, degrees; west > east crosses the
                antimeridian.
            after: taken at this moment or later: ISO 8601, date, datetime.
            before: taken before this moment.
            magnitudes: ``(Q, bits) float32`` for asymmetric ranking.
            ties: also all further tiles that rank as the last hit does.
            names: what to call the queries in the hits.

        Raises:
            InputError: if an argument is wrong.
        """
        if codes.ndim == 1:
            codes = codes[None]
        check_codes(codes, self.layout, "queries")
        if k is not None and k < 1:
            raise InputError(f"k is {k}", "ask for at least one hit")
        snapshot = self.snapshot()
        condition = Filter.of(snapshot.kinds(), where, bbox, after, before)
        found = snapshot.search(
            codes, k=k, radius=radius, condition=condition, magnitudes=magnitudes, ties=ties
        )
        return [
            Hits(
                query=names[number] if names is not None else None,
                ids=one.ids,
                distances=one.distances,
                scores=one.scores,
                ties_at_last_distance=one.ties,
                explain={"parts": [{"way": w, "share_read": s} for w, s in one.ways]},
                _snapshot=snapshot,
            )
            for number, one in enumerate(found)
        ]

    def search(
        self,
        query: str | Path | int | NDArray[np.uint8],
        k: int | None = DEFAULT_K,
        *,
        radius: float | None = None,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        after: Any = None,
        before: Any = None,
        ties: bool = False,
        asymmetric: bool = True,
    ) -> Hits:
        """The tiles that look most like an image or a tile of the archive.

        Args:
            query: an image file, an ``(H, W, 3) uint8`` RGB array, or the id of a tile.
            asymmetric: rank an image's hits by its activations (finer than whole bits); a stored
                tile has none.
            k, radius, where, bbox, after, before, ties: see :meth:`search_codes`.

        Raises:
            ArchiveError: if the archive keeps no encoder and the query is an image.
            ImageError: if the image cannot be read.
            InputError: if an argument is wrong, or there is no such id.
        """
        magnitudes = None
        name: str | None = None
        if isinstance(query, (int, np.integer)):
            codes = self.codes([int(query)])
            name = f"id {int(query)}"
        else:
            if isinstance(query, np.ndarray):
                encoded = self.encoder.encode_image(query)
            else:
                name = str(query)
                encoded = self.encoder.encode_files([query])
            codes = encoded.codes
            magnitudes = encoded.magnitudes if asymmetric else None
        return self.search_codes(
            codes,
            k=k,
            radius=radius,
            where=where,
            bbox=bbox,
            after=after,
            before=before,
            magnitudes=magnitudes,
            ties=ties,
            names=[name],
        )[0]

    # -- writing ---------------------------------------------------------------------------------

    def add(self, *paths: str | Path, **options: Any) -> IndexReport:
        """Encode image files and folders and store what is new or has changed.

        See :func:`terrahash.archive.indexing.index_images` for the options.
        """
        from terrahash.archive.indexing import index_images

        return index_images(self, paths, **options)

    def add_codes(
        self,
        codes: NDArray[np.uint8],
        *,
        sources: Values | None = None,
        sizes: Values | None = None,
        mtimes: Values | None = None,
        user_ids: Values | None = None,
        labels: Values | None = None,
        predicted_labels: Values | None = None,
        confidences: Values | None = None,
        datetimes: Values | None = None,
        bboxes: Values | None = None,
        windows: Values | None = None,
        columns: Mapping[str, Values] | None = None,
        ids: Values | None = None,
        on_conflict: Conflict = "error",
    ) -> NDArray[np.int64]:
        """Store codes with what is known of their tiles; durable when it returns.

        A tile is known by its user id where it has one, else by source and window.

        Args:
            codes: ``(N, nbytes) uint8`` packed.
            sources: path or address of each tile's pixels.
            sizes: bytes of the source files.
            mtimes: their last change, nanoseconds since 1970.
            user_ids: ids of your own, each once in an archive.
            labels: true classes, as texts.
            predicted_labels: classes as the encoder sees them.
            confidences: probabilities of those.
            datetimes: when taken: ISO 8601, datetime, or microseconds since 1970 (UTC).
            bboxes: footprints ``(N, 4)``: west, south, east, north in degrees.
            windows: parts of the sources ``(N, 4)``: x, y, width, height in pixels.
            columns: more values by column name; a new name makes a new column.
            ids: of your own choice instead of the next free ones: ascending, none below the next
                free one. Not with tiles that are known already.
            on_conflict: what to do about a tile that is known already: ``"error"`` stores
                nothing, ``"update"`` gives it the new code and values, ``"skip"`` leaves it.

        Returns:
            ``(N,) int64`` ids, of the tile that was there where one was.

        Raises:
            InputError: if an argument is wrong or, with ``"error"``, a tile is known already.
            ArchiveError: if it cannot be written; then nothing of it is stored.
        """
        given = {
            "source": sources,
            "size": sizes,
            "mtime": mtimes,
            "user_id": user_ids,
            "label": labels,
            "predicted_label": predicted_labels,
            "confidence": confidences,
            "datetime": datetimes,
            "bbox": bboxes,
            "window": windows,
        }
        with self._mutex:
            self._check_writable()
            check_codes(codes, self.layout)
            snapshot = self._snapshot
            built, kinds = build_columns(len(codes), snapshot.state.columns, given, columns or {})
            known = conflicts(snapshot, given, built, len(codes), on_conflict)
            numbers = _new_ids(ids, len(codes), snapshot.state.next_id)
            if not len(codes):
                return numbers
            if known is None:
                self._commit(Table(numbers, codes, built), kinds=kinds)
                return numbers
            if ids is not None:
                raise InputError(
                    "ids are given, but some tiles are known already", "leave out one of the two"
                )
            fresh = known < 0
            numbers[fresh] = np.arange(int(fresh.sum())) + snapshot.state.next_id
            numbers[~fresh] = known[~fresh]
            new = np.flatnonzero(fresh)
            table = Table(numbers[new], codes[new], {n: c.take(new) for n, c in built.items()})
            dead: dict[int, NDArray[np.uint32]] = {}
            if on_conflict == "update":
                order = np.flatnonzero(~fresh)
                order = order[np.argsort(numbers[order])]
                old = Table.stored(snapshot, numbers[order])
                changes = {name: built[name].take(order) for name in built} | _cleared(
                    {**given, **(columns or {})}, built, kinds, len(order)
                )
                table = old.changed(codes[order], changes).followed_by(table)
                dead = _dead_rows(snapshot, numbers[order])
            if len(table.ids):
                self._commit(table, dead=dead, kinds=kinds)
            return numbers

    def upsert(self, codes: NDArray[np.uint8], **values: Any) -> NDArray[np.int64]:
        """:meth:`add_codes` that updates the tiles that are known already."""
        return self.add_codes(codes, on_conflict="update", **values)

    def update(
        self,
        ids: Sequence[int] | NDArray[np.integer[Any]],
        *,
        codes: NDArray[np.uint8] | None = None,
        sources: Values | None = None,
        sizes: Values | None = None,
        mtimes: Values | None = None,
        user_ids: Values | None = None,
        labels: Values | None = None,
        predicted_labels: Values | None = None,
        confidences: Values | None = None,
        datetimes: Values | None = None,
        bboxes: Values | None = None,
        windows: Values | None = None,
        columns: Mapping[str, Values] | None = None,
    ) -> int:
        """Give tiles other values; they keep their ids. Durable when it returns.

        Args:
            ids: of the tiles, each once; the other arguments give one value for each, None to
                remove one; see :meth:`add_codes`.

        Returns:
            How many tiles were changed.

        Raises:
            InputError: if an id is not in the archive or given twice, or an argument is wrong.
        """
        given = {
            "source": sources,
            "size": sizes,
            "mtime": mtimes,
            "user_id": user_ids,
            "label": labels,
            "predicted_label": predicted_labels,
            "confidence": confidences,
            "datetime": datetimes,
            "bbox": bboxes,
            "window": windows,
        }
        with self._mutex:
            self._check_writable()
            numbers = _ids(ids)
            snapshot = self._snapshot
            if len(np.unique(numbers)) != len(numbers):
                raise InputError("an id is given twice", "give each id once")
            if not len(numbers):
                return 0
            snapshot.codes(numbers)
            if codes is not None:
                check_codes(codes, self.layout)
                if len(codes) != len(numbers):
                    raise InputError(
                        f"{len(codes)} codes for {len(numbers)} ids", "give one code for each id"
                    )
            built, kinds = build_columns(len(numbers), snapshot.state.columns, given, columns or {})
            taken = conflicts(snapshot, given, built, len(numbers), "update")
            if taken is not None and ((taken >= 0) & (taken != numbers)).any():
                raise InputError(
                    "a source or user id given here belongs to another tile", "give each once"
                )
            order = np.argsort(numbers)
            changes: dict[str, Column] = {name: built[name].take(order) for name in built}
            changes |= _cleared({**given, **(columns or {})}, built, kinds, len(order))
            table = Table.stored(snapshot, numbers[order]).changed(
                None if codes is None else codes[order], changes
            )
            self._commit(table, dead=_dead_rows(snapshot, numbers), kinds=kinds)
            return len(numbers)

    def delete(
        self,
        *,
        ids: Sequence[int] | NDArray[np.integer[Any]] | None = None,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        after: Any = None,
        before: Any = None,
    ) -> int:
        """Delete tiles; durable when it returns. Their ids are never given out again.

        Args:
            ids: of the tiles; ids that are not there are passed over.
            where, bbox, after, before: filters, see :meth:`search_codes`.

        Returns:
            How many tiles were deleted.

        Raises:
            InputError: if nothing says what to delete.
        """
        with self._mutex:
            self._check_writable()
            snapshot = self._snapshot
            condition = Filter.of(snapshot.kinds(), where, bbox, after, before)
            if (ids is None) == (condition is None):
                raise InputError(
                    "delete needs either ids or a filter", "say what to delete, in one way"
                )
            if ids is not None:
                dead = _dead_rows(snapshot, np.unique(_ids(ids)))
            else:
                dead = {s.seq: rows.astype(np.uint32) for s, rows in snapshot.rows(condition)}
            if dead:
                self._commit(None, dead=dead)
            return sum(map(len, dead.values()))

    def add_column(self, name: str, kind: str) -> None:
        """Declare a column before it has values.

        Raises:
            InputError: if the name is taken or the kind unknown.
        """
        with self._mutex:
            self._check_writable()
            check_name(name)
            check_kind(kind)
            state = self._snapshot.state
            if state.columns.get(name, kind) != kind:
                raise InputError(
                    f"column '{name}' is of kind {state.columns[name]}", "choose another name"
                )
            after = self._manifest.commit(state, columns={**state.columns, name: kind})
            self._advance(after, self._snapshot.all_segments)

    def compact(self, *, progress: Callable[[float], None] | None = None) -> None:
        """Rewrite the archive as few large segments without deleted rows, ordered into cells.

        Readers go on meanwhile. A file is removed only after what replaces it is durable.

        Args:
            progress: called now and then with the share of the cells that is built, 0 to 1.
        """
        with self._mutex:
            self._check_writable()
            snapshot = self._snapshot
            tidy = not snapshot.dead and len(snapshot.groups) <= 1
            if not tidy or len(snapshot.all_segments) > -(-len(snapshot) // MAX_ROWS):
                self._merge(snapshot.all_segments)
            self.build_cells(progress=progress)

    def build_cells(self, *, progress: Callable[[float], None] | None = None) -> bool:
        """Order the present codes into cells, which makes their search sub-linear.

        Codes that are added later are scanned beside the cells. Needs about 40 bytes of memory a
        code while it runs.

        Args:
            progress: called now and then with the share done, 0 to 1.

        Returns:
            Whether there are cells now; few codes are searched faster without.
        """
        with self._mutex:
            self._check_writable()
            snapshot = self._snapshot
            stored = snapshot.cells
            covered = tuple(s.seq for s in (snapshot.groups[0] if snapshot.groups else []))
            if stored is not None and stored.covers == covered:
                return True
            with explained(self.path, "building cells"):
                noted = celling.build(snapshot, self.path, self._files, progress)
                if noted is None:
                    return False
                after = self._manifest.commit(snapshot.state, cells=noted)
                self._advance(after, snapshot.all_segments)
                celling.sweep(self.path, after.cells, self._files)
            return True

    def verify(self) -> Verification:
        """Check every checksum and count; see :func:`terrahash.archive.verify`."""
        self._check_open()
        return verify(self.path)

    def repair(self) -> Repair:
        """Keep what is sound of a damaged archive; see :func:`terrahash.archive.repair`.

        An archive that cannot even be opened is repaired with the function.
        """
        with self._mutex:
            self._check_writable()
            self.close()
            report = repair(self.path, files=self._files)
            self.__init__(self.path, "a", files=self._files)  # type: ignore[misc]
            return report

    def close(self) -> None:
        """Let go of the files; another process may write then."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            self._manifest.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r}, mode={self.mode!r}, bits={self.layout.bits})"

    # -- the machinery ---------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self.path / SEGMENTS

    def _check_open(self) -> None:
        if self._closed:
            raise ArchiveError(f"{self.path} is closed", "open it again")

    def _check_writable(self) -> None:
        self._check_open()
        if self._lock is None:
            raise ArchiveError(f"{self.path} is open for reading", "open it with mode='a'")

    def _described(self, kinds: Mapping[str, str]) -> dict[str, Any]:
        return {
            "layout": self.layout.to_json(),
            "encoder_fingerprint": self.encoder_fingerprint,
            "created": self._manifest.meta["created"],
            "columns": dict(kinds),
        }

    def _read_meta(self) -> None:
        try:
            self.layout = CodeLayout.from_json(json.loads(self._manifest.meta["layout"]))
            self.encoder_fingerprint = self._manifest.meta["encoder_fingerprint"]
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

    def _advance(self, state: State, segments: Sequence[Segment]) -> None:
        before = self._snapshot
        cells = before.cells
        if state.cells != before.state.cells:
            cells = celling.load(self.path, state.cells, self.layout)
        self._snapshot = Snapshot(state, segments, self.layout, cells)

    def _sweep(self) -> None:
        """Remove what the manifest does not name: leftovers of a write that was cut short."""
        named = {segment_path(self._folder, seq) for seq in self._snapshot.state.segments}
        with explained(self.path, "sweeping leftovers"):
            for path in self._folder.glob("*" + SUFFIX):
                if path not in named:
                    self._files.remove(path)
            celling.sweep(self.path, self._snapshot.state.cells, self._files)

    def _commit(
        self,
        table: Table | None,
        *,
        dead: Mapping[int, NDArray[np.uint32]] | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        state = self._snapshot.state
        kinds = state.columns if kinds is None else kinds
        if table is None:
            empty = np.empty((0, self.layout.nbytes), np.uint8)
            table = Table(np.empty(0, np.int64), empty, {})
        next_id = max(state.next_id, int(table.ids[-1]) + 1 if len(table.ids) else 0)
        seq = state.next_seq
        path = segment_path(self._folder, seq)
        with explained(self.path, "writing a segment"):
            writer = SegmentWriter(self._files, path)
            try:
                ids, columns = write_table(writer, table)
                for target, rows in (dead or {}).items():
                    writer.add(f"dead.{target}", rows)
                footer = writer.finish(
                    seq=seq,
                    ids=ids,
                    next_id=next_id,
                    columns=columns,
                    archive=self._described(kinds),
                )
                segment = Segment.open(self._folder, footer)
                after = self._manifest.commit(state, add=[footer], next_id=next_id, columns=kinds)
            except BaseException:
                if self._manifest_version() == state.version:
                    writer.abandon()
                raise
        self._advance(after, [*self._snapshot.all_segments, segment])
        self._merge_due()

    def _manifest_version(self) -> int:
        try:
            return self._manifest.version()
        except ArchiveError:
            return -1

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
            gone = [segment.seq for segment in chosen]
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


def open_archive(
    path: str | Path,
    encoder: Encoder | str | Path | None = None,
    mode: Mode = "a",
    *,
    layout: CodeLayout | None = None,
) -> Archive:
    """Open an archive, or make it where there is none.

    Args:
        path: the archive's folder.
        encoder: that made or will make the codes; a new archive keeps a copy of it. An archive
            that exists answers image queries with the copy that it keeps.
        mode: ``"r"`` to read beside other processes, ``"a"`` to read and write.
        layout: of a new archive for codes that come from elsewhere.

    Raises:
        ArchiveError: if there is no archive and nothing to make one of, if it is damaged or of
            another encoder or layout, or if another process is writing to it.
    """
    path = Path(path)
    if isinstance(encoder, (str, Path)):
        from terrahash.encoder import Encoder

        encoder = Encoder.load(encoder)
    if mode == "a" and not (path / NAME).exists() and (encoder or layout):
        if encoder is None:
            assert layout is not None  # noqa: S101 - one of them is given
            return Archive.create(path, layout)
        if layout is not None and layout != encoder.layout:
            raise InputError("layout and encoder differ", "leave out the layout")
        archive = Archive._create(path, encoder.layout, encoder, "", Files())
    else:
        archive = Archive(path, mode)
    try:
        if encoder is not None:
            archive._use_encoder(encoder)
        if layout is not None and layout != archive.layout:
            raise ArchiveError(
                f"{path} holds codes of {archive.layout}, not of {layout}",
                "use another archive for them",
            )
    except BaseException:
        archive.close()
        raise
    return archive


def _ids(ids: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    try:
        out = np.asarray(ids)
        if out.ndim == 1 and (not out.size or out.dtype.kind in "iu"):
            return out.astype(np.int64)
    except (ValueError, OverflowError):
        pass
    raise InputError("ids must be whole numbers", "give a list of the ids that the archive gave")


def _new_ids(ids: Values | None, rows: int, next_id: int) -> NDArray[np.int64]:
    if ids is None:
        return np.arange(rows, dtype=np.int64) + next_id
    numbers = _ids(ids)
    if len(numbers) != rows:
        raise InputError(f"{len(numbers)} ids for {rows} codes", "give one id for each code")
    if rows and (numbers[0] < next_id or (np.diff(numbers) <= 0).any()):
        raise InputError(
            f"ids must ascend from {next_id}, the next free one; they are never used twice",
            "leave the ids out, or keep yours as user ids",
        )
    return numbers


def _dead_rows(snapshot: Snapshot, ids: NDArray[np.int64]) -> dict[int, NDArray[np.uint32]]:
    return {
        segment.seq: np.sort(rows).astype(np.uint32) for segment, _, rows in snapshot.locate(ids)
    }


def _cleared(
    given: Mapping[str, Any], built: Mapping[str, Column], user: Mapping[str, str], rows: int
) -> dict[str, Column]:
    """Columns that were given without any value, which removes the values that were there."""
    kinds = {**BUILT_IN, **user}
    out: dict[str, Column] = {}
    for name, values in given.items():
        if values is None:
            continue
        for part in {"bbox": BBOX, "window": WINDOW}.get(name, (name,)):
            if part not in built and part in kinds:
                out[part] = absent_column(kinds[part], rows)
    return out


def _sync_tree(folder: Path, files: Files) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as file:
            files.sync(file)
    files.sync_folder(folder)
