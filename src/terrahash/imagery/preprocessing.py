"""Pixels to network input: one definition for training, inference and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrahash.errors import ImageError, InputError
from terrahash.imagery.bands import Bands
from terrahash.imagery.reading import MAX_PIXELS, read_image
from terrahash.imagery.resizing import resized

MIN_SIZE = 32
MAX_SIZE = 1024


@dataclass(frozen=True)
class Preprocessing:
    """Resize the whole tile to a square, then ``(value − mean) / std`` per channel.

    Args:
        size: side of the network's input in pixels, 32 to 1024.
        mean: per channel, in units of the 8-bit pixel values.
        std: per channel, likewise.
        bands: what the channels are and which values became 8 bits; None for RGB pictures.

    Raises:
        InputError: if the size is out of range, or the parts are of different numbers of channels.
    """

    size: int = 224
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    std: tuple[float, ...] = (127.5, 127.5, 127.5)
    bands: Bands | None = None

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise InputError(
                f"an input size of {self.size} pixels is not supported",
                f"choose between {MIN_SIZE} and {MAX_SIZE}",
            )
        expected = 3 if self.bands is None else len(self.bands)
        if not len(self.mean) == len(self.std) == expected:
            raise InputError(
                f"{len(self.mean)} means and {len(self.std)} deviations for {expected} channels"
            )

    @property
    def channels(self) -> int:
        """Channels of the network's input, C."""
        return len(self.mean)

    def read(
        self, source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS
    ) -> NDArray[np.uint8]:
        """An image file, or the bytes of one, as ``(H, W, C) uint8``.

        Args:
            source: the file, or its bytes.
            max_pixels: largest width × height that is decoded.

        Raises:
            ImageError: if it cannot be read or lacks a band.
            MissingExtraError: if it has bands beyond RGB and the extra ``geo`` is not installed.
        """
        if self.bands is None:
            return read_image(source, max_pixels=max_pixels)
        from terrahash.imagery.raster import read_bands

        return read_bands(source, self.bands, max_pixels=max_pixels)

    def resize(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``(H, W, C) uint8`` to ``(size, size, C) uint8``, bilinear with anti-aliasing.

        Raises:
            ImageError: if the image has another number of bands or another type.
        """
        if image.ndim != 3 or image.shape[2] != self.channels or image.dtype != np.uint8:
            takes = "red, green, blue" if self.bands is None else str(self.bands)
            raise ImageError(
                f"an image of shape {image.shape} and type {image.dtype} was given; the encoder "
                f"takes 8-bit values of {self.channels} bands in the last axis: {takes}",
                "give a file with these bands, or an array in which they are scaled to 8 bits",
            )
        if image.shape[:2] == (self.size, self.size):
            return image
        return resized(image, self.size, self.size, Image.Resampling.BILINEAR)

    def normalize(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(N, size, size, C) uint8`` to the network's ``(N, C, size, size) float32``."""
        std = np.asarray(self.std, np.float32)
        scale = (1.0 / std).astype(np.float32)
        shift = (-np.asarray(self.mean, np.float32) / std).astype(np.float32)
        out = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")
        out *= scale[:, None, None]
        out += shift[:, None, None]
        return out

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One ``(H, W, C) uint8`` image to ``(1, C, size, size) float32``."""
        return self.normalize(self.resize(image)[None])

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description, the inverse of :meth:`from_json`."""
        described: dict[str, Any] = {"size": self.size, "mean": self.mean, "std": self.std}
        return described if self.bands is None else {**described, "bands": self.bands.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocessing:
        """The preprocessing that :meth:`to_json` described."""
        bands = None if data.get("bands") is None else Bands.from_json(data["bands"])
        return cls(int(data["size"]), tuple(data["mean"]), tuple(data["std"]), bands)
