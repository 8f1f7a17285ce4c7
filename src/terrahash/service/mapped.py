"""Mapped files: to read one beyond its end is the end of the process (SIGBUS)."""

from __future__ import annotations

import os
import time

from terrahash.archive import Archive, Snapshot
from terrahash.archive.celling import FOLDER
from terrahash.archive.segments import Footer
from terrahash.errors import ArchiveError

# How long sizes are taken to hold, seconds: asking for them all takes some 2 µs a file.
TRUSTED = 0.02


class MappedFiles:
    """Looks whether an archive's files are still as long as what is mapped of them.

    A file that shrinks while it is read ends the process all the same, which is then started again
    (:mod:`terrahash.service.supervising`); this keeps every later request from doing so.
    """

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._sizes: list[tuple[str, int]] = []
        self._until = 0.0

    def check(self, archive: Archive) -> None:
        """Check the files of an archive's present state.

        Raises:
            ArchiveError: if one was cut short, or the state cannot be read.
        """
        snapshot = archive.snapshot()
        now = time.monotonic()
        if snapshot is not self._snapshot:
            self._sizes = _sizes(archive, snapshot)
            self._snapshot = snapshot
        elif now < self._until:
            return
        for path, size in self._sizes:
            try:
                found = os.stat(path).st_size  # noqa: PTH116 - called for many requests
            except FileNotFoundError:
                continue  # merged away, or moved: what is mapped stays
            if found < size:
                self._snapshot = None
                raise ArchiveError(
                    f"{path} is torn: {found} of {size} bytes",
                    f"keep what is sound with: terrahash archive repair {archive.path}",
                )
        self._until = now + TRUSTED


def _sizes(archive: Archive, snapshot: Snapshot) -> list[tuple[str, int]]:
    segments = [(str(one.path), one.footer.data_end) for one in snapshot.all_segments]
    if snapshot.cells is None:
        return segments
    return segments + [
        (str(archive.path / FOLDER / name), Footer.from_text(text, 0).data_end)
        for name, text in snapshot.state.cells.items()
    ]
