"""How a scene is cut into tiles."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import ImageError, InputError
from terrahash.imagery.georeference import Georeference
from terrahash.imagery.scaling import Scaling
from terrahash.imagery.veils import Mask

DEFAULT_TILE = 256
MIN_TILE, MAX_TILE = 8, 8192
# A scene of 2**18 pixels a side at 256-pixel tiles: a million tiles, hours of encoding.
MAX_WINDOWS = 1 << 21
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(px|m)?")


@dataclass(frozen=True)
class Length:
    """A length in pixels or in metres on the ground."""

    value: float
    unit: Literal["px", "m"] = "px"

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf or (self.unit == "px" and self.value != int(self.value)):
            raise InputError(
                f"a length of {self.value:g} {self.unit} is not possible",
                "give whole pixels such as 256, or metres such as 500m",
            )

    @classmethod
    def parse(cls, text: str) -> Length:
        """``256``, ``256px`` or ``500m``.

        Raises:
            InputError: if it is none of these.
        """
        match = _LENGTH.fullmatch(text.strip())
        if match is None:
            raise InputError(
                f"{text!r} is no length", "give pixels such as 256, or metres such as 500m"
            )
        return cls(float(match[1]), "m" if match[2] == "m" else "px")

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"


@dataclass(frozen=True)
class Tiling:
    """What is cut out of scenes and how it becomes an image.

    Attributes:
        tile: side of the square tiles.
        stride: from tile to tile; None for the tile's side.
        gsd: ground sampling distance in metres that tiles are brought to, so that scenes of
            several sensors show the same ground at the same scale; None leaves each as it is.
            A tile of 256 pixels then is ``256 · gsd`` metres wide.
        bands: by number (from 1) or name, as many as the encoder takes, or one for all; empty for
            those that the encoder names, or for the scene's own red, green and blue.
        scaling: from the scene's values to 8 bits.
        min_valid: least share of valid pixels of a tile; others are left out.
        seen: the bands, one or three of those that the encoder takes, in which people see tiles
            of an encoder of other bands than RGB; empty for red, green and blue where they are
            known, else the first three. No part of how a scene is cut.
        mask: what hides the ground; tiles with too much of it are left out.

    Raises:
        InputError: if a value is out of range.
    """

    tile: Length = field(default_factory=lambda: Length(DEFAULT_TILE))
    stride: Length | None = None
    gsd: float | None = None
    bands: tuple[str, ...] = ()
    scaling: Scaling = field(default_factory=Scaling)
    min_valid: float = 0.5
    mask: Mask | None = None
    seen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.tile.unit == "px" and not MIN_TILE <= self.tile.value <= MAX_TILE:
            raise InputError(
                f"tiles of {self.tile} are not supported", f"choose {MIN_TILE} to {MAX_TILE} pixels"
            )
        if self.gsd is not None and not 0 < self.gsd < math.inf:
            raise InputError(f"a ground sampling distance of {self.gsd} m is not possible", "")
        if not 0 <= self.min_valid <= 1:
            raise InputError(
                f"a share of valid pixels of {self.min_valid} is not possible", "choose 0 to 1"
            )

    def __str__(self) -> str:
        """The canonical text by which an archive knows how a tile was cut."""
        parts = [f"tile={self.tile}", f"stride={self.stride or self.tile}"]
        if self.gsd is not None:
            parts.append(f"gsd={self.gsd:g}")
        if self.bands:
            parts.append(f"bands={','.join(self.bands)}")
        parts += [f"scaling={self.scaling}", f"valid={self.min_valid:g}"]
        return " ".join(parts if self.mask is None else [*parts, f"mask={self.mask}"])

    def grid(self, width: int, height: int, place: Georeference | None, name: str) -> Grid:
        """The windows of a scene.

        Args:
            width, height: of the scene in pixels.
            place: where it lies; needed for lengths in metres.
            name: of the scene, for errors.

        Raises:
            ImageError: if it needs a place and has none, or there would be too many windows.
        """
        stride = self.stride or self.tile
        metres = self.gsd is not None or "m" in (self.tile.unit, stride.unit)
        native = None
        if metres:
            native = place.ground_distance(width / 2, height / 2) if place else None
            if native is None:
                raise ImageError(
                    f"{name}: has no place on the ground, so that metres mean nothing in it",
                    "give tile and stride in pixels and leave out the ground sampling distance",
                )

        def pixels(length: Length) -> int:
            if native is None:
                return int(length.value)
            metres = length.value if length.unit == "m" else length.value * (self.gsd or native)
            return max(1, round(metres / native))

        side, step = pixels(self.tile), pixels(stride)
        if side < MIN_TILE:
            raise ImageError(
                f"{name}: tiles of {self.tile} are {side} of its pixels", "choose larger tiles"
            )
        target = None
        if self.gsd is not None:
            metres_a_tile = self.tile.value if self.tile.unit == "m" else self.tile.value * self.gsd
            target = max(1, round(metres_a_tile / self.gsd))
        grid = Grid(_starts(width, side, step), _starts(height, side, step), side, width, height)
        grid.shown = min(side, target) if target else side
        if len(grid) > MAX_WINDOWS:
            raise ImageError(
                f"{name}: {width} × {height} pixels would be {len(grid)} tiles",
                f"choose larger tiles or strides: at most {MAX_WINDOWS} tiles a scene",
            )
        return grid


@dataclass
class Grid:
    """Windows of a scene in rows and columns; the last ones lean on the scene's edges.

    Attributes:
        columns: left edges, ascending.
        rows: upper edges, ascending.
        side: of the windows in the scene's pixels; less at the edges of a smaller scene.
        width: of the scene.
        height: of the scene.
        shown: pixels a side that a tile is shown to the encoder with, where that is less.
    """

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    side: int
    width: int
    height: int
    shown: int = 0

    def __len__(self) -> int:
        return len(self.columns) * len(self.rows)

    def windows(self) -> NDArray[np.int32]:
        """``(N, 4) int32`` x, y, width, height, row by row."""
        out = np.empty((len(self.rows), len(self.columns), 4), np.int32)
        out[..., 0] = self.columns
        out[..., 1] = self.rows[:, None]
        out[..., 2] = min(self.side, self.width)
        out[..., 3] = min(self.side, self.height)
        return out.reshape(-1, 4)


def _starts(length: int, side: int, step: int) -> NDArray[Any]:
    """Where windows begin, so that together they reach both ends."""
    if length <= side:
        return np.zeros(1, np.int64)
    starts = np.arange(0, length - side + 1, step, dtype=np.int64)
    last = length - side
    return starts if starts[-1] == last else np.append(starts, last)
