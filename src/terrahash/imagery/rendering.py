"""A scene's pixels as the image that an encoder sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import ImageError
from terrahash.imagery.bands import COLOURS, Bands, common_name
from terrahash.imagery.buffers import Buffers
from terrahash.imagery.layers import opened_scene, recorded_layers
from terrahash.imagery.scaling import (
    Limits,
    Scaling,
    ToBytes,
    limits_text,
    parse_limits,
)
from terrahash.imagery.scene import Scene
from terrahash.imagery.veils import Veil

# Percentiles are taken of an overview with at least so many pixels, or else of so many blocks a
# side spread over the scene, at most so many pixels of each block a side.
SAMPLE_PIXELS = 1 << 17
SAMPLE_BLOCKS = 6
SAMPLE_SIDE = 128


@dataclass(frozen=True)
class Rendering:
    """Which bands of a scene are shown, and how.

    Attributes:
        scene: its header.
        bands: numbered from 1.
        limits: per band, the values that become 0 and 255.
        channels: of the image; a single band is shown in all of them.
        veil: what hides the ground.
    """

    scene: Scene
    bands: tuple[int, ...]
    limits: Limits
    channels: int = 3
    veil: Veil | None = None

    @classmethod
    def of(
        cls,
        scene: Scene,
        bands: tuple[str, ...],
        scaling: Scaling,
        expected: Bands | None = None,
        veil: Veil | None = None,
    ) -> Rendering:
        """The rendering that a user asks for; samples the pixels where percentiles are wanted.

        Fixed values, and those that an encoder learned, are taken to have no offset; where the
        bands have one (:meth:`Scene.stored_limits`), they are shifted by it.

        Args:
            scene: its header.
            bands: by number or name; none for those expected, or for red, green and blue.
            scaling: ``auto`` leaves it to what is expected, if anything is.
            expected: what the encoder takes; None for RGB.
            veil: what hides the ground.

        Raises:
            ImageError: if the scene lacks a band, its values are of another kind than expected,
                their units are asked for and not known, or its samples cannot be read.
        """
        if expected is not None:
            chosen, channels = expected.choose(scene, bands), len(expected)
            if scaling.kind == "auto":
                expected.check_values(scene)
                learned = scene.stored_limits(chosen, expected.limits, units=False)
                return cls(scene, chosen, learned, channels, veil)
        else:
            chosen, channels = scene.choose(bands), 3
            if len(chosen) not in (1, 3):
                raise ImageError(f"{scene.source}: {len(chosen)} bands are no RGB image", "")
        limits = scaling.limits(scene.dtype, len(chosen))
        if limits is None:
            limits = scaling.limits_of(_samples(cls(scene, chosen, ((0.0, 1.0),) * len(chosen))))
        elif scaling.kind in ("range", "units"):
            limits = scene.stored_limits(chosen, limits, units=scaling.kind == "units")
        return cls(scene, chosen, limits, channels, veil)

    @classmethod
    def recorded(
        cls,
        scene: Scene,
        bands: str | None,
        limits: str | None,
        expected: Bands | None = None,
        veil: Veil | None = None,
    ) -> Rendering:
        """The rendering that was recorded as texts; what is absent is chosen anew."""
        names = bands.split(",") if bands else []
        known = [scene.band_text(number) for number in range(1, len(scene.bands) + 1)]
        if not set(names) <= set(known):
            scene = recorded_layers(scene, names)
            known = [scene.band_text(number) for number in range(1, len(scene.bands) + 1)]
        if limits is None or not names:
            return cls.of(scene, tuple(names), Scaling(), expected, veil)
        if set(names) <= set(known):
            chosen = tuple(known.index(name) + 1 for name in names)
        else:
            chosen = scene.choose(names)
        channels = 3 if expected is None else len(expected)
        return cls(scene, chosen, parse_limits(limits), channels, veil)

    def seen(self, wanted: Sequence[str] = (), expected: Bands | None = None) -> tuple[int, ...]:
        """Numbers of the bands, one or three, in which people see it.

        Args:
            wanted: by number or name, as a user chose.
            expected: what the encoder takes; its names count where the scene's own say nothing.

        Raises:
            ImageError: if one is wanted that the encoder does not take.
        """
        if wanted:
            chosen = self.scene.choose(wanted)
            if not set(chosen) <= set(self.bands) or len(chosen) not in (1, 3):
                raise ImageError(
                    f"{self.scene.source}: bands {', '.join(wanted)} cannot be shown; it must be "
                    f"one or three of those that the encoder takes ({self.bands_text})",
                    "choose others with --seen",
                )
            return chosen
        own = self.visible().bands
        if expected is None or len(self.bands) in (1, 3):
            return own
        if all(self.scene.bands[number - 1].name for number in self.bands):
            return own
        shows = [common_name(name) for name in expected.names]
        if not set(COLOURS) <= set(shows):
            return own
        return tuple(self.bands[shows.index(colour)] for colour in COLOURS)

    def visible(self, seen: str | None = None) -> Rendering:
        """The same as a picture for people.

        Args:
            seen: the bands as they were recorded (column ``seen``). Without it red, green and blue
                where the scene's bands say so, else the first three, or the first one.
        """
        if seen is not None:
            known = [self.scene.band_text(number) for number in self.bands]
            if set(seen.split(",")) <= set(known):
                places = [known.index(text) for text in seen.split(",")]
                return self._of(places)
        if len(self.bands) in (1, 3):
            return replace(self, channels=3)
        shows = [common_name(self.scene.bands[number - 1].name) for number in self.bands]
        if set(COLOURS) <= set(shows):
            places = [shows.index(colour) for colour in COLOURS]
        else:
            places = list(range(3 if len(shows) > 3 else 1))
        return self._of(places)

    def _of(self, places: Sequence[int]) -> Rendering:
        bands = tuple(self.bands[place] for place in places)
        return Rendering(self.scene, bands, tuple(self.limits[place] for place in places))

    @property
    def bands_text(self) -> str:
        """The bands as they are recorded."""
        return ",".join(map(self.scene.band_text, self.bands))

    @property
    def limits_text(self) -> str:
        """The limits as they are recorded."""
        return limits_text(self.limits)

    @property
    def indexes(self) -> tuple[int, ...]:
        """Bands to be read: those shown and, last, the alpha band where there is one."""
        if self.scene.mask != "alpha":
            return self.bands
        alpha = [band.shows for band in self.scene.bands].index("alpha") + 1
        return (*self.bands, alpha)

    @cached_property
    def _to_bytes(self) -> ToBytes:
        return ToBytes(self.scene.dtype, self.limits)

    def valid(
        self, pixels: NDArray[Any], mask: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_] | None:
        """``(H, W) bool`` of pixels that hold something; None if all do."""
        shown = pixels[: len(self.bands)]
        if self.scene.mask == "alpha":
            mask = pixels[-1] != 0
        elif self.scene.mask == "nodata":
            nodata = self.scene.nodata
            if nodata is not None and not np.isnan(nodata):
                mask = (shown != nodata).any(axis=0)
        if self.scene.dtype.kind == "f":
            finite = np.isfinite(shown).all(axis=0)
            mask = finite if mask is None else mask & finite
        return None if mask is None or mask.all() else mask

    def image(
        self, pixels: NDArray[Any], mask: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.uint8], float]:
        """Draw what was read.

        Args:
            pixels: ``(bands, H, W)`` of :attr:`indexes`.
            mask: ``(H, W) bool`` of the file's own mask, where it has one.

        Returns:
            ``(H, W, channels) uint8`` with invalid pixels black, and the share of valid pixels.
        """
        valid = self.valid(pixels, mask)
        shown = pixels[: len(self.bands)]
        if self.scene.palette is not None and self.bands == (1,) and self.channels == 3:
            image = np.asarray(self.scene.palette, np.uint8)[shown[0]]
        else:
            image = self._to_bytes(shown)
            if image.shape[2] == 1 < self.channels:
                image = np.repeat(image, self.channels, axis=2)
        if valid is None:
            return image, 1.0
        image[~valid] = 0
        return image, float(valid.mean())


def read_part(
    dataset: Any,
    rendering: Rendering,
    window: tuple[int, int, int, int],
    out_shape: tuple[int, int] | None = None,
    buffers: Buffers | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Pixels ``(bands, H, W)`` and the file's own mask of a part x, y, width, height."""
    from rasterio.windows import Window

    part = Window(*window)
    indexes = list(rendering.indexes)
    shape = len(indexes), *(out_shape or (window[3], window[2]))
    pixels = (buffers or Buffers()).take(shape, rendering.scene.dtype)
    dataset.read(indexes, window=part, out=pixels)
    mask = None
    if rendering.scene.mask == "mask":
        mask = dataset.read_masks(1, window=part, out_shape=out_shape) != 0
    return pixels, mask


