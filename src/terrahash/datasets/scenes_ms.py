"""``scenes-ms``: seeded synthetic tiles of four Sentinel-2 bands, as 16-bit GeoTIFF.

Made to try encoders for bands beyond RGB without anything from outside. The classes come in pairs
that are drawn alike in blue, green and red, and differ in near infrared alone, so that an encoder
that sees the fourth band must beat one that does not. Reflectances are of the usual order for each
cover; differences within a pair are larger than in nature.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.cache import cache_folder
from terrahash.datasets.dataset import Dataset
from terrahash.datasets.folder import load_class_folders
from terrahash.datasets.generated import appearing, made_once
from terrahash.errors import InputError

NAME = "scenes-ms"
GENERATOR_VERSION = 1  # raised whenever a tile comes out otherwise than before
BANDS = ("B02", "B03", "B04", "B08")
DEFAULT_PER_CLASS = 40
DEFAULT_SIZE = 64
MIN_SIZE, MAX_SIZE = 16, 4096  # pixels; above, a tile is a scene of its own
METRES_A_PIXEL = 10
CRS = "EPSG:32632"
WEST, NORTH = 500_000, 5_500_000  # corner of the first tile
TILES_A_ROW = 40
TAKEN = "2024-06-18T10:15:59Z"
QUANTIFICATION = 10_000  # digital number of reflectance 1, as Sentinel-2's products have it


@dataclass(frozen=True)
class _Cover:
    """Reflectance of a land cover × 10,000: blue, green, red, and near infrared of each class."""

    visible: tuple[int, int, int]
    infrared: tuple[int, int]
    grain: int  # pixels across the pattern on it
    contrast: float


_COVERS: dict[tuple[str, str], _Cover] = {
    ("turf", "artificial_turf"): _Cover((420, 800, 520), (4200, 1300), 16, 0.10),
    ("forest", "dying_forest"): _Cover((220, 430, 260), (3600, 1500), 3, 0.45),
    ("water", "flooded_crop"): _Cover((520, 560, 400), (150, 1900), 24, 0.15),
}
SCENES_MS_CLASSES = tuple(sorted(name for pair in _COVERS for name in pair))
_SOIL, _ROAD = (900, 1200, 1500, 2400), (1100, 1150, 1200, 1400)


def draw_tile(class_name: str, rng: np.random.Generator, size: int) -> NDArray[np.uint16]:
    """Draw one tile.

    Args:
        class_name: one of ``SCENES_MS_CLASSES``.
        rng: source of all chance.
        size: width and height in pixels.

    Returns:
        ``(4, size, size) uint16`` reflectance × 10,000 of B02, B03, B04 and B08.
    """
    pair = next(pair for pair in _COVERS if class_name in pair)
    cover = _COVERS[pair]
    # All that chance decides is decided alike for both of a pair.
    patch = _blobs(rng, size, size // 2) > rng.uniform(-0.9, -0.5)
    pattern = 1 + cover.contrast * _blobs(rng, size, cover.grain)
    ground = 1 + 0.12 * _blobs(rng, size, 8)
    road = _road(rng, size)
    light = rng.uniform(0.8, 1.2)
    haze = rng.uniform(0, 250) * np.array([1.0, 0.7, 0.5, 0.15])
    noise = rng.normal(0, 25, (len(BANDS), size, size))
    spectrum = np.array([*cover.visible, cover.infrared[pair.index(class_name)]], float)
    spectrum *= np.array([*rng.uniform(0.85, 1.15, 3), rng.uniform(0.85, 1.15)])
    pixels = np.array(_SOIL, float)[:, None, None] * ground
    pixels = np.where(patch, spectrum[:, None, None] * pattern, pixels)
    pixels = np.where(road, np.array(_ROAD, float)[:, None, None] * ground, pixels)
    pixels = light * pixels + haze[:, None, None] + noise
    return np.clip(np.rint(pixels), 1, QUANTIFICATION).astype(np.uint16)


def _blobs(rng: np.random.Generator, size: int, grain: int) -> NDArray[np.float64]:
    """``(size, size)`` smooth values of about −1 to 1 that vary over ``grain`` pixels."""
    from PIL import Image

    nodes = max(2, -(-size // max(1, grain)) + 1)
    coarse = Image.fromarray(rng.uniform(-1, 1, (nodes, nodes)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float64)


def _road(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """A straight road across the tile, at any angle."""
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4) * size
    y, x = np.mgrid[:size, :size] - size / 2
    return np.asarray(np.abs(x * np.cos(angle) + y * np.sin(angle) - offset) < 1.2)


def write_tile(path: Path, pixels: NDArray[np.uint16], place: int = 0) -> None:
    """Write bands as a GeoTIFF with names, place and time.

    Args:
        path: of the file.
        pixels: ``(4, H, W) uint16`` of ``BANDS``.
        place: number of the tile; tiles lie in rows beside each other.

    Raises:
        MissingExtraError: if the extra ``geo`` is not installed.
    """
    from terrahash.imagery.gdal import rasterio

    module = rasterio()
    _, height, width = pixels.shape
    row, column = divmod(place, TILES_A_ROW)
    west = WEST + column * width * METRES_A_PIXEL
    north = NORTH - row * height * METRES_A_PIXEL
    profile: dict[str, Any] = {
        "driver": "GTiff", "width": width, "height": height, "count": len(BANDS),
        "dtype": "uint16", "crs": CRS, "compress": "deflate", "predictor": 2,
        "photometric": "minisblack",
        "transform": module.Affine(METRES_A_PIXEL, 0, west, 0, -METRES_A_PIXEL, north),
    }  # fmt: skip
    with module.open(path, "w", **profile) as target:
        target.write(pixels)
        target.descriptions = BANDS
        target.update_tags(ACQUISITIONDATETIME=TAKEN)


def generate_scenes_ms(
    folder: str | Path,
    *,
    size: int = DEFAULT_SIZE,
    per_class: int = DEFAULT_PER_CLASS,
    seed: int = 0,
) -> Dataset:
    """Write tiles as GeoTIFF into class folders below ``folder``, which appears once it is whole.

    The same arguments give the same pixels; each tile depends on its class, its number and the
    seed alone.

    Args:
        folder: to be made; must not exist, or be empty.
        size: width and height in pixels, 16 to 4096.
        per_class: tiles in each class.
        seed: any whole number from 0.

    Raises:
        InputError: if an argument is out of range.
        DatasetError: if the folder is in the way or cannot be written.
        MissingExtraError: if the extra ``geo`` is not installed.
    """
    folder = Path(folder)
    if not MIN_SIZE <= size <= MAX_SIZE or per_class < 1 or seed < 0:
        raise InputError(
            f"{per_class} tiles a class of {size} pixels with seed {seed} cannot be",
            f"choose {MIN_SIZE} to {MAX_SIZE} pixels, at least one tile, and a seed from 0",
        )
    with appearing(folder, "tiles") as unfinished:
        _write_all(unfinished, size, per_class, seed)
    return _load(folder)


def _load(folder: Path) -> Dataset:
    return load_class_folders(folder, NAME, SCENES_MS_CLASSES)


def _write_all(folder: Path, size: int, per_class: int, seed: int) -> None:
    place = 0
    for class_name in SCENES_MS_CLASSES:
        (folder / class_name).mkdir()
        for number in range(per_class):
            rng = np.random.default_rng([seed, zlib.crc32(class_name.encode()), number])
            path = folder / class_name / f"{class_name}_{number:04d}.tif"
            write_tile(path, draw_tile(class_name, rng, size), place)
            place += 1


def scenes_ms_folder() -> Path:
    """Where the default tiles of this version are kept."""
    return cache_folder() / "data" / f"{NAME}-v{GENERATOR_VERSION}"


def load_scenes_ms() -> Dataset:
    """The default tiles from the cache; made on first use.

    Raises:
        DatasetError: if they cannot be written.
        MissingExtraError: if they are to be made and the extra ``geo`` is not installed.
    """
    return made_once(scenes_ms_folder(), generate_scenes_ms, _load)
