"""Label files beside images: one label or a label set for each file.

Four forms are read, told by their head:

- ``labels.csv`` with the columns ``file,label``: one class each;
- ``labels.csv`` with the columns ``file,labels``: classes separated by ``;``, a label set;
- ``labels.csv`` with ``file`` and one column a class, holding 0 or 1: label sets;
- ``labels.json``: an object of file names to a class (text) or a list of classes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from terrahash.datasets.dataset import Dataset
from terrahash.errors import DatasetError

NAMES = ("labels.csv", "labels.json")
SEPARATOR = ";"
SHOWN = 3  # how many offending files an error names


def find_label_file(folder: Path) -> Path | None:
    """The label file in a folder, or else beside it."""
    for place in (folder, folder.resolve().parent):
        for name in NAMES:
            if (place / name).is_file():
                return place / name
    return None


def read_label_file(path: Path, root: Path, files: Sequence[str], name: str) -> Dataset:
    """The data set of ``files`` below ``root`` with the labels of a label file.

    File names in it are relative to ``root`` or to the label file's own folder.

    Raises:
        DatasetError: if the file is malformed, names a file that is missing, misses one, names
            one twice, or leaves one without a label.
    """
    single, named = _read_json(path) if path.suffix == ".json" else _read_csv(path)
    prefix = ""
    if path.parent.resolve() != root.resolve():
        prefix = root.resolve().relative_to(path.parent.resolve()).as_posix() + "/"
    sets = {file.removeprefix(prefix): labels for file, labels in named.items()}
    known = set(files)
    _refuse(path, "names files that are missing", [file for file in sets if file not in known])
    _refuse(path, "misses images", [file for file in files if file not in sets])
    _refuse(path, "gives no label to", [file for file in files if not sets[file]])
    classes = tuple(sorted({label for labels in sets.values() for label in labels}))
    number = {class_name: index for index, class_name in enumerate(classes)}
    ordered = tuple(sorted(files))
    if single:
        one = np.array([number[sets[file][0]] for file in ordered], np.int64)
        return Dataset(name, root, ordered, one, classes)
    many = np.zeros((len(ordered), len(classes)), bool)
    for row, file in enumerate(ordered):
        many[row, [number[label] for label in sets[file]]] = True
    return Dataset(name, root, ordered, many, classes)


def _refuse(path: Path, what: str, files: list[str]) -> None:
    if files:
        shown = ", ".join(f"'{file}'" for file in files[:SHOWN])
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        raise DatasetError(
            f"'{path}' {what}: {shown}{more}",
            "label each image of the folder once, by its path below the folder",
        )


def _read_json(path: Path) -> tuple[bool, Mapping[str, list[str]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DatasetError(f"cannot read '{path}': {error}") from error
    out: dict[str, list[str]] = {}
    kinds = set()
    for item in content if isinstance(content, list) else [None]:
        if not (isinstance(item, tuple) and isinstance(item[1], str | list)):
            raise DatasetError(
                f"'{path}' is not an object of file names to labels",
                'write {"a.tif": ["forest", "river"], …}',
            )
        file, labels = item
        kinds.add(type(labels))
        labels = [labels] if isinstance(labels, str) else labels
        if not all(isinstance(label, str) for label in labels):
            raise DatasetError(f"'{path}' gives '{file}' a label that is no text")
        if file in out:
            raise DatasetError(f"'{path}' names '{file}' twice")
        out[file] = list(dict.fromkeys(labels))
    if len(kinds) > 1:
        raise DatasetError(
            f"'{path}' mixes single labels and lists of labels", "use lists throughout"
        )
    return kinds == {str}, out


def _read_csv(path: Path) -> tuple[bool, Mapping[str, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot read '{path}': {error}") from error
    head = [cell.strip() for cell in rows[0]] if rows else []
    if len(head) < 2 or head[0] != "file":
        raise DatasetError(
            f"'{path}' does not begin with a head that it should have",
            f"the first line is 'file,label', 'file,labels' (separated by '{SEPARATOR}') "
            "or 'file' and one column for each class",
        )
    out: dict[str, list[str]] = {}
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(head):
            raise DatasetError(f"'{path}' line {line} has {len(row)} cells, expected {len(head)}")
        file_name = row[0].strip().replace("\\", "/")
        if file_name in out:
            raise DatasetError(f"'{path}' names '{file_name}' twice")
        cells = [cell.strip() for cell in row[1:]]
        if head[1:] == ["label"]:
            out[file_name] = [cell for cell in cells if cell]
        elif head[1:] == ["labels"]:
            parts = (part.strip() for part in cells[0].split(SEPARATOR))
            out[file_name] = list(dict.fromkeys(part for part in parts if part))
        else:
            wrong = [cell for cell in cells if cell not in ("0", "1")]
            if wrong:
                raise DatasetError(f"'{path}' line {line} holds '{wrong[0]}', expected 0 or 1")
            out[file_name] = [
                class_name for class_name, cell in zip(head[1:], cells, strict=True) if cell == "1"
            ]
    return head[1:] == ["label"], out
