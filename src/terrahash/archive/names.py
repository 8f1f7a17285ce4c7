"""Names of coming segments, made durable several at a time.

A new file outlives a power cut only once its folder is synced, which takes as long as syncing the
file. A writer that appends again and again therefore makes the names of its next segments ahead,
as empty files, so that one sync of the folder does for all of them.
"""

from __future__ import annotations

from pathlib import Path

from terrahash.archive.files import Files
from terrahash.archive.segments import SUFFIX, segment_path

# Names that are made ahead, growing with use: a single append makes none.
FIRST_AHEAD = 4
MOST_AHEAD = 64


class Names:
    """The durable names of a folder of segments that are not in use yet.

    Args:
        folder: of the segments.
        files: the disk.
    """

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._ahead = 0
        self._made: list[int] = []
        self._durable: set[int] = set()

    def ready(self, seq: int) -> bool:
        """Whether a segment can be written without syncing the folder."""
        return seq in self._durable and is_spare(segment_path(self._folder, seq))

    def make(self, first: int) -> None:
        """Make some names from a number on; the next sync of the folder makes them durable.

        Raises:
            OSError: if the disk refuses.
        """
        self._made = []
        for seq in range(first, first + self._ahead):
            path = segment_path(self._folder, seq)
            if not path.exists():
                self._files.create(path).close()
                self._made.append(seq)
        self._ahead = min(max(FIRST_AHEAD, 4 * self._ahead), MOST_AHEAD)

    def settle(self) -> None:
        """The folder was synced."""
        self._durable.update(self._made)
        self._made = []

    def drop(self, first: int) -> None:
        """Remove the names from a number on that were not used.

        Raises:
            OSError: if the disk refuses.
        """
        for seq in sorted(self._durable | set(self._made)):
            path = segment_path(self._folder, seq)
            if seq >= first and is_spare(path):
                self._files.remove(path)
        self._durable, self._made = set(), []


def is_spare(path: Path) -> bool:
    """Whether a file is a name made ahead and nothing else."""
    try:
        return path.suffix == SUFFIX and path.is_file() and not path.stat().st_size
    except FileNotFoundError:
        return False
