from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from terrahash.datasets import Dataset
from terrahash.errors import DatasetError, InputError


def test_single_labels_become_int64_and_targets(tmp_path: Path) -> None:
    data = Dataset("d", tmp_path, ("a", "b", "c"), np.array([1, 0, 1], np.uint8), ("x", "y"))
    assert data.labels is not None
    assert data.labels.dtype == np.int64
    assert not data.is_multilabel
    assert data.targets.tolist() == [[False, True], [True, False], [False, True]]
    assert data.paths[0] == tmp_path / "a"
    assert len(data) == 3


def test_label_sets_become_bool(tmp_path: Path) -> None:
    data = Dataset("d", tmp_path, ("a", "b"), np.array([[1, 1], [0, 1]]), ("x", "y"))
    assert data.is_multilabel
    assert data.targets.dtype == bool
    assert data.subset([1]).targets.tolist() == [[False, True]]


def test_labels_cannot_be_changed(tmp_path: Path) -> None:
    given = np.array([0, 1])
    data = Dataset("d", tmp_path, ("a", "b"), given, ("x", "y"))
    assert data.labels is not None
    with pytest.raises(ValueError, match="read-only"):
        data.labels[0] = 1
    given[0] = 1  # the caller's own array stays the caller's
    assert data.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("files", "labels", "classes", "says"),
    [
        (("a", "a"), [0, 0], ("x",), "names a file twice"),
        (("a", "b"), [0, 0], ("x", "x"), "names a class twice"),
        (("a", "b"), [0], ("x",), "labels of shape"),
        (("a", "b"), [[1, 0], [0, 1]], ("x",), "labels of shape"),
        (("a", "b"), [0, 2], ("x", "y"), "outside its classes"),
        (("a", "b"), [-1, 0], ("x", "y"), "outside its classes"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path,
    files: tuple[str, ...],
    labels: list[int],
    classes: tuple[str, ...],
    says: str,
) -> None:
    with pytest.raises(DatasetError, match=says):
        Dataset("d", tmp_path, files, np.array(labels), classes)


def test_unlabelled_data_have_no_targets(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no labels"):
        _ = Dataset("d", tmp_path, ("a",), None, ()).targets


def test_digests_are_of_the_bytes_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    data = Dataset("d", tmp_path, ("a", "b"), None, ())
    expected = [hashlib.sha256(content).hexdigest() for content in (b"one", b"two")]
    assert data.digests() == expected
    (tmp_path / "b").unlink()
    assert data.digests() == expected
    assert data.subset([1]).digests() == expected[1:]


def test_a_vanished_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="gone"):
        Dataset("d", tmp_path, ("gone",), None, ()).digests()


def test_subset_keeps_order_and_refuses_what_is_not_there(tmp_path: Path) -> None:
    data = Dataset("d", tmp_path, ("a", "b", "c"), np.array([0, 1, 0]), ("x", "y"))
    part = data.subset(np.array([2, 1]))
    assert part.files == ("c", "b")
    assert part.targets.tolist() == [[True, False], [False, True]]
    for outside in (3, -1):
        with pytest.raises(InputError, match="out of range"):
            data.subset([outside])
