"""Pixels to network input: one definition for training, inference and evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrahash.errors import InputError

MIN_SIZE = 32
MAX_SIZE = 1024


@dataclass(frozen=True)
class Preprocessing:
    """Resize the whole tile to a square, then ``(value − mean) / std`` per channel.

    Args:
        size: side of the network's input in pixels, 32 to 1024.
        mean: per channel, in units of the 8-bit pixel values.
        std: per channel, likewise.

    Raises:
        InputError: if the size is out of range.
    """

    size: int = 224
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    std: tuple[float, ...] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise InputError(
                f"an input size of {self.size} pixels is not supported",
                f"choose between {MIN_SIZE} and {MAX_SIZE}",
            )

    def resize(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``(H, W, 3) uint8`` to ``(size, size, 3) uint8``, bilinear with anti-aliasing."""
        if image.shape[:2] == (self.size, self.size):
            return image
        resized = Image.fromarray(image).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.asarray(resized)

    def normalize(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(N, size, size, 3) uint8`` to the network's ``(N, 3, size, size) float32``."""
        std = np.asarray(self.std, np.float32)
        scale = (1.0 / std).astype(np.float32)
        shift = (-np.asarray(self.mean, np.float32) / std).astype(np.float32)
        out = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")
        out *= scale[:, None, None]
        out += shift[:, None, None]
        return out

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One ``(H, W, 3) uint8`` image to ``(1, 3, size, size) float32``."""
        return self.normalize(self.resize(image)[None])

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocessing:
        """The preprocessing that :meth:`to_json` described."""
        return cls(int(data["size"]), tuple(data["mean"]), tuple(data["std"]))
