"""Images and scenes into an archive: only what is new or has changed, durable batch by batch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.gathering import Gatherer
from terrahash.archive.inputs import Source, Tile
from terrahash.archive.pixels import shown_channels
from terrahash.archive.stored import (
    BANDS,
    CUT,
    HIDDEN,
    SCALING,
    SCENE_TILES,
    SEEN,
    stored_source,
)
from terrahash.archive.thumbnails import COLUMN, Keeper, encode
from terrahash.encoder.encoded import Encoded
from terrahash.errors import ImageError
from terrahash.imagery.clock import Clock
from terrahash.imagery.cutting import BlankError, HiddenError, WindowError
from terrahash.imagery.tiling import Tiling
from terrahash.progress import Reporter, Silent

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

# A batch is stored when it has this many tiles or is this old: killed at any moment, little is
# encoded again; and an fsync every few hundred tiles costs nothing.
BATCH_TILES = 512
BATCH_SECONDS = 5.0
# How often progress is told.
TELL_SECONDS = 0.1

STAGE = "indexing"


@dataclass
class IndexReport:
    """What indexing did.

    Attributes:
        added: tiles new in the archive.
        updated: tiles whose file had changed.
        removed: tiles of an older state of a scene that it no longer has.
        unchanged: files that were in the archive as they are.
        blank: windows and tiles left out because too few of their pixels are valid.
        hidden: likewise because a mask hides too much of them.
        cloudy: STAC items passed over for their cloud cover.
        guessed: sources of more than three bands that do not say which are red, green and blue, of
            which the first three were taken.
        skipped: ``(source, reason)`` of what could not be read.
        seconds: wall time.
        spent: seconds by stage, added up over threads: ``reading`` blocks of scenes, ``decoding``
            pictures and scaling, ``inferring``, ``storing``.
        processor: processor seconds of these stages.
    """

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    blank: int = 0
    hidden: int = 0
    cloudy: int = 0
    guessed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)

    def skip(self, source: str, reason: str) -> None:
        """Note a source that was passed over."""
        self.skipped.append((source, reason.removeprefix(f"{source}: ")))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        encoded = self.added + self.updated
        return {
            "added": self.added,
            "updated": self.updated,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "blank": self.blank,
            "hidden": self.hidden,
            "cloudy": self.cloudy,
            "guessed": self.guessed,
            "skipped": [{"source": path, "reason": reason} for path, reason in self.skipped],
            "seconds": round(self.seconds, 3),
            "tiles_per_second": round(encoded / self.seconds, 1) if self.seconds else None,
            "spent": {stage: round(seconds, 3) for stage, seconds in self.spent.items()},
            "processor": {stage: round(seconds, 3) for stage, seconds in self.processor.items()},
        }


def index_images(
    archive: Archive,
    paths: Iterable[str | Path],
    *,
    tiling: Tiling | None = None,
    cut_all: bool | None = None,
    asset: str | None = None,
    max_cloud_cover: float | None = None,
    folder_labels: bool = False,
    thumbnails: int | None = None,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> IndexReport:
    """Encode images and scenes with the archive's encoder and store their codes.

    A file that is stored with the same size and time of change is passed over; one that changed
    takes the place of its older self. Batches are durable one by one, so that an interrupted run
    is completed by running it again, in the middle of a scene too.

    Args:
        archive: opened for writing, with an encoder.
        paths: images, scenes, folders of them, http, https or s3 addresses of scenes, and STAC
            documents (``.json``, ``.geojson``; files, http or https).
        tiling: how scenes are cut and their bands scaled; by default into tiles of 256 pixels.
        cut_all: cut all that is larger than a tile; False cuts only georeferenced files over 1024
            pixels a side and what is too large for an image. By default True if a tiling is given.
        asset: which asset of STAC items, or several with a comma between, whose bands make a scene;
            by default those that hold the bands wanted, or the one that shows the scene to the eye.
        max_cloud_cover: STAC items whose ``eo:cloud_cover`` is more per cent are passed over.
        folder_labels: store the name of each image's folder as its label.
        thumbnails: keep a picture of each tile in the archive, at most so many pixels a side; 0
            for none. By default as the archive has done so far.
        workers: threads that decode and encode; by default one for each core.
        reporter: is told of the progress.

    Raises:
        InputError: if a path does not exist.
        ArchiveError: if the archive cannot be written; what was stored stays.
    """
    cut_all = tiling is not None if cut_all is None else cut_all
    clock, report = Clock(), IndexReport()
    gatherer = Gatherer(
        archive,
        tiling or Tiling(),
        cut_all=cut_all,
        folder_labels=folder_labels,
        max_cloud_cover=max_cloud_cover,
        clock=clock,
        skip=report.skip,
    )
    keeper = archive.keeper(thumbnails)
    try:
        run = _Run(archive, gatherer, report, clock, reporter or Silent(), keeper)
        return run(paths, asset, workers)
    finally:
        if keeper is not None:
            keeper.close()


class _Run:
    """One run of indexing."""

    def __init__(
        self,
        archive: Archive,
        gatherer: Gatherer,
        report: IndexReport,
        clock: Clock,
        reporter: Reporter,
        keeper: Keeper | None,
    ) -> None:
        self._archive = archive
        self._keeper = keeper
        self._gatherer = gatherer
        self._report = report
        self._clock = clock
        self._reporter = reporter
        self._told_at = 0.0
        self._batch: list[tuple[Tile, Encoded]] = []
        self._stored_at = time.monotonic()
        self._damaged: dict[str, int] = {}
        self._count: dict[str, int] = {}

    def __call__(
        self, paths: Iterable[str | Path], asset: str | None, workers: int | None
    ) -> IndexReport:
        started = time.perf_counter()
        done = 0
        stream = self._archive.encoder.stream(
            self._gatherer.tiles(paths, asset), self._load, workers=workers, clock=self._clock
        )
        for tile, outcome in stream:
            if tile.ends:
                self._end_scene(tile)
                continue
            done += 1
            self._take(tile, outcome)
            old = time.monotonic() - self._stored_at >= BATCH_SECONDS
            if len(self._batch) >= BATCH_TILES or (old and len(self._batch) > 1):
                # The last tile waits: it may be the one that will mark the end of its scene.
                self._store(self._batch[:-1])
                self._batch = self._batch[-1:]
            self._tell(done, done / (time.perf_counter() - started))
        self._store(self._batch)
        self._batch = []
        self._reporter.advance(STAGE, self._gatherer.total, self._gatherer.total)
        self._report.seconds = time.perf_counter() - started
        self._report.unchanged = self._gatherer.unchanged
        self._report.cloudy = self._gatherer.cloudy
        self._report.spent = self._clock.seconds
        self._report.processor = self._clock.processor
        return self._report

    def _load(self, tile: Tile) -> NDArray[np.uint8]:
        image = tile.load()
        if self._keeper is not None:
            shown = shown_channels(image, tile.shown, tile.seen)
            tile.thumbnail = encode(shown, self._keeper.side)
        return image

    def _tell(self, done: int, speed: float) -> None:
        now = time.monotonic()
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        shares = " ".join(
            f"{stage} {share:.0%}" for stage, share in self._clock.shares.items() if share >= 0.005
        )
        seen = min(done + self._gatherer.unchanged, self._gatherer.total)
        self._reporter.advance(STAGE, seen, self._gatherer.total, f"{speed:.0f} tiles/s {shares}")

    def _take(self, tile: Tile, outcome: Encoded | ImageError) -> None:
        if isinstance(outcome, Encoded):
            self._note_guess(tile)
            self._batch.append((tile, outcome))
        elif isinstance(outcome, BlankError):
            self._report.blank += 1
        elif isinstance(outcome, HiddenError):
            self._report.hidden += 1
        elif isinstance(outcome, WindowError):
            name = tile.source.name
            self._damaged[name] = self._damaged.get(name, 0) + 1
        else:
            reason = outcome.message.removeprefix(f"{tile.source.path}: ")
            self._report.skip(tile.source.name, reason)

    def _end_scene(self, end: Tile) -> None:
        """Mark a scene as finished, with its last tile, and remove what it no longer has."""
        name = end.source.name
        batch, self._batch = self._batch, []
        stored = self._gatherer.present.pop(name)
        damaged = self._damaged.pop(name, 0)
        mine = sum(tile.source is end.source for tile, _ in batch)
        count = self._count.pop(name, 0) + len(stored.windows) + mine
        if end.source.has_changed():
            self._note_change(end.source)
        if damaged or name in self._gatherer.abandoned:
            self._store(batch)
        else:
            self._store(batch, scene_tiles=count if mine else None)
            if count and not mine:
                self._archive.update([stored.last_id], columns={SCENE_TILES: [count]})
            if stored.outdated:
                self._remove_outdated(end.source, str(end.tiling))
        if damaged:
            windows = len(end.cut.grid) if end.cut else 0
            self._report.skip(
                name, f"{damaged} of {windows} windows are damaged; the others are stored"
            )
        elif not count:
            self._report.skip(name, "no window holds enough valid pixels")

    def _remove_outdated(self, source: Source, cut: str) -> None:
        outdated = stored_source(self._archive, source.name, source.state, cut).outdated
        if outdated:
            self._report.removed += self._archive.delete(ids=outdated)

    def _note_guess(self, tile: Tile) -> None:
        if tile.shown is None or tile.tiling.bands or tile.bands is not None:
            return
        guessed = self._report.guessed
        if tile.shown.scene.guessed and tile.source.name not in guessed[-1:]:
            guessed.append(tile.source.name)

    def _note_change(self, source: Source) -> None:
        if source.name not in self._gatherer.abandoned:
            self._gatherer.abandoned.add(source.name)
            self._report.skip(source.name, "changed while it was read; index it again")

    def _store(self, batch: Sequence[tuple[Tile, Encoded]], scene_tiles: int | None = None) -> None:
        """Make tiles durable, those left out whose file is no longer what was read.

        The last one is marked as the end of its scene if it is told how many tiles that has.
        """
        self._stored_at = time.monotonic()
        fates: dict[str, bool] = {}
        for tile, _ in batch:
            if tile.source.name not in fates:
                fates[tile.source.name] = tile.source.has_changed()
                if fates[tile.source.name]:
                    self._note_change(tile.source)
        kept = [one for one in batch if not fates[one[0].source.name]]
        if not kept:
            return
        if kept[-1] is not batch[-1]:
            scene_tiles = None
        with self._clock.of("storing"):
            self._add([tile for tile, _ in kept], [code for _, code in kept], scene_tiles)
        for tile, _ in kept:
            self._report.updated += tile.known
            self._report.added += not tile.known
            if tile.cut is not None:
                self._count[tile.source.name] = self._count.get(tile.source.name, 0) + 1

    def _add(
        self, tiles: Sequence[Tile], codes: Sequence[Encoded], scene_tiles: int | None
    ) -> None:
        encoded = Encoded.concatenate(codes)
        classes = self._archive.encoder.classes
        predicted = (
            None
            if encoded.labels is None
            else [classes[number] for number in encoded.labels.tolist()]
        )
        columns: dict[str, list[Any]] = {
            BANDS: [tile.shown.bands_text if tile.shown else None for tile in tiles],
            SCALING: [tile.shown.limits_text if tile.shown else None for tile in tiles],
            CUT: [str(tile.tiling) if tile.cut else None for tile in tiles],
        }
        if self._archive.encoder.preprocessing.bands is not None:
            columns[SEEN] = [_seen(tile) for tile in tiles]
        if any(tile.hidden is not None for tile in tiles):
            columns[HIDDEN] = [tile.hidden for tile in tiles]
        elif HIDDEN in self._archive.snapshot().kinds():
            columns[HIDDEN] = [None] * len(tiles)
        if scene_tiles is not None:
            columns[SCENE_TILES] = [None] * (len(tiles) - 1) + [scene_tiles]
        if self._keeper is not None:
            columns[COLUMN] = self._keeper.keep([tile.thumbnail for tile in tiles])
        elif COLUMN in self._archive.snapshot().kinds():
            columns[COLUMN] = [None] * len(tiles)
        for name in {name for tile in tiles for name in tile.source.columns}:
            columns[name] = [tile.source.columns.get(name) for tile in tiles]
        labels = [tile.source.label for tile in tiles]
        windows = [tile.window for tile in tiles]
        self._archive.add_codes(
            encoded.codes,
            sources=[tile.source.name for tile in tiles],
            sizes=[tile.source.size for tile in tiles],
            mtimes=[tile.source.mtime for tile in tiles],
            labels=labels if any(labels) else None,
            predicted_labels=predicted,
            confidences=encoded.confidences,
            datetimes=[_taken(tile) for tile in tiles],
            bboxes=_footprints(tiles),
            windows=windows if any(windows) else None,
            columns=columns,
            on_conflict="update",
        )


def _seen(tile: Tile) -> str | None:
    """The bands in which people see a tile, as they are recorded."""
    rendering = tile.shown
    return None if rendering is None else ",".join(map(rendering.scene.band_text, tile.seen))


def _taken(tile: Tile) -> str | None:
    if tile.source.datetime is not None or tile.shown is None:
        return tile.source.datetime
    return tile.shown.scene.datetime


def _footprints(tiles: Sequence[Tile]) -> list[tuple[float, float, float, float] | None]:
    """Footprints of tiles, those of a scene together."""
    out: list[Any] = [None] * len(tiles)
    scenes: dict[int, list[int]] = {}
    for row, tile in enumerate(tiles):
        if tile.shown is not None and tile.shown.scene.place is not None:
            scenes.setdefault(id(tile.shown.scene), []).append(row)
    for rows in scenes.values():
        shown = tiles[rows[0]].shown
        assert shown is not None  # noqa: S101 - chosen above
        assert shown.scene.place is not None  # noqa: S101 - likewise
        boxes = shown.scene.place.footprints(np.array([tiles[row].whole for row in rows]))
        for row, box in zip(rows, boxes.tolist(), strict=True):
            out[row] = None if np.isnan(box).any() else tuple(box)
    return out
