"""Resizing images of any number of bands, each band by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resized(
    image: NDArray[np.uint8], width: int, height: int, method: Image.Resampling
) -> NDArray[np.uint8]:
    """``(H, W, C) uint8`` to ``(height, width, C) uint8``."""
    if image.shape[2] == 3:
        return np.asarray(Image.fromarray(image).resize((width, height), method))
    # Pillow takes two and four bands for such with transparency, and weights colours by it.
    out = np.empty((height, width, image.shape[2]), np.uint8)
    for band in range(image.shape[2]):
        plane = np.ascontiguousarray(image[..., band])
        out[..., band] = np.asarray(Image.fromarray(plane).resize((width, height), method))
    return out
