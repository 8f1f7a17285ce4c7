"""Thumbnails of tiles that were indexed without."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.inputs import has_changed
from terrahash.archive.pixels import has_thumbnail, tile_image
from terrahash.archive.stored import BANDS, CUT, SCALING, SEEN
from terrahash.archive.thumbnails import COLUMN, DEFAULT_SIDE, Keeper, encode, kept
from terrahash.errors import ImageError, MissingExtraError, TerrahashError
from terrahash.machine import available_cores
from terrahash.progress import Reporter, Silent

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive
    from terrahash.archive.hits import Record

# Pictures are made durable by so many: 20 MB, and some seconds of work that a kill would cost.
BATCH = 4096
LOOKUP = 8192
# Pictures in work or waiting, per worker.
WAITING = 4

STAGE = "thumbnails"

Item = TypeVar("Item")
# A WebP file, None where it cannot be made small enough, or why there is no picture.
Made: TypeAlias = "bytes | TerrahashError | None"


@dataclass
class ThumbnailReport:
    """What :func:`add_thumbnails` did.

    Attributes:
        added: tiles that have a thumbnail now.
        present: tiles that had one.
        left_out: tiles whose picture cannot be packed as small as thumbnails must be.
        unread: tiles whose pixels could not be read.
        skipped: ``(source, reason)`` of those, each source once.
    """

    added: int = 0
    present: int = 0
    left_out: int = 0
    unread: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {
            "added": self.added,
            "present": self.present,
            "left_out": self.left_out,
            "unread": self.unread,
            "skipped": [{"source": path, "reason": reason} for path, reason in self.skipped],
        }


def add_thumbnails(
    archive: Archive,
    *,
    side: int | None = None,
    where: str | None = None,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> ThumbnailReport:
    """Keep a picture of each tile that has none, read from its source.

    Tiles of a scene are read together, each block once. Pictures are durable batch by batch: an
    interrupted run goes on where it ended. A source that cannot be read, or that is no longer what
    was indexed, is passed over.

    Args:
        archive: opened for writing.
        side: longest side, pixels; by default as the archive has done so far, or 192.
        where: a condition on the tiles.
        workers: threads that read and pack; by default one for each core.
        reporter: is told of the progress.

    Raises:
        InputError: if the side is out of range or the condition is wrong.
        ArchiveError: if the archive cannot be written.
    """
    reporter = reporter or Silent()
    report = ThumbnailReport()
    ids = archive.ids(where=where)
    keeper = archive.keeper(side) or archive.keeper(DEFAULT_SIDE)
    assert keeper is not None  # noqa: S101 - a side other than 0 gives one
    batch: list[tuple[int, bytes]] = []
    named: set[str] = set()
    try:
        with ThreadPoolExecutor(workers or available_cores()) as pool:
            makers = _Makers(pool, (workers or available_cores()) * WAITING, keeper.side)
            for record, made in makers(_lacking(archive, ids, report)):
                if isinstance(made, bytes):
                    batch.append((record.id, made))
                elif made is None:
                    report.left_out += 1
                else:
                    report.unread += 1
                    source = record.source or f"tile {record.id}"
                    if source not in named:
                        named.add(source)
                        report.skipped.append((source, made.message.removeprefix(f"{source}: ")))
                if len(batch) >= BATCH:
                    report.added += _store(archive, keeper, batch)
                    batch = []
                done = report.added + len(batch) + report.unread + report.left_out
                reporter.advance(STAGE, done + report.present, len(ids))
        report.added += _store(archive, keeper, batch)
        reporter.advance(STAGE, len(ids), len(ids))
    finally:
        keeper.close()
    return report


def _store(archive: Archive, keeper: Keeper, batch: Sequence[tuple[int, bytes]]) -> int:
    if batch:
        digests = keeper.keep([picture for _, picture in batch])
        archive.update([number for number, _ in batch], columns={COLUMN: digests})
    return len(batch)


def _lacking(archive: Archive, ids: NDArray[np.int64], report: ThumbnailReport) -> Iterator[Record]:
    """Tiles without a picture, or with one that is lost."""
    for start in range(0, len(ids), LOOKUP):
        for record in archive.records(ids[start : start + LOOKUP]):
            if has_thumbnail(record) and kept(archive.path, int(record.columns[COLUMN])):
                report.present += 1
            else:
                yield record


class _Makers:
    """Threads that make pictures, in order and bounded in memory."""

    def __init__(self, pool: ThreadPoolExecutor, waiting: int, side: int) -> None:
        self._pool = pool
        self._waiting = waiting
        self._side = side

    def __call__(self, records: Iterable[Record]) -> Iterator[tuple[Record, Made]]:
        """Pictures of tiles, or why there is none; tiles of a scene together."""
        for (source, *_), group in groupby(records, _together):
            while some := list(islice(group, LOOKUP)):
                if source is None or len(some) == 1:
                    yield from self._each(some, self._whole)
                else:
                    yield from self._scene(some)

    def _each(
        self, items: Iterable[Item], make: Callable[[Item], tuple[Record, Any]]
    ) -> Iterator[tuple[Record, Any]]:
        pending: deque[Any] = deque()
        for item in items:
            pending.append(self._pool.submit(make, item))
            if len(pending) >= self._waiting:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _whole(self, record: Record) -> tuple[Record, Made]:
        try:
            _check_state(record)
            image = tile_image(record, self._side, remote=True, kept=False)
        except (TerrahashError, OSError) as error:
            return record, _explained(error)
        return record, encode(image, self._side)

    def _scene(self, records: Sequence[Record]) -> Iterator[tuple[Record, Made]]:
        from terrahash.imagery.clock import Clock
        from terrahash.imagery.cutting import RawTile, read_tiles
        from terrahash.imagery.rendering import Rendering
        from terrahash.imagery.scene import Scene

        first = records[0]
        left = {record.window: record for record in records}
        try:
            _check_state(first)
            scene = Scene.open(str(first.source))
            bands, limits = (first.columns.get(name) for name in (BANDS, SCALING))
            rendering = Rendering.recorded(scene, bands, limits).visible(first.columns.get(SEEN))
            windows = np.array([record.window for record in records], np.int64)
            if (windows[:, :2] + windows[:, 2:] > (scene.width, scene.height)).any():
                raise ImageError(f"{first.source}: is smaller now", "index it again")

            def make(raw: RawTile) -> tuple[Record, Made]:
                record = left.pop(raw.window)
                try:
                    image = raw.image(rendering, self._side, 0.0)
                except ImageError as error:
                    return record, error
                return record, encode(image, self._side)

            rows = read_tiles(rendering, windows, shown=self._side, clock=Clock())
            yield from self._each((raw for row in rows for raw in row), make)
        except (TerrahashError, OSError) as error:
            for record in list(left.values()):
                yield record, _explained(error)


def _together(record: Record) -> tuple[Any, ...]:
    """What tiles share that are read together."""
    if record.window is None:
        return (None,)
    shown = (record.columns.get(name) for name in (BANDS, SCALING, CUT, SEEN))
    return record.source, record.window[2:], record.mtime, *shown


def _check_state(record: Record) -> None:
    """Check that a local file is what was indexed."""
    bands = record.columns.get(BANDS)
    if record.source is not None and has_changed(
        record.source, bands if isinstance(bands, str) else None, (record.size, record.mtime)
    ):
        raise ImageError(f"{record.source}: has changed since", "index it again")


def _explained(error: TerrahashError | OSError) -> TerrahashError:
    if isinstance(error, MissingExtraError):
        raise error
    if isinstance(error, TerrahashError):
        return error
    return ImageError(str(error.strerror or error), "")
