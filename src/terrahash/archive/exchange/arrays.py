"""NumPy codes out and in: ``.npy`` of bare codes, ``.npz`` with ids and what else there is."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.exchange.rows import ARGUMENTS, BATCH, Identity, Rows
from terrahash.codes import CodeLayout, pack
from terrahash.errors import InputError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive


def write(archive: Archive, ids: NDArray[np.int64], target: Path) -> int:
    """Write codes, and with ``.npz`` ids and layout; gives how many."""
    codes = archive.snapshot().codes(ids)
    with target.open("wb") as file:
        if ".npy" in target.suffixes:
            np.save(file, codes, allow_pickle=False)
        else:
            layout = archive.layout
            np.savez(
                file,
                codes=codes,
                ids=ids,
                layout=np.array([layout.hash_bits, layout.label_bits, layout.label_weight]),
            )
    return len(ids)


def load(source: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file.

    Raises:
        InputError: if it is no file of arrays, or holds no codes.
    """
    try:
        loaded = np.load(source, allow_pickle=False, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            return {"codes": loaded}
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{source}: no NumPy arrays ({error})", "save them with numpy.save"
        ) from None
    if "codes" not in arrays:
        raise InputError(f"{source} holds no array 'codes'", "name the array of codes 'codes'")
    return arrays


def identity(arrays: dict[str, NDArray[Any]]) -> Identity:
    """The layout that a file was written with, where it says."""
    if "layout" not in arrays:
        return Identity(None)
    hash_bits, label_bits, weight = arrays["layout"].tolist()
    return Identity(CodeLayout(int(hash_bits), int(label_bits), float(weight)))


def read(arrays: dict[str, NDArray[Any]], layout: CodeLayout, source: Path) -> Iterator[Rows]:
    """The rows of a file.

    ``codes`` are packed ``(N, nbytes) uint8``, or bits ``(N, bits)`` of 0 and 1 (or booleans).
    Other arrays of N values are taken by the names of
    :meth:`terrahash.archive.Archive.add_codes` (``labels``, ``sources``, ``bboxes``…).

    Raises:
        InputError: if the codes have another shape.
    """
    codes = arrays["codes"]
    if codes.ndim == 2 and codes.shape[1] == layout.bits and layout.bits != layout.nbytes:
        if codes.dtype != np.bool_ and codes.size and not np.isin(np.unique(codes), (0, 1)).all():
            raise InputError(f"{source}: bits are neither 0 nor 1", "write codes > 0 instead")
        codes = pack(codes)
    if codes.ndim != 2 or codes.dtype != np.uint8 or codes.shape[1] != layout.nbytes:
        raise InputError(
            f"{source}: codes are {codes.dtype} of shape {codes.shape}, expected uint8 of shape "
            f"(N, {layout.nbytes}) or bits of shape (N, {layout.bits})",
            "pack them with terrahash.codes.pack",
        )
    named = {argument: name for name, argument in ARGUMENTS.items()}
    named |= {"bboxes": "bbox", "windows": "window"}
    values = {name: arrays[given] for given, name in named.items() if given in arrays}
    for first in range(0, len(codes), BATCH):
        part = slice(first, first + BATCH)
        ids = arrays["ids"][part] if "ids" in arrays else None
        yield Rows(np.array(codes[part]), {n: v[part] for n, v in values.items()}, ids)
