"""The archive: a collection of hash codes and what is known of their tiles, on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import thumbnails
from terrahash.archive.changes import Ids, Values, addition, deletion, update
from terrahash.archive.checking import Verification, verify
from terrahash.archive.conflicts import Conflict
from terrahash.archive.files import Files
from terrahash.archive.filters import Filter
from terrahash.archive.manifest import NAME
from terrahash.archive.reading import Mode, Readable
from terrahash.archive.repairing import Repair, repair
from terrahash.archive.schema import check_kind, check_name
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.store import Store
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.archive.indexing import IndexReport
    from terrahash.encoder import Encoder


class Archive(Readable):
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

    @contextmanager
    def _writing(self) -> Iterator[Snapshot]:
        with self._store.mutex:
            self._store.check_writable()
            yield self._store.snapshot()


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
