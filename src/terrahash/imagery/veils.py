"""Rasters that say where clouds, or anything else, hide the ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import InputError
from terrahash.imagery.layers import origin_of
from terrahash.imagery.scene import Origin, Scene

# Sentinel-2's scene classification: cloud shadow, cloud of medium and high probability, cirrus.
SENTINEL_2_CLOUDS = "3,8,9,10"
DEFAULT_MOST = 0.1
# Of the widest flags that are handed out.
MAX_BITS = 32


@dataclass(frozen=True)
class Mask:
    """Which pixels of a scene are hidden, and how many of them a tile may have.

    Attributes:
        name: an asset of STAC items, or a file or address.
        values: of the raster that mean hidden, such as ``3,8,9,10``; ``>=40`` for all from there
            on; ``bits:3,4`` for all whole numbers in which one of these bits is set, the lowest
            being bit 0.
        most: share of hidden pixels that a tile may have.

    Raises:
        InputError: if these are no values, or that is no share.
    """

    name: str
    values: str = SENTINEL_2_CLOUDS
    most: float = DEFAULT_MOST

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1:
            raise InputError(f"a share of hidden pixels of {self.most} is not possible", "0 to 1")
        _ = self._parsed

    @cached_property
    def _parsed(self) -> tuple[str, tuple[float, ...]]:
        """How values are compared, and with what."""
        try:
            if self.values.startswith(">="):
                return "least", (float(self.values[2:]),)
            if self.values.startswith("bits:"):
                bits = [int(bit) for bit in self.values[5:].split(",")]
                if min(bits) >= 0 and max(bits) < MAX_BITS:
                    return "bits", (sum(1 << bit for bit in set(bits)),)
                raise ValueError
            return "equal", tuple(map(float, self.values.split(",")))
        except ValueError:
            raise InputError(
                f"{self.values!r} are no values of a mask",
                "give them as 3,8,9,10, as >=40 for all from 40 on, or as bits:3,4",
            ) from None

    def __str__(self) -> str:
        return f"{self.name}[{self.values}]<={self.most:g}"

    def hides(self, pixels: NDArray[Any]) -> NDArray[np.bool_]:
        """Which pixels of the raster mean hidden."""
        how, values = self._parsed
        if how == "least":
            return np.asarray(pixels >= values[0])
        if how == "bits":
            return np.asarray(pixels.astype(np.int64) & int(values[0]) != 0)
        return np.isin(pixels, values)


@dataclass(frozen=True)
class Veil:
    """A mask laid onto a scene."""

    mask: Mask
    origin: Origin

    @classmethod
    def over(cls, scene: Scene, source: str, mask: Mask) -> Veil:
        """Lay a mask's raster onto a scene.

        Args:
            scene: its header.
            source: of the raster, path or address.
            mask: what its values mean.

        Raises:
            ImageError: if it cannot be opened, or does not cover the scene.
            MissingExtraError: if the extra ``geo`` is not installed.
        """
        return cls(mask, origin_of(Scene.open(source), 1, scene))
