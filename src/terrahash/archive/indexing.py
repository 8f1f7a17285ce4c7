"""Image files into an archive: only what is new or has changed, durable batch by batch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.encoder.encoded import Encoded
from terrahash.errors import ImageError
from terrahash.imagery.files import find_images
from terrahash.imagery.reading import read_image
from terrahash.progress import Reporter, Silent

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

# A batch is stored when it has this many tiles or is this old: killed at any moment, little is
# encoded again; and an fsync every few hundred tiles costs nothing.
BATCH_TILES = 512
BATCH_SECONDS = 5.0
# Files whose state is compared with the archive in one question.
LOOKUP_FILES = 8192

STAGE = "indexing"


@dataclass
class IndexReport:
    """What indexing did.

    Attributes:
        added: tiles new in the archive.
        updated: tiles whose file had changed.
        unchanged: files that were in the archive as they are.
        skipped: ``(path, reason)`` of files that could not be read.
        seconds: wall time.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        encoded = self.added + self.updated
        return {
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "skipped": [{"source": path, "reason": reason} for path, reason in self.skipped],
            "seconds": round(self.seconds, 3),
            "tiles_per_second": round(encoded / self.seconds, 1) if self.seconds else None,
        }


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    mtime: int
    known: bool

    @property
    def source(self) -> str:
        return str(self.path)


def index_images(
    archive: Archive,
    paths: Iterable[str | Path],
    *,
    folder_labels: bool = False,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> IndexReport:
    """Encode image files with the archive's encoder and store their codes.

    A file that is stored with the same size and time of change is passed over; one that changed
    takes the place of its older self. Batches are durable one by one, so that an interrupted run
    is completed by running it again.

    Args:
        archive: opened for writing, with an encoder.
        paths: images and folders of images.
        folder_labels: store the name of each image's folder as its label.
        workers: threads that decode and encode; by default one for each core.
        reporter: is told of the progress.

    Raises:
        InputError: if a path does not exist.
        ArchiveError: if the archive cannot be written; what was stored stays.
    """
    started = time.perf_counter()
    reporter = reporter or Silent()
    report = IndexReport()
    files = [path.absolute() for path in find_images(paths)]
    encoder = archive.encoder
    batch: list[tuple[_File, Encoded]] = []
    stored_at = time.monotonic()

    def store() -> None:
        nonlocal stored_at
        if batch:
            _store(archive, batch, encoder.classes, folder_labels)
            for file, _ in batch:
                report.updated += file.known
                report.added += not file.known
            batch.clear()
        stored_at = time.monotonic()

    changed = _changed(archive, files, report)
    stream = encoder.stream(changed, _read, workers=workers)
    for done, (file, outcome) in enumerate(stream, start=1):
        if isinstance(outcome, ImageError):
            report.skipped.append((file.source, outcome.message))
        else:
            batch.append((file, outcome))
        if len(batch) >= BATCH_TILES or time.monotonic() - stored_at >= BATCH_SECONDS:
            store()
        speed = done / (time.perf_counter() - started)
        seen = done + report.unchanged
        reporter.advance(STAGE, min(seen, len(files)), len(files), f"{speed:.0f} tiles/s")
    store()
    reporter.advance(STAGE, len(files), len(files))
    report.seconds = time.perf_counter() - started
    return report


def _changed(archive: Archive, files: Sequence[Path], report: IndexReport) -> Iterator[_File]:
    """The files that are not in the archive as they are now."""
    for start in range(0, len(files), LOOKUP_FILES):
        part = files[start : start + LOOKUP_FILES]
        known = archive.source_states([str(path) for path in part])
        for path in part:
            try:
                status = path.stat()
            except OSError as error:
                report.skipped.append((str(path), f"cannot be read: {error.strerror}"))
                continue
            state = known.get(str(path))
            if state is not None and state[:2] == (status.st_size, status.st_mtime_ns):
                report.unchanged += 1
                continue
            yield _File(path, status.st_size, status.st_mtime_ns, state is not None)


def _read(file: _File) -> NDArray[np.uint8]:
    return read_image(file.path)


def _store(
    archive: Archive,
    batch: Sequence[tuple[_File, Encoded]],
    classes: Sequence[str],
    folder_labels: bool,
) -> None:
    files = [file for file, _ in batch]
    encoded = Encoded.concatenate([outcome for _, outcome in batch])
    predicted = (
        None if encoded.labels is None else [classes[number] for number in encoded.labels.tolist()]
    )
    archive.add_codes(
        encoded.codes,
        sources=[file.source for file in files],
        sizes=[file.size for file in files],
        mtimes=[file.mtime for file in files],
        labels=[file.path.parent.name for file in files] if folder_labels else None,
        predicted_labels=predicted,
        confidences=encoded.confidences,
        on_conflict="update",
    )
