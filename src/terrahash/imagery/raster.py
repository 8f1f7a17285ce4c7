"""A raster file that is one tile, read whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import ImageError
from terrahash.imagery.bands import Bands
from terrahash.imagery.layers import opened_scene
from terrahash.imagery.reading import MAX_PIXELS
from terrahash.imagery.rendering import Rendering, read_part, read_veil
from terrahash.imagery.scaling import Scaling
from terrahash.imagery.scene import Scene
from terrahash.imagery.sources import source_of
from terrahash.imagery.temporary import as_file
from terrahash.imagery.veils import Veil

# A file that is one tile is read whole: what this much takes is no tile.
MAX_TILE_BYTES = 512 << 20


class WholeRaster(NamedTuple):
    """What was read.

    Attributes:
        image: ``(H, W, C) uint8``, invalid pixels black.
        valid: share of valid pixels.
        rendering: how its values became the image.
        hidden: share of pixels that a mask hides; None without one.
    """

    image: NDArray[np.uint8]
    valid: float
    rendering: Rendering
    hidden: float | None = None


def read_raster(
    source: str | Path | Scene,
    *,
    bands: tuple[str, ...] = (),
    scaling: Scaling | None = None,
    expected: Bands | None = None,
    veiled: Callable[[Scene], Veil | None] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> WholeRaster:
    """Read a file or address whole.

    Args:
        source: path or address, or the header of a scene.
        bands: chosen by number or name; by default those expected, or the scene's red, green and
            blue.
        scaling: from values to 8 bits; by default as expected, or automatic.
        expected: what the encoder takes; None for RGB.
        veiled: gives what hides the ground of the scene.
        max_pixels: largest width × height that is read.

    Raises:
        ImageError: if it cannot be read, is no tile, or lacks a band.
        MissingExtraError: if the extra ``geo`` is not installed.
    """
    if isinstance(source, Scene):
        scene = source
    else:
        scene = Scene.open(source_of(source) if isinstance(source, Path) else source)
    whole = scene.width * scene.height * len(scene.bands) * scene.dtype.itemsize
    if whole > MAX_TILE_BYTES or scene.width * scene.height > max_pixels:
        raise ImageError(
            f"{scene.source}: {scene.width} × {scene.height} pixels are no tile",
            "cut it: terrahash index with --tile",
        )
    veil = None if veiled is None else veiled(scene)
    rendering = Rendering.of(scene, bands, scaling or Scaling(), expected, veil)
    everything = (0, 0, scene.width, scene.height)
    with opened_scene(scene, beside=() if veil is None else (veil.origin,)) as dataset:
        raw, mask = read_part(dataset, rendering, everything)
        hidden = read_veil(dataset, rendering, everything)
    share = None if hidden is None else float(hidden.mean())
    return WholeRaster(*rendering.image(raw, mask), rendering, share)


def read_bands(
    source: Path | str | bytes, expected: Bands, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Read an image as an encoder of these bands takes it.

    Args:
        source: a file, or the bytes of one.
        expected: the encoder's bands.
        max_pixels: largest width × height that is read.

    Returns:
        ``(H, W, C) uint8``.

    Raises:
        ImageError: if it cannot be read or lacks a band.
        MissingExtraError: if the extra ``geo`` is not installed.
    """
    if not isinstance(source, bytes):
        return read_raster(source, expected=expected, max_pixels=max_pixels).image
    with as_file(source) as path:
        return read_raster(str(path), expected=expected, max_pixels=max_pixels).image
