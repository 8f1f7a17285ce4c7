from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrahash.datasets import load_dataset
from terrahash.errors import DatasetError


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_label_sets_from_csv(tiles: Path) -> None:
    (tiles / "labels.csv").write_text(
        "file,labels\nb.png,sea;sand\na.png,sea\nc.png, town ; sea \n"
    )
    data = load_dataset(tiles)
    assert data.class_names == ("sand", "sea", "town")
    assert data.files == ("a.png", "b.png", "c.png")
    assert data.targets.astype(int).tolist() == [[0, 1, 0], [1, 1, 0], [0, 1, 1]]


def test_one_column_a_class(tiles: Path) -> None:
    (tiles / "labels.csv").write_text("file,sea,town\na.png,1,0\nb.png,1,1\nc.png,0,1\n")
    data = load_dataset(tiles)
    assert data.is_multilabel
    assert data.targets.astype(int).tolist() == [[1, 0], [1, 1], [0, 1]]


def test_single_labels_from_csv_and_json(tiles: Path) -> None:
    (tiles / "labels.csv").write_text("﻿file,label\na.png,x\nb.png,y\nc.png,x\n", encoding="utf-8")
    first = load_dataset(tiles)
    assert not first.is_multilabel
    (tiles / "labels.csv").unlink()
    (tiles / "labels.json").write_text(json.dumps({"a.png": "x", "b.png": "y", "c.png": "x"}))
    second = load_dataset(tiles)
    assert first.targets.tolist() == second.targets.tolist()
    assert first.class_names == second.class_names == ("x", "y")


def test_a_label_file_beside_the_folder(tiles: Path) -> None:
    labels = {"set/a.png": ["x"], "set/b.png": ["y", "x"], "set/c.png": ["y"]}
    (tiles.parent / "labels.json").write_text(json.dumps(labels))
    assert load_dataset(tiles).targets.astype(int).tolist() == [[1, 0], [1, 1], [0, 1]]
    (tiles.parent / "labels.json").write_text(
        json.dumps({name.removeprefix("set/"): given for name, given in labels.items()})
    )
    assert load_dataset(tiles).class_names == ("x", "y")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,labels\na.png,x\nb.png,x\nc.png,x\nd.png,x\n", r"missing: 'd\.png'"),
        ("file,labels\na.png,x\nb.png,x\n", r"misses images: 'c\.png'"),
        ("file,labels\na.png,x\nb.png,x\nc.png,\n", r"no label to: 'c\.png'"),
        ("file,labels\na.png,x\na.png,y\nb.png,x\nc.png,x\n", r"'a\.png' twice"),
        ("file,x,y\na.png,1,2\nb.png,1,0\nc.png,0,1\n", "expected 0 or 1"),
        ("file,x,y\na.png,1\nb.png,1,0\nc.png,0,1\n", "line 2 has 2 cells"),
        ("name,labels\na.png,x\n", "head"),
        ("", "head"),
    ],
)
def test_bad_csv(tiles: Path, text: str, says: str) -> None:
    (tiles / "labels.csv").write_text(text)
    with pytest.raises(DatasetError, match=says):
        load_dataset(tiles)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot read"),
        ("[1]", "not an object"),
        ('{"a.png": 3}', "not an object"),
        ('{"a.png": [3]}', "no text"),
        ('{"a.png": "x", "a.png": "y"}', "twice"),
        ('{"a.png": "x", "b.png": ["y"]}', "mixes"),
    ],
)
def test_bad_json(tiles: Path, text: str, says: str) -> None:
    (tiles / "labels.json").write_text(text)
    with pytest.raises(DatasetError, match=says):
        load_dataset(tiles)


def test_bytes_that_are_no_text(tiles: Path) -> None:
    (tiles / "labels.csv").write_bytes(b"file,labels\n\xff\xfe,x\n")
    with pytest.raises(DatasetError, match="cannot read"):
        load_dataset(tiles)
