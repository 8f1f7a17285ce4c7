"""Scenes made by scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rasterio", reason="scenes need the extra 'geo'")

MakeScene = Callable[..., Path]


def pixels_of(bands: int, height: int, width: int, dtype: str = "uint16") -> NDArray[Any]:
    """Values that say where they are: no two pixels of a band alike in a neighbourhood."""
    y, x = np.mgrid[:height, :width]
    top = 250 if dtype == "uint8" else 10_000
    values = [(x * 7 + y * 13 + band * 31) % top for band in range(bands)]
    return np.stack(values).astype(dtype)


def write_scene(
    path: Path,
    pixels: NDArray[Any],
    *,
    crs: Any = "EPSG:32632",
    transform: Any = None,
    tags: dict[str, str] | None = None,
    names: tuple[str, ...] = (),
    overviews: tuple[int, ...] = (),
    mask: NDArray[np.bool_] | None = None,
    **options: Any,
) -> Path:
    """Write a GeoTIFF, by default tiled in blocks of 128 and lying in UTM zone 32 north."""
    import rasterio
    from rasterio.enums import Resampling

    count, height, width = pixels.shape
    if transform is None:
        transform = rasterio.Affine(10, 0, 500_000, 0, -10, 5_500_000)
    profile: dict[str, Any] = {
        "driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128,
        "compress": "deflate", "photometric": "minisblack",
    } | options  # fmt: skip
    if not profile["tiled"]:
        profile.pop("blockxsize")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        path, "w", width=width, height=height, count=count, dtype=pixels.dtype, crs=crs,
        transform=transform, **profile,
    ) as target:  # fmt: skip
        target.write(pixels)
        target.update_tags(**(tags or {}))
        for number, name in enumerate(names, start=1):
            target.set_band_description(number, name)
        if mask is not None:
            target.write_mask(mask)
        if overviews:
            target.build_overviews(overviews, Resampling.average)
    return path


@pytest.fixture
def make_scene(tmp_path: Path) -> MakeScene:
    """Write a scene: ``make_scene(name, pixels, **options)``."""

    def make(name: str, pixels: NDArray[Any], **options: Any) -> Path:
        return write_scene(tmp_path / name, pixels, **options)

    return make
