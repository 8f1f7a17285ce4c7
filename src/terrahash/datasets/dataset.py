"""What a data set is: image files, their labels and the names of the classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import DatasetError, InputError

HASHING_THREADS = min(8, os.cpu_count() or 1)  # hashing files is bound by the disk beyond that


@dataclass(frozen=True, eq=False)
class Dataset:
    """Image files with one label each, with label sets, or without labels.

    Args:
        name: a known name, or that of the folder.
        root: the folder that ``files`` are relative to.
        files: posix paths below ``root``, each once; loaders sort them.
        labels: ``(N,) int64`` class numbers; or ``(N, C) bool``, the label set of each image; or
            ``None`` for images without labels.
        class_names: the C classes, by number; empty without labels.
        bands: names of the images' bands in their order, where the files do not say.

    Raises:
        DatasetError: if the parts do not fit each other.
    """

    name: str
    root: Path
    files: tuple[str, ...]
    labels: NDArray[Any] | None
    class_names: tuple[str, ...]
    bands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.files)) != len(self.files):
            raise DatasetError(f"data set '{self.name}' names a file twice")
        if len(set(self.class_names)) != len(self.class_names):
            raise DatasetError(f"data set '{self.name}' names a class twice")
        if self.labels is None:
            return
        labels = np.asarray(self.labels)
        if labels.ndim == 2:
            expected: tuple[int, ...] = (len(self.files), len(self.class_names))
            labels = labels.astype(bool)
        else:
            expected = (len(self.files),)
            labels = labels.astype(np.int64)
        if labels.shape != expected:
            raise DatasetError(
                f"data set '{self.name}' has labels of shape {labels.shape} for "
                f"{len(self.files)} files and {len(self.class_names)} classes"
            )
        if (
            labels.ndim == 1
            and len(labels)
            and not 0 <= labels.min() <= labels.max() < len(self.class_names)
        ):
            raise DatasetError(f"data set '{self.name}' has labels outside its classes")
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def paths(self) -> list[Path]:
        """The files below the root, in order."""
        return [self.root / file for file in self.files]

    @property
    def is_multilabel(self) -> bool:
        """Whether images carry label sets."""
        return self.labels is not None and self.labels.ndim == 2

    @property
    def targets(self) -> NDArray[np.bool_]:
        """``(N, C) bool``: which classes each image belongs to, for one label and for sets.

        Raises:
            DatasetError: if the data set has no labels.
        """
        if self.labels is None:
            raise DatasetError(
                f"'{self.name}' has no labels",
                "put each class into a folder of its own, or a labels.csv beside the images",
            )
        if self.labels.ndim == 2:
            return self.labels
        return np.asarray(self.labels[:, None] == np.arange(len(self.class_names)))

    def digests(self) -> list[str]:
        """SHA-256 of each file's bytes, in hexadecimal; computed once.

        Raises:
            DatasetError: if a file cannot be read.
        """
        known: list[str] | None = self.__dict__.get("_digests")
        if known is None:
            with ThreadPoolExecutor(HASHING_THREADS) as pool:
                known = list(pool.map(_digest, self.paths))
            self.__dict__["_digests"] = known
        return known

    def subset(self, indices: Iterable[int] | NDArray[Any]) -> Dataset:
        """The data set of the files at ``indices``, in that order, with the same classes.

        Raises:
            InputError: if an index is out of range.
        """
        rows = np.asarray(list(indices), np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise InputError(f"'{self.name}' has {len(self)} files; an index is out of range")
        part = Dataset(
            self.name,
            self.root,
            tuple(self.files[row] for row in rows),
            None if self.labels is None else self.labels[rows],
            self.class_names,
            self.bands,
        )
        known = self.__dict__.get("_digests")
        if known is not None:
            part.__dict__["_digests"] = [known[row] for row in rows]
        return part


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"cannot read '{path}': {error.strerror}") from error