def read_veil(
    dataset: Any, rendering: Rendering, window: tuple[int, int, int, int]
) -> NDArray[np.bool_] | None:
    """``(H, W) bool`` of what hides the ground in a part x, y, width, height; None for no veil."""
    if rendering.veil is None:
        return None
    from rasterio.windows import Window

    pixels = dataset.band(rendering.veil.origin, Window(*window), (window[3], window[2]))
    return rendering.veil.mask.hides(pixels)


def _samples(rendering: Rendering) -> list[NDArray[Any]]:
    """Valid values of each band, spread over the scene."""
    scene = rendering.scene
    level = None
    for number, factor in enumerate(scene.overviews):
        if scene.width * scene.height / factor**2 >= SAMPLE_PIXELS:
            level = number
    parts: list[list[NDArray[Any]]] = [[] for _ in rendering.bands]
    with opened_scene(scene, overview=level) as dataset:
        for window in _sample_windows(dataset.width, dataset.height, dataset.block_shapes[0]):
            pixels, mask = read_part(dataset, rendering, window)
            valid = rendering.valid(pixels, mask)
            for band, values in enumerate(parts):
                values.append(pixels[band].ravel() if valid is None else pixels[band][valid])
    return [np.concatenate(values) for values in parts]


def _sample_windows(
    width: int, height: int, block: tuple[int, int]
) -> list[tuple[int, int, int, int]]:
    if width * height <= SAMPLE_PIXELS * 4:
        return [(0, 0, width, height)]

    def places(length: int, step: int) -> list[int]:
        blocks = -(-length // step)
        count = min(SAMPLE_BLOCKS, blocks)
        return sorted({int((n + 0.5) * blocks / count) * step for n in range(count)})

    rows, columns = (max(1, side) for side in block)
    # A block of a few whole rows is sampled along its length.
    tall, wide = max(rows, min(SAMPLE_SIDE, height)), min(columns, 4 * SAMPLE_SIDE)
    return [
        (x, y, min(SAMPLE_SIDE, width - x), min(SAMPLE_SIDE, height - y))
        for y in places(height, tall)
        for x in places(width, wide)
        if x < width and y < height
    ]
