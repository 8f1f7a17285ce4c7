"""The pixels of one tile, read again from its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import ImageError, InputError
from terrahash.imagery.cutting import level_for, shrunk
from terrahash.imagery.layers import opened_scene
from terrahash.imagery.reading import UnknownFormatError, read_image
from terrahash.imagery.rendering import Rendering, read_part
from terrahash.imagery.scene import Scene
from terrahash.imagery.sources import is_remote, path_of

# Pixels a side that a window is shown with unless more are asked for.
SHOWN = 512


def read_window(
    source: str | Path,
    window: Sequence[int] | None = None,
    *,
    bands: str | None = None,
    limits: str | None = None,
    seen: str | None = None,
    pixels: int = SHOWN,
) -> NDArray[np.uint8]:
    """Show a part of a source as it was shown to the encoder, or of many bands the visible ones.

    Args:
        source: as a record names it: a path, or an address.
        window: x, y, width, height in pixels; None for all of it.
        bands: as recorded (column ``bands``); None for a picture that needs no choice.
        limits: as recorded (column ``scaling``).
        seen: as recorded; None for the bands that :meth:`Rendering.visible` finds.
        pixels: about how many pixels a side are wanted; overviews are used where there are any.

    Returns:
        ``(H, W, 3) uint8``; sides over ``pixels`` are averaged down to it.

    Raises:
        ImageError: if it cannot be read.
        InputError: if the window is no window.
        MissingExtraError: if the source is a scene and the extra ``geo`` is not installed.
    """
    if window is not None and (len(window) != 4 or min(window[:2]) < 0 or min(window[2:]) < 1):
        raise InputError(f"{list(window)} is no window", "give x, y, width and height in pixels")
    source = str(source)
    if window is None and bands is None and not is_remote(source):
        try:
            return shrunk(read_image(path_of(source)), pixels)
        except UnknownFormatError:
            if path_of(source).suffix.lower() not in (".tif", ".tiff"):
                raise
    scene = Scene.open(source)
    x, y, width, height = window or (0, 0, scene.width, scene.height)
    if x + width > scene.width or y + height > scene.height:
        raise ImageError(
            f"{source}: has {scene.width} × {scene.height} pixels, the window "
            f"{x} {y} {width} {height} is not in it",
            "index it again: it has changed",
        )
    rendering = Rendering.recorded(scene, bands, limits).visible(seen)
    level = level_for(rendering, max(width, height), pixels)
    with opened_scene(rendering.scene, overview=level) as dataset:
        across, down = dataset.width / scene.width, dataset.height / scene.height
        left, top = round(x * across), round(y * down)
        part = (
            left,
            top,
            max(1, round((x + width) * across) - left),
            max(1, round((y + height) * down) - top),
        )
        reduction = max(1.0, max(part[2:]) / pixels)
        shape = max(1, round(part[3] / reduction)), max(1, round(part[2] / reduction))
        raw, mask = read_part(dataset, rendering, part, shape)
    return rendering.image(raw, mask)[0]
