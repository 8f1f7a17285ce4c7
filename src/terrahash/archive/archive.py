"""The archive: a collection of hash codes and what is known of their tiles, on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import thumbnails
from terrahash.archive.changes import Ids, Values, addition, deletion, update, whole_ids
from terrahash.archive.checking import ENCODER, Verification, verify
from terrahash.archive.conflicts import Conflict
from terrahash.archive.files import Files
from terrahash.archive.filters import Filter
from terrahash.archive.hits import Hits, Record
from terrahash.archive.manifest import NAME
from terrahash.archive.repairing import Repair, repair
from terrahash.archive.schema import check_kind, check_name
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.store import Store
from terrahash.codes import CodeLayout, check_codes
from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.archive.indexing import IndexReport
    from terrahash.encoder import Encoder

Mode: TypeAlias = Literal["r", "a"]

DEFAULT_K = 20


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
        self._encoder: Encoder | None = None
        self._store = Store(self.path, writable=mode == "a", files=self._files)

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
        files = files or Files()
        Store.create(Path(path), layout, encoder, encoder_fingerprint, files)
        return cls(path, "a", files=files)

    # -- reading ---------------------------------------------------------------------------------

    @property
    def layout(self) -> CodeLayout:
        """The layout of the codes."""
        return self._store.layout

    @property
    def encoder_fingerprint(self) -> str:
        """Fingerprint of the encoder that makes the codes; empty where there is none."""
        return self._store.encoder_fingerprint

    def snapshot(self) -> Snapshot:
        """The present state; it stays as it is whatever happens to the archive later.

        A reader sees what another process has written as soon as it asks anything.
        """
        return self._store.snapshot()

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

            self.use_encoder(Encoder.load(self.path / ENCODER))
        return cast("Encoder", self._encoder)

    def use_encoder(self, encoder: Encoder) -> None:
        """Answer image queries with an encoder that is loaded already.

        Raises:
            ArchiveError: if it is not the one that made the archive's codes.
        """
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
        rows = sum(segment.rows for segment in snapshot.segments)
        return ArchiveInfo(
            path=str(self.path),
            tiles=len(snapshot),
            bits=self.layout.bits,
            hash_bits=self.layout.hash_bits,
            label_bits=self.layout.label_bits,
            label_weight=self.layout.label_weight,
            encoder=self.encoder_fingerprint,
            bytes=self._store.bytes(),
            deleted=sum(map(len, snapshot.dead.values())),
            segments=len(snapshot.all_segments),
            cells=snapshot.cells.cells.size / rows if snapshot.cells and rows else 0.0,
            columns=snapshot.state.columns,
            created=self._store.created,
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

    def records(self, ids: Ids) -> list[Record]:
        """What is known of tiles.

        Raises:
            InputError: if an id is not in the archive.
        """
        return self.snapshot().records(whole_ids(ids))

    def thumbnail(self, number: int, pixels: int = 96, *, remote: bool = True) -> NDArray[np.uint8]:
        """What a tile shows, ``(H, W, 3) uint8`` of at most ``pixels`` a side.

        A kept thumbnail is used where it is large enough, or where the source cannot be read.

        Raises:
            InputError: if the id is not in the archive.
            ImageError: if its source cannot be read, or is an address and ``remote`` is False.
        """
        from terrahash.archive.pixels import tile_image

        (record,) = self.records([number])
        return tile_image(record, pixels, remote=remote)

    def keeper(self, side: int | None = None) -> thumbnails.Keeper | None:
        """What keeps the thumbnails of new tiles, or None where none are to be kept.

        Args:
            side: longest side, pixels, 0 for none; by default as the archive has done so far.

        Raises:
            InputError: if the side is out of range.
            ArchiveError: if their file is damaged or cannot be written.
        """
        self._store.check_writable()
        side = thumbnails.side_of(self.path) if side is None else side
        return thumbnails.Keeper(self.path, side, self._files) if side else None

    def codes(self, ids: Ids) -> NDArray[np.uint8]:
        """``(n, nbytes) uint8`` codes of tiles.

        Raises:
            InputError: if an id is not in the archive.
        """
        return self.snapshot().codes(whole_ids(ids))

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
            query: an image file, an ``(H, W, 3) uint8`` RGB array (of an encoder of other bands: of
                these, scaled to 8 bits), or the id of a tile.
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
                from terrahash.archive.inputs import query_image

                bands = self.encoder.preprocessing.bands
                encoded = self.encoder.encode_image(query_image(query, bands))
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
        with self._writing() as snapshot:
            change = addition(snapshot, codes, given, columns or {}, ids, on_conflict)
            if not change.is_empty:
                self._store.commit(change)
            return change.ids

    def upsert(self, codes: NDArray[np.uint8], **values: Any) -> NDArray[np.int64]:
        """:meth:`add_codes` that updates the tiles that are known already."""
        return self.add_codes(codes, on_conflict="update", **values)

    def update(
        self,
        ids: Ids,
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
        with self._writing() as snapshot:
            change = update(snapshot, ids, codes, given, columns or {})
            if not change.is_empty:
                self._store.commit(change)
            return len(change.ids)

    def delete(
        self,
        *,
        ids: Ids | None = None,
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
        with self._writing() as snapshot:
            condition = Filter.of(snapshot.kinds(), where, bbox, after, before)
            change = deletion(snapshot, ids, condition)
            if not change.is_empty:
                self._store.commit(change)
            return sum(map(len, change.dead.values()))

    def add_column(self, name: str, kind: str) -> None:
        """Declare a column before it has values.

        Raises:
            InputError: if the name is taken or the kind unknown.
        """
        check_name(name)
        check_kind(kind)
        with self._writing() as snapshot:
            known = snapshot.state.columns
            if known.get(name, kind) != kind:
                raise InputError(f"column '{name}' is of kind {known[name]}", "choose another name")
            if name not in known:
                self._store.set_columns({**known, name: kind})

    def compact(self, *, progress: Callable[[float], None] | None = None) -> None:
        """Rewrite the archive as few large segments without deleted rows, ordered into cells.

        Readers go on meanwhile. A file is removed only after what replaces it is durable.

        Args:
            progress: called now and then with the share of the cells that is built, 0 to 1.
        """
        with self._writing():
            self._store.compact()
            thumbnails.sweep(self.path, self._store.snapshot(), self._files)
        self.build_cells(progress=progress)

    def build_cells(self, *, progress: Callable[[float], None] | None = None) -> bool:
        """Order the present codes into cells, which makes their search sub-linear.

        Codes that are added later are scanned beside the cells. Needs about 40 bytes of memory a
        code while it runs; other threads go on reading and writing.

        Args:
            progress: called now and then with the share done, 0 to 1; what it raises ends it.

        Returns:
            Whether there are cells now; few codes are searched faster without.
        """
        self._store.check_writable()
        return self._store.build_cells(progress)

    def verify(self) -> Verification:
        """Check every checksum and count; see :func:`terrahash.archive.verify`."""
        return verify(self.path)

    def repair(self) -> Repair:
        """Keep what is sound of a damaged archive; see :func:`terrahash.archive.repair`.

        An archive that cannot even be opened is repaired with the function.
        """
        with self._writing():
            self._store.close()
            report = repair(self.path, files=self._files)
            self._store = Store(self.path, writable=True, files=self._files)
            return report

    def close(self) -> None:
        """Let go of the files; another process may write then."""
        self._store.close()

    @contextmanager
    def _writing(self) -> Iterator[Snapshot]:
        with self._store.mutex:
            self._store.check_writable()
            yield self._store.snapshot()

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
        Store.create(path, encoder.layout, encoder, "", Files())
    archive = Archive(path, mode)
    try:
        if encoder is not None:
            archive.use_encoder(encoder)
        if layout is not None and layout != archive.layout:
            raise ArchiveError(
                f"{path} holds codes of {archive.layout}, not of {layout}",
                "use another archive for them",
            )
    except BaseException:
        archive.close()
        raise
    return archive
