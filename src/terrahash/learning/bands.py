"""What the bands of the training images hold: which there are, and how their values lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrahash.errors import DatasetError, ImageError
from terrahash.imagery.bands import Bands, common_name
from terrahash.imagery.gdal import opened
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.imagery.quiet import quiet
from terrahash.imagery.reading import FORMATS
from terrahash.imagery.rendering import Rendering, read_part
from terrahash.imagery.scaling import Scaling, ToBytes
from terrahash.imagery.scene import Scene
from terrahash.imagery.sources import source_of

ALL = "all"
# Percentiles of the training pixels that become 0 and 255: wide enough to keep what is rare, and
# narrow enough that a cloud or a dead pixel does not press everything else into a few levels.
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
# Percentiles of so many pixels are known to a few hundredths of a per cent.
SAMPLED_IMAGES = 1000
SAMPLED_PIXELS = 1024
# Mean and standard deviation of ImageNet's pixels over their three channels, 8-bit values (from
# the normalisation constants that torchvision publishes): what pretrained filters are used to.
IMAGENET_MEAN, IMAGENET_STD = 114.5, 57.6
# A band that never changes is not blown up to noise.
LEAST_STD = 1.0

_BITS_PER_SAMPLE, _SAMPLES = 258, 277


@dataclass(frozen=True)
class BandStatistics:
    """The bands of training images, and how their values lie once they are 8 bits.

    Attributes:
        bands: which, and what becomes 0 and 255.
        mean: of each band, in 8-bit values.
        std: likewise.
    """

    bands: Bands
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def preprocessing(self, rgb: Preprocessing) -> Preprocessing:
        """The input of a network for these bands: each has the mean and the spread there that
        ImageNet's pixels have in the input of the same network for RGB."""
        mean, std = np.mean(rgb.mean), np.mean(rgb.std)
        spread, middle = IMAGENET_STD / std, (IMAGENET_MEAN - mean) / std
        stds = [round(float(max(own, LEAST_STD) / spread), 4) for own in self.std]
        means = [
            round(float(own - middle * scale), 4)
            for own, scale in zip(self.mean, stds, strict=True)
        ]
        return Preprocessing(rgb.size, tuple(means), tuple(stds), self.bands)


def bands_of(
    paths: Sequence[Path], wanted: Sequence[str] | None, names: Sequence[str] = ()
) -> BandStatistics | None:
    """The bands that an encoder is to be trained on.

    Args:
        paths: the images that it is fitted to.
        wanted: names or numbers, ``("all",)``, or None: all bands where the images are rasters of
            several bands beyond 8 bits or of other than RGB, else none.
        names: of the images' bands, where the files do not say.

    Returns:
        Their statistics, or None for RGB pictures.

    Raises:
        DatasetError: if there is no such band.
        ImageError: if an image cannot be read or has other bands than the first.
        MissingExtraError: if the extra ``geo`` is needed and not installed.
    """
    if not paths or (wanted is None and not _is_raster(paths[0])):
        return None
    chosen = paths[:: max(1, len(paths) // SAMPLED_IMAGES)]
    first = Scene.open(source_of(chosen[0].absolute()))
    showing = [number for number, band in enumerate(first.bands, 1) if band.shows != "alpha"]
    said = [first.bands[number - 1].name for number in showing]
    if names and not all(said) and len(names) != len(showing):
        raise DatasetError(
            f"{chosen[0]} has {len(showing)} bands, expected {len(names)}: {', '.join(names)}",
            "fetch the data set again",
        )
    numbered = [name or str(place) for place, name in enumerate(said, start=1)]
    known = numbered if all(said) or not names else list(names)
    places = range(len(known)) if wanted in (None, (ALL,)) else _places(known, wanted or (), first)
    dtype = str(first.dtype)
    picked = tuple(known[place] for place in places)
    numbers = tuple(place + 1 for place in places)
    bands = Bands(picked, dtype, ((0.0, 255.0),) * len(picked), numbers, len(known))
    samples = _samples(chosen, bands)
    if first.dtype != np.uint8:
        scaling = Scaling("percentiles", LOW_PERCENTILE, HIGH_PERCENTILE)
        bands = replace(bands, limits=scaling.limits_of(samples))
    scaled = [
        ToBytes(first.dtype, (pair,))(values[None, None])
        for values, pair in zip(samples, bands.limits, strict=True)
    ]
    return BandStatistics(
        bands,
        tuple(float(values.mean()) if values.size else 0.0 for values in scaled),
        tuple(float(values.std()) if values.size else 0.0 for values in scaled),
    )


def _is_raster(path: Path) -> bool:
    """Whether a file holds bands that are not simply a picture."""
    try:
        with quiet(), Image.open(path, formats=FORMATS) as image:
            tags = getattr(image, "tag_v2", {})
            bits, samples = tags.get(_BITS_PER_SAMPLE, (8,)), tags.get(_SAMPLES, 1)
            return bool(samples > 1 and max(bits) > 8)
    except (OSError, ValueError, SyntaxError):
        return path.suffix.lower() in (".tif", ".tiff", ".jp2")


def _places(known: Sequence[str], wanted: Sequence[str], first: Scene) -> list[int]:
    """Positions of the bands that a user names, by name, by what it stands for, or by number."""
    exact = {name.lower(): place for place, name in enumerate(known)}
    alike = {common_name(name): place for place, name in enumerate(known)}
    out = []
    for text in wanted:
        place = exact.get(text.lower(), alike.get(common_name(text)))
        if place is None and text.isdecimal() and 1 <= int(text) <= len(known):
            place = int(text) - 1
        if place is None:
            raise DatasetError(
                f"{first.source}: has no band {text!r} (it has {len(known)}: {', '.join(known)})",
                "choose bands by number from 1, or by name",
            )
        out.append(place)
    return out


def _samples(paths: Sequence[Path], bands: Bands) -> list[NDArray[Any]]:
    """Valid values of each band from some pixels of each image."""
    parts: list[list[NDArray[Any]]] = [[] for _ in bands.names]
    for path in paths:
        scene = Scene.open(source_of(path.absolute()))
        if str(scene.dtype) != bands.dtype:
            raise ImageError(
                f"{path}: has values of type {scene.dtype}, other images {bands.dtype}",
                "convert the images to one type",
            )
        rendering = Rendering(scene, bands.choose(scene), bands.limits, len(bands))
        with opened(scene.source) as dataset:
            raw, mask = read_part(dataset, rendering, (0, 0, scene.width, scene.height))
        valid = rendering.valid(raw, mask)
        for band, values in enumerate(parts):
            own = raw[band].ravel() if valid is None else raw[band][valid]
            values.append(own[:: max(1, own.size // SAMPLED_PIXELS)])
    return [np.concatenate(values) for values in parts]
