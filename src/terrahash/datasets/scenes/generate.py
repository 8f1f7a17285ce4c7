"""Making the tiles of ``scenes`` and keeping them in the cache."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.folder import load_class_folders
from terrahash.errors import DatasetError, InputError

GENERATOR_VERSION = 1  # raised whenever a tile comes out otherwise than before
DEFAULT_PER_CLASS = 60
DEFAULT_SIZE = 128
MIN_SIZE, MAX_SIZE = 16, 1024  # pixels; below, nothing can be told apart


def generate_scenes(
    folder: str | Path,
    *,
    size: int = DEFAULT_SIZE,
    per_class: int = DEFAULT_PER_CLASS,
    seed: int = 0,
) -> Dataset:
    """Write land-use tiles as PNG files into class folders below ``folder``.

    The same arguments give the same pixels; each tile depends on its class, number and the seed
    alone. The folder appears only once it is whole.

    Args:
        folder: to be made; must not exist, or be empty.
        size: width and height in pixels, 16 to 1024.
        per_class: tiles in each class.
        seed: any whole number from 0.

    Raises:
        InputError: if an argument is out of range.
        DatasetError: if the folder is in the way or cannot be written.
    """
    folder = Path(folder)
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"tiles of {size} pixels", f"choose {MIN_SIZE} to {MAX_SIZE}")
    if per_class < 1 or seed < 0:
        raise InputError(
            f"{per_class} tiles a class with seed {seed}", "choose at least 1, and a seed from 0"
        )
    from terrahash.datasets.scenes.landuse import LAND_USE

    if folder.exists() and any(folder.iterdir()):
        raise DatasetError(f"'{folder}' is not empty", "give a new folder for the scenes")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for class_name in LAND_USE:
                (unfinished / class_name).mkdir()
                for number in range(per_class):
                    write_tile(unfinished, class_name, number, size, seed)
            unfinished.chmod(0o755)
            unfinished.replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise DatasetError(
            f"cannot write the scenes to '{folder}': {error.strerror}",
            "choose a folder that can be written, or set TERRAHASH_CACHE",
        ) from error
    return load_class_folders(folder, "scenes", tuple(LAND_USE))


def write_tile(folder: Path, class_name: str, number: int, size: int, seed: int) -> None:
    """Draw one tile and write it."""
    from terrahash.datasets.scenes.landuse import draw_tile

    rng = np.random.default_rng([seed, zlib.crc32(class_name.encode()), number])
    image = draw_tile(class_name, rng, size)
    image.save(folder / class_name / f"{class_name}_{number:04d}.png", compress_level=1)


def load_scenes(data: Path) -> Dataset:
    """The default scenes below the cache's data folder ``data``; made on first use.

    Raises:
        DatasetError: if they cannot be written.
    """
    folder = data / f"scenes-v{GENERATOR_VERSION}"
    if not folder.is_dir():
        try:
            return generate_scenes(folder)
        except DatasetError:
            if not folder.is_dir():  # another process was quicker
                raise
    from terrahash.datasets.scenes.landuse import LAND_USE

    return load_class_folders(folder, "scenes", tuple(LAND_USE))
