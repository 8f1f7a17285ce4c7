"""What an open archive answers: searches, records, ids, what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.changes import Ids, whole_ids
from terrahash.archive.checking import ENCODER
from terrahash.archive.files import Files
from terrahash.archive.filters import Filter
from terrahash.archive.hits import Hits, Record
from terrahash.archive.info import ArchiveInfo
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.store import Store
from terrahash.codes import CodeLayout, check_codes
from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.encoder import Encoder

Mode: TypeAlias = Literal["r", "a"]

DEFAULT_K = 20


class Readable:
    """The half of an archive that changes nothing; see :class:`terrahash.archive.Archive`."""

    def __init__(self, path: str | Path, mode: Mode = "a", *, files: Files | None = None) -> None:
        if mode not in ("r", "a"):
            raise InputError(f"mode is {mode!r}", "open with 'r' to read or 'a' to add")
        self.path = Path(path)
        self.mode = mode
        self._files = files or Files()
        self._encoder: Encoder | None = None
        self._store = Store(self.path, writable=mode == "a", files=self._files)

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
                    f"{self.path} keeps no encoder, and only one makes a code of an image",
                    "search by the id of a tile, or open the archive together with its encoder",
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

    def close(self) -> None:
        """Let go of the files; another process may write then."""
        self._store.close()

    def __enter__(self) -> Self:
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
