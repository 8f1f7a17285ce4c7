from __future__ import annotations

from pathlib import Path

import pytest

from terrahash.datasets import load_dataset
from terrahash.errors import DatasetError

from .conftest import MakeFolder


def test_class_folders(make_folder: MakeFolder) -> None:
    root = make_folder({"river": 2, "forest": 1})
    data = load_dataset(root)
    assert data.name == "data"
    assert data.class_names == ("forest", "river")
    assert data.files == ("forest/forest00.png", "river/river00.png", "river/river01.png")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 1]


def test_what_is_no_image_is_left_out(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 1, "b": 1})
    for extra in ("a/readme.txt", "a/.hidden.png", "a/Thumbs.db", "notes.csv"):
        (root / extra).write_bytes(b"")
    (root / ".git").mkdir()
    (root / ".git/x.png").write_bytes(b"")
    (root / "empty").mkdir()
    (root / "a/folder.png").mkdir()
    assert load_dataset(root).files == ("a/a00.png", "b/b00.png")


def test_suffixes_in_any_case_and_folders_in_classes(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 1, "b": 0}, suffix=".TIF")
    (root / "b/2020/may").mkdir(parents=True)
    (root / "b/2020/may/x.JpEg").write_bytes(b"x")
    data = load_dataset(root)
    assert data.files == ("a/a00.TIF", "b/2020/may/x.JpEg")
    assert data.class_names == ("a", "b")


def test_links_are_followed_but_no_loops(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 1, "b": 1})
    elsewhere = make_folder({"far": 2}, below="elsewhere")
    (root / "linked").symlink_to(elsewhere / "far")
    (root / "a/up").symlink_to(root)
    (root / "b/itself").symlink_to(root / "b")
    (root / "b/broken.png").symlink_to(tmp_path / "nowhere.png")
    data = load_dataset(root)
    assert "linked/far00.png" in data.files
    assert "b/b00.png" in data.files
    assert not any("itself" in file or "broken" in file for file in data.files)
    assert len(set(data.files)) == len(data.files) < 20


def test_a_wrapping_folder_is_looked_through(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 1, "b": 1}, below="Set/Images")
    data = load_dataset(root.parent)
    assert data.root == root
    assert data.name == "Set"
    assert data.class_names == ("a", "b")


def test_a_single_class_folder_is_one_class(make_folder: MakeFolder) -> None:
    assert load_dataset(make_folder({"only": 3})).class_names == ("only",)


def test_images_alone_have_no_labels(make_folder: MakeFolder) -> None:
    root = make_folder({"tiles": 3})
    data = load_dataset(root / "tiles")
    assert data.labels is None
    assert data.class_names == ()
    assert len(data) == 3


def test_loose_images_beside_class_folders_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 1, "b": 1})
    (root / "stray.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"stray\.png"):
        load_dataset(root)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no images"):
        load_dataset(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        load_dataset(tmp_path / "gone")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatasetError, match="not a folder"):
        load_dataset(tmp_path / "file")
