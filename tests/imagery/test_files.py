"""Finding images."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrahash.errors import InputError
from terrahash.imagery import find_images


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_folders_are_searched_in_order_and_named_files_kept(tmp_path: Path) -> None:
    b = touch(tmp_path / "b.JPG")
    a = touch(tmp_path / "a" / "x.tif")
    touch(tmp_path / ".hidden" / "y.png")
    touch(tmp_path / ".z.png")
    note = touch(tmp_path / "note.txt")
    assert find_images([tmp_path]) == [b, a]
    assert find_images([note, tmp_path]) == [note, b, a]


def test_each_file_once(tmp_path: Path) -> None:
    a = touch(tmp_path / "a.png")
    assert find_images([a, tmp_path, a]) == [a]


def test_symlink_loops_end(tmp_path: Path) -> None:
    a = touch(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    assert find_images([tmp_path]) == [a]


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        find_images([tmp_path / "nowhere"])
