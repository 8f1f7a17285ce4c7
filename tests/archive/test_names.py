"""Names of segments made ahead: few syncs of the folder, and nothing left or lost by them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from terrahash.archive import Archive, open_archive, repair, verify
from terrahash.archive.names import FIRST_AHEAD, is_spare
from terrahash.errors import ArchiveError

from .conftest import LAYOUT, random_codes
from .faults import FullFiles


class NotedFiles(FullFiles):
    """Counts the syncs of folders."""

    def __init__(self) -> None:
        super().__init__(at=10**9)
        self.folders = 0

    def sync_folder(self, folder: Path) -> None:
        self.folders += 1
        super().sync_folder(folder)


def spares(folder: Path) -> int:
    return sum(map(is_spare, (folder / "segments").iterdir()))


def test_one_sync_of_the_folder_does_for_several_appends(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    Archive.create(folder, LAYOUT).close()
    files = NotedFiles()
    with Archive(folder, files=files) as archive:
        archive.add_codes(random_codes(1))
        assert (files.folders, spares(folder)) == (1, 0)
        archive.add_codes(random_codes(1))
        assert (files.folders, spares(folder)) == (2, FIRST_AHEAD)
        for _ in range(FIRST_AHEAD):
            archive.add_codes(random_codes(1))
        assert (files.folders, spares(folder)) == (2, 0)
        archive.add_codes(random_codes(1))
        assert files.folders == 3
        assert verify(folder).orphans == []
    assert spares(folder) == 0


def test_what_a_killed_writer_made_ahead_is_swept(tmp_path: Path) -> None:
    folder, killed = tmp_path / "archive", tmp_path / "killed"
    with Archive.create(folder, LAYOUT) as archive:
        for _ in range(3):
            archive.add_codes(random_codes(2))
        shutil.copytree(folder, killed)
    assert spares(killed)
    assert verify(killed).ok
    assert not verify(killed).orphans
    open_archive(killed).close()
    assert spares(killed) == 0


def test_names_made_ahead_are_no_loss_when_the_manifest_is_made_anew(tmp_path: Path) -> None:
    folder, killed = tmp_path / "archive", tmp_path / "killed"
    with Archive.create(folder, LAYOUT) as archive:
        for _ in range(3):
            archive.add_codes(random_codes(2))
        shutil.copytree(folder, killed)
    (killed / "archive.sqlite").write_bytes(b"gone")
    assert repair(killed).lost == []
    with open_archive(killed) as archive:
        assert archive.ids().tolist() == [1, 2, 3, 4, 5, 6]
    # An empty file among the segments is one of them, though.
    first = min((killed / "segments").iterdir())
    first.write_bytes(b"")
    (killed / "archive.sqlite").write_bytes(b"gone")
    assert first.name in " ".join(repair(killed).lost)


def test_a_name_given_up_is_not_taken_for_durable(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    Archive.create(folder, LAYOUT).close()
    files = NotedFiles()
    with Archive(folder, files=files) as archive:
        for _ in range(2):
            archive.add_codes(random_codes(1))
        files.at = files.operations + 1
        with pytest.raises(ArchiveError, match="disk is full"):
            archive.add_codes(random_codes(1))
        files.at = 10**9
        assert archive.add_codes(random_codes(1)).tolist() == [3]
        assert files.folders == 3
    with open_archive(folder) as archive:
        assert np.array_equal(archive.ids(), [1, 2, 3])
