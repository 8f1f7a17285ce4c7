"""Any folder as a data set: class folders, a label file beside images, or images alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.labels import find_label_file, read_label_file
from terrahash.errors import DatasetError


def load_folder(folder: Path, name: str | None = None) -> Dataset:
    """The data set in a folder.

    With a ``labels.csv`` or ``labels.json`` in the folder or beside it, the labels come from
    there (:mod:`terrahash.datasets.labels`). Otherwise each sub-folder that holds images, at any
    depth, is a class; a folder of images without sub-folders is a data set without labels. A
    folder that holds nothing but one folder of folders is looked through
    (``UCMerced_LandUse/Images/…``). Hidden files and files that are no images are left out.

    Raises:
        DatasetError: if the folder is missing, holds no image, or holds both class folders and
            images beside them.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(
            f"'{folder}' is not a folder" if folder.exists() else f"no folder '{folder}'",
            "give a folder of class folders, or a known name (terrahash data list)",
        )
    name = name or folder.resolve().name
    label_file = find_label_file(folder)
    if label_file is not None:
        return read_label_file(label_file, folder, tuple(_images_below(folder)), name)
    root = _unwrap(folder)
    files = tuple(_images_below(root))
    if not files:
        raise DatasetError(
            f"no images in '{folder}'",
            "images are told by their extension: " + " ".join(sorted(_suffixes())),
        )
    loose = [file for file in files if "/" not in file]
    if len(loose) == len(files):
        return Dataset(name, root, files, None, ())
    if loose:
        raise DatasetError(
            f"'{root}' holds both class folders and {len(loose)} images beside them, "
            f"such as '{loose[0]}'",
            "move the loose images into class folders or elsewhere",
        )
    return from_class_folders(root, files, name)


def load_class_folders(root: Path, name: str, classes: tuple[str, ...]) -> Dataset:
    """The data set of given class folders below ``root``; other folders are left out.

    Raises:
        DatasetError: if a class folder is missing or empty, or holds an image twice, as
            ``….tif`` and ``….jpg``, which would leak from training to test.
    """
    files: list[str] = []
    for class_name in classes:
        found = [f"{class_name}/{file}" for file in _images_below(root / class_name)]
        if not found:
            raise DatasetError(
                f"data set '{name}' in '{root}' has no images of class '{class_name}'",
                f"fetch it again: terrahash data fetch {name}",
            )
        twice = [stem for stem, count in Counter(map(_stem, found)).items() if count > 1]
        if twice:
            raise DatasetError(
                f"data set '{name}' in '{root}' holds '{twice[0]}' in two formats",
                "keep one of them: as two images, one could train and the other test",
            )
        files += found
    return from_class_folders(root, tuple(sorted(files)), name, classes)


def from_class_folders(
    root: Path, files: tuple[str, ...], name: str, classes: tuple[str, ...] | None = None
) -> Dataset:
    """A data set whose labels are the first folder of each file's path."""
    owners = [file.split("/", 1)[0] for file in files]
    classes = classes or tuple(sorted(set(owners)))
    number = {class_name: index for index, class_name in enumerate(classes)}
    labels = np.array([number[owner] for owner in owners], np.int64)
    return Dataset(name, root, files, labels, classes)


def _stem(file: str) -> str:
    return file.rsplit(".", 1)[0]


def _suffixes() -> frozenset[str]:
    """What :mod:`terrahash.imagery` reads; imported late, since that loads Pillow."""
    from terrahash.imagery.files import IMAGE_SUFFIXES

    return IMAGE_SUFFIXES


def _images_below(folder: Path) -> list[str]:
    """Sorted posix paths of the images below a folder, following links but no loops."""
    return sorted(_walk(folder, "", {os.path.realpath(folder)}))


def _walk(folder: Path, prefix: str, above: set[str]) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DatasetError(f"cannot list '{folder}': {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            if real not in above:
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", above | {real})
        elif Path(entry.name).suffix.lower() in _suffixes() and entry.is_file():
            yield prefix + entry.name


def _unwrap(folder: Path) -> Path:
    """The folder itself, or the one below that it only wraps."""
    while True:
        inner = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        folders = [entry for entry in inner if entry.is_dir() and not entry.is_symlink()]
        images = any(entry.suffix.lower() in _suffixes() for entry in inner)
        if len(folders) != 1 or images:
            return folder
        if not any(entry.is_dir() for entry in folders[0].iterdir()):
            return folder
        folder = folders[0]
