"""Scenes whose bands lie in files of their own, brought to the grid of the finest of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import ImageError
from terrahash.imagery.gdal import opened, rasterio
from terrahash.imagery.georeference import Georeference
from terrahash.imagery.scene import Band, Origin, Scene
from terrahash.imagery.sources import is_remote

# Files that show the same ground may end a pixel of the coarser one apart: those of Landsat's
# panchromatic band do.
SLACK_PIXELS = 1.0
# A grid that is turned or skewed against another by less than this many pixels in all is not.
SKEW_PIXELS = 0.01


@dataclass(frozen=True)
class Layer:
    """A band of a file, and what a catalogue says of it.

    Attributes:
        source: path or address.
        number: of the band in the file.
        name: empty if it is not known.
        scale: of its values, see :class:`Band`; None if it is not known.
        offset: likewise.
        nodata: value of pixels that hold nothing.
    """

    source: str
    number: int = 1
    name: str = ""
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None


def layered(layers: Sequence[Layer], base_source: str | None = None) -> Scene:
    """The scene that some layers make.

    Layers of one file leave it as it is, with what they say added; those of several files make a
    scene of these bands alone, on the grid of the finest file. What a file says of its scale,
    offset and nodata goes before what a layer says.

    Args:
        layers: at least one.
        base_source: the file whose grid they are brought to; by default the finest.

    Raises:
        ImageError: if a file cannot be opened, a band is not there, or the files do not fit each
            other: other ground, another projection, another type of values.
        MissingExtraError: if the extra ``geo`` is not installed.
    """
    sources = [*([] if base_source is None else [base_source]), *(one.source for one in layers)]
    scenes = {source: Scene.open(source) for source in dict.fromkeys(sources)}
    if base_source is not None:
        base = scenes[base_source]
    else:
        base = min(scenes.values(), key=lambda scene: _pixel_size(scene, scenes))
    bands = [_band(layer, scenes[layer.source], base) for layer in layers]
    if len(scenes) == 1:
        told = {band.number: band for band in bands}
        bands = [told.get(band.number, band) for band in base.bands]
    kinds = {str(scene.dtype) for scene in scenes.values()}
    if len(kinds) > 1:
        raise ImageError(
            f"{base.source}: its bands are of different types ({', '.join(sorted(kinds))})",
            "choose assets of one type",
        )
    nodata = base.nodata
    if nodata is None:
        nodata = next((layer.nodata for layer in layers if layer.nodata is not None), None)
    mask = base.mask if len(scenes) == 1 or base.mask != "alpha" else ""
    return replace(
        base,
        bands=tuple(bands),
        nodata=nodata,
        mask=mask or ("" if nodata is None else "nodata"),
        palette=base.palette if len(scenes) == 1 else None,
        datetime=next((s.datetime for s in scenes.values() if s.datetime is not None), None),
    )


def recorded_layers(scene: Scene, bands: Sequence[str]) -> Scene:
    """The scene of which a record names these bands (:meth:`Scene.band_text`).

    Args:
        scene: of the record's source.
        bands: of the record.

    Raises:
        ImageError: as :func:`layered` does, or if it is no such text.
    """
    if not any("@" in text for text in bands):
        return scene
    layers = []
    for text in bands:
        number, _, source = text.partition("@")
        if not number.isdecimal():
            raise ImageError(f"{scene.source}: {text!r} is no band", "index it again")
        layers.append(Layer(unquote(source) if source else scene.source, int(number)))
    return layered(layers, scene.source)


def sources_of(source: str, bands: str | None) -> list[str]:
    """All files and addresses that a record leads to."""
    others = (text.partition("@")[2] for text in (bands or "").split(","))
    return [source, *(unquote(other) for other in others if other)]


def origin_of(other: Scene, number: int, base: Scene) -> Origin:
    """How a band of another file lies on a scene's grid.

    Raises:
        ImageError: if it shows other ground, or is turned against it.
    """
    if not 1 <= number <= len(other.bands):
        raise ImageError(f"{other.source}: has no band {number} (it has {len(other.bands)})", "")
    if base.place is None or other.place is None:
        if base.place is not None or other.place is not None:
            raise ImageError(
                f"{other.source}: cannot be laid onto {base.source}, only one of them has a place",
                "choose files that both have one",
            )
        across, down = (other.width / base.width, 0.0), (other.height / base.height, 0.0)
        return Origin(other.source, number, across, down, other.overviews)
    crs = rasterio().crs.CRS.from_wkt
    same = other.place.crs == base.place.crs or crs(other.place.crs) == crs(base.place.crs)
    way = np.linalg.inv(_matrix(other.place)) @ _matrix(base.place)
    (a, b, c), (d, e, f) = way[:2].tolist()
    skew = max(abs(b) * base.height, abs(d) * base.width)
    right, bottom = a * base.width + c, e * base.height + f
    beyond = max(-c, -f, right - other.width, bottom - other.height)
    slack = SLACK_PIXELS * max(1.0, a, e)
    if not same or skew > SKEW_PIXELS or a <= 0 or e <= 0 or beyond > slack:
        raise ImageError(
            f"{other.source}: does not lie as {base.source} does, or does not cover it",
            "choose files of one scene, in one projection",
        )
    return Origin(other.source, number, (a, c), (e, f), other.overviews)


def _matrix(place: Georeference) -> NDArray[np.float64]:
    return np.array([*place.transform, 0, 0, 1], np.float64).reshape(3, 3)


def _pixel_size(scene: Scene, scenes: dict[str, Scene]) -> float:
    if any(one.place is None for one in scenes.values()):
        return -float(scene.width) * scene.height
    assert scene.place is not None  # noqa: S101 - checked above
    a, b, _, d, e, _ = scene.place.transform
    return abs(a * e - b * d)


def _band(layer: Layer, scene: Scene, base: Scene) -> Band:
    origin = origin_of(scene, layer.number, base)
    own = scene.bands[layer.number - 1]
    if (own.scale, own.offset) == (1.0, 0.0) and (layer.scale or layer.offset):
        own = replace(own, scale=layer.scale or 1.0, offset=layer.offset or 0.0)
    if layer.name and (not own.name or scene is not base or len(scene.bands) == 1):
        own = replace(own, name=layer.name)
    return own if scene is base else replace(own, origin=origin)


@contextmanager
def opened_scene(
    scene: Scene, *, overview: int | None = None, beside: Sequence[Origin] = ()
) -> Iterator[Any]:
    """Open the files of a scene for reading on this thread.

    Args:
        scene: its header.
        overview: level of an overview of its own file, in place of the full resolution.
        beside: bands of further files that will be read with :meth:`Stack.band`.

    Yields:
        A ``rasterio.DatasetReader`` if the scene is one file, else a :class:`Stack`.

    Raises:
        ImageError: if one cannot be opened or read.
        MissingExtraError: if the extra ``geo`` is not installed.
    """
    origins = [*(band.origin for band in scene.bands if band.origin is not None), *beside]
    factor = 1 if overview is None else scene.overviews[overview]
    with ExitStack() as stack:
        base = stack.enter_context(opened(scene.source, overview=overview))
        if not origins:
            yield base
            return
        others = {}
        for origin in origins:
            if origin.source not in others:
                level = _level(origin, factor)
                others[origin.source] = _Other(
                    stack.enter_context(opened(origin.source, overview=level)),
                    1 if level is None else origin.overviews[level],
                )
        yield Stack(base, scene, factor, others)


def _level(origin: Origin, factor: float) -> int | None:
    """The coarsest overview there that is still as fine as the scene is read."""
    finest = min(origin.across[0], origin.down[0])
    fit = [n for n, step in enumerate(origin.overviews) if step <= factor * finest * 1.01]
    return fit[-1] if fit else None


class Stack:
    """Files that are read as one, as far as reading a scene needs it.

    Coarser bands are brought to the scene's grid by the nearest pixel: a window shows the same
    whatever else is read with it.
    """

    def __init__(self, base: Any, scene: Scene, factor: float, others: dict[str, _Other]) -> None:
        self._base = base
        self._scene = scene
        self._factor = factor
        self._others = others
        self.width: int = base.width
        self.height: int = base.height
        self.block_shapes: list[tuple[int, int]] = base.block_shapes

    def read(self, indexes: Sequence[int], *, window: Any, out: NDArray[Any]) -> None:
        """Read bands of the scene, as ``DatasetReader.read`` does."""
        place = 0
        for origin, group in groupby(self._scene.bands[n - 1] for n in indexes):
            bands = list(group)
            target = out[place : place + len(bands)]
            place += len(bands)
            if origin.origin is None:
                self._base.read([band.number for band in bands], window=window, out=target)
            else:
                for row in range(len(bands)):
                    target[row] = self.band(origin.origin, window, target.shape[1:])

    def read_masks(self, number: int, **options: Any) -> Any:
        """The mask of the scene's own file."""
        return self._base.read_masks(number, **options)

    def band(self, origin: Origin, window: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """Pixels of a band beside the scene, ``shape`` of them over a window of it."""
        other = self._others[origin.source]
        rows = self._positions(window.row_off, window.height, shape[0], origin.down, other, 0)
        columns = self._positions(window.col_off, window.width, shape[1], origin.across, other, 1)
        part = other.part(origin.number, rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
        return np.asarray(part[(rows - rows[0])[:, None], columns - columns[0]])

    def _positions(
        self,
        start: float,
        length: float,
        count: int,
        way: tuple[float, float],
        other: _Other,
        axis: int,
    ) -> NDArray[np.int64]:
        """Rows or columns there that hold the middles of those here, ascending."""
        here = (start + (np.arange(count) + 0.5) * (length / count)) * self._factor
        there = np.floor((here * way[0] + way[1]) / other.factor).astype(np.int64)
        most = (other.dataset.height, other.dataset.width)[axis] - 1
        return np.asarray(np.clip(there, 0, most))


class _Other:
    """An open file beside the scene, of which whole rows of blocks are held until they are done.

    Its blocks seldom end where those of the scene do: without this, each would be decoded with the
    rows above and again with the rows below.
    """

    def __init__(self, dataset: Any, factor: float) -> None:
        self.dataset = dataset
        self.factor = factor
        self._held: dict[int, tuple[int, int, NDArray[Any]]] = {}

    def part(self, number: int, top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        """Pixels ``(bottom − top, right − left)`` of a band."""
        from rasterio.windows import Window

        rows, columns = self.dataset.block_shapes[number - 1]
        first = int(top) // rows * rows
        last = min(-(-int(bottom) // rows) * rows, self.dataset.height)
        west = int(left) // columns * columns
        east = min(-(-int(right) // columns) * columns, self.dataset.width)
        start, parts = first, []
        if number in self._held:
            held_top, held_left, held = self._held[number]
            held_bottom, held_right = held_top + held.shape[0], held_left + held.shape[1]
            if held_top <= first < held_bottom and (held_left, held_right) == (west, east):
                parts.append(held[first - held_top :])
                start = held_bottom
        if start < last:
            window = Window(west, start, east - west, last - start)
            parts.append(self.dataset.read(number, window=window))
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._held[number] = first, west, pixels
        return pixels[top - first : bottom - first, left - west : right - west]


def is_remote_scene(scene: Scene) -> bool:
    """Whether any of a scene's files is an address."""
    origins = [band.origin.source for band in scene.bands if band.origin is not None]
    return any(is_remote(source) for source in (scene.source, *origins))
