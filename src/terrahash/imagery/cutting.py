"""Reading a scene's windows: whole blocks, each once, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrahash.errors import ImageError
from terrahash.imagery.buffers import Buffers
from terrahash.imagery.clock import Clock
from terrahash.imagery.layers import is_remote_scene, opened_scene
from terrahash.imagery.rendering import Rendering, read_part, read_veil
from terrahash.imagery.resizing import resized

Box = tuple[int, int, int, int]

# Rows that are held to cut windows from. Three such sets are alive at a time: being read, waiting,
# and being encoded. Wider scenes are cut in columns.
MAX_HELD_BYTES = 192 << 20
# Past this a single window cannot be held.
MAX_WINDOW_BYTES = 1 << 30
# Files without blocks come in strips of few rows; so many are read together.
MIN_ROWS = 64

READING = "reading"


class WindowError(ImageError):
    """A window's pixels cannot be read; others of the scene may be sound."""


class BlankError(ImageError):
    """A window holds too few valid pixels to be worth a code."""


class HiddenError(ImageError):
    """Too much of a window is hidden by what a mask shows."""


def check_hidden(hidden: float | None, rendering: Rendering, name: str) -> None:
    """Check how much of a tile a mask hides.

    Raises:
        HiddenError: if it is more than asked for.
    """
    if hidden is not None and rendering.veil is not None and hidden > rendering.veil.mask.most:
        raise HiddenError(f"{name}: {hidden:.0%} of it are hidden", "")


@dataclass(frozen=True)
class _Strip:
    top: int
    pixels: NDArray[Any]
    mask: NDArray[np.bool_] | None
    veil: NDArray[np.bool_] | None
    broken: tuple[Box, ...]

    @property
    def bottom(self) -> int:
        return self.top + int(self.pixels.shape[1])


@dataclass(frozen=True)
class RawTile:
    """A window as it was read: views of the strips that it spans.

    Attributes:
        window: x, y, width, height in the scene's pixels.
        parts: ``(bands, rows, columns)`` each, from top to bottom.
        masks: ``(rows, columns) bool`` each, where the file has a mask of its own.
        broken: whether a block that it needs could not be read.
        veils: ``(rows, columns) bool`` each of what hides the ground, where that was asked for.
    """

    window: Box
    parts: tuple[NDArray[Any], ...]
    masks: tuple[NDArray[np.bool_], ...]
    broken: bool = False
    veils: tuple[NDArray[np.bool_], ...] = ()

    @property
    def hidden(self) -> float | None:
        """Share of the window that is hidden; None if that was not asked for."""
        return float(_joined(self.veils, 0).mean()) if self.veils else None

    def image(self, rendering: Rendering, shown: int, min_valid: float) -> NDArray[np.uint8]:
        """``(H, W, C) uint8``, at most ``shown`` pixels a side.

        Raises:
            WindowError: if a block that it needs could not be read.
            BlankError: if fewer than this share of its pixels are valid.
            HiddenError: if too much of it is hidden.
        """
        x, y, width, height = self.window
        name = f"{rendering.scene.source}: window {x} {y} {width} {height}"
        if self.broken:
            raise WindowError(f"{name}: its blocks are damaged", "fetch the scene again")
        check_hidden(self.hidden, rendering, name)
        mask = _joined(self.masks, 0) if self.masks else None
        image, valid = rendering.image(_joined(self.parts, 1), mask)
        if valid < min_valid or valid == 0:
            raise BlankError(f"{name}: {valid:.0%} of its pixels are valid", "")
        return shrunk(image, shown)


def _joined(parts: tuple[NDArray[Any], ...], axis: int) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


def shrunk(image: NDArray[np.uint8], shown: int) -> NDArray[np.uint8]:
    """The image with at most ``shown`` pixels a side, area-averaged."""
    height, width = image.shape[:2]
    factor = max(height, width) / shown
    if factor <= 1:
        return image
    size = max(1, round(width / factor)), max(1, round(height / factor))
    return resized(image, *size, Image.Resampling.BOX)


def level_for(rendering: Rendering, side: int, shown: int) -> int | None:
    """The overview that shows windows of ``side`` pixels with at least ``shown``, or None."""
    best: int | None = None
    for number, factor in enumerate(rendering.scene.overviews):
        if side / factor >= shown:
            best = number
    return best


def read_tiles(
    rendering: Rendering, windows: NDArray[np.integer[Any]], *, shown: int, clock: Clock
) -> Iterator[list[RawTile]]:
    """Read windows of a scene, whole blocks at a time, each block once.

    A block is read twice only where a scene is so wide that it must be cut in columns, and
    windows then straddle the cut.

    Args:
        rendering: which bands.
        windows: ``(N, 4)`` x, y, width, height, any of a grid's.
        shown: pixels a side that a tile is shown with; if an overview suffices, it is read.
        clock: counts the reading.

    Yields:
        Tiles of one row of windows at a time, top down within each group of columns.

    Raises:
        ImageError: if the scene cannot be opened, or a remote one fails.
    """
    scene = rendering.scene
    level = level_for(rendering, int(windows[:, 2:].max()), shown)
    buffers = Buffers()
    beside = () if rendering.veil is None else (rendering.veil.origin,)
    with opened_scene(scene, overview=level, beside=beside) as dataset:
        scale = np.array([dataset.width / scene.width, dataset.height / scene.height])
        if (dataset.width, dataset.height) != (scene.width, scene.height) and level is None:
            raise ImageError(f"{scene.source}: changed while it was read", "index it again")
        near = np.rint(windows[:, :2] * scale).astype(np.int64)
        far = np.maximum(np.rint((windows[:, :2] + windows[:, 2:]) * scale).astype(int), near + 1)
        boxes = np.concatenate([near, far], axis=1)
        for chosen in _groups(dataset, rendering, boxes):
            yield from _read_group(
                dataset, rendering, windows[chosen], boxes[chosen], clock, buffers
            )


def _groups(
    dataset: Any, rendering: Rendering, boxes: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Windows in groups of columns, narrow enough that their rows can be held."""
    block_rows, block_columns = dataset.block_shapes[0]
    bytes_a_pixel = len(rendering.indexes) * rendering.scene.dtype.itemsize
    rows = int((boxes[:, 3] - boxes[:, 1]).max()) + max(block_rows, MIN_ROWS)
    widest = int((boxes[:, 2] - boxes[:, 0]).max()) + 2 * block_columns
    if rows * widest * bytes_a_pixel > MAX_WINDOW_BYTES:
        raise ImageError(
            f"{rendering.scene.source}: windows of {widest} × {rows} pixels cannot be held",
            "build overviews into it, or choose smaller tiles",
        )
    most = max(widest, MAX_HELD_BYTES // (rows * bytes_a_pixel))
    order = np.lexsort((boxes[:, 0], boxes[:, 1]))
    starts = np.unique(boxes[:, 0])
    edges, limit = [], -1
    for start in starts.tolist():
        if start >= limit:
            edges.append(start)
            limit = start // block_columns * block_columns + most - (widest - 2 * block_columns)
    group = np.searchsorted(edges, boxes[order, 0], side="right")
    return [order[group == number] for number in range(1, len(edges) + 1)]


def _read_group(
    dataset: Any,
    rendering: Rendering,
    windows: NDArray[np.integer[Any]],
    boxes: NDArray[np.int64],
    clock: Clock,
    buffers: Buffers,
) -> Iterator[list[RawTile]]:
    block_rows, block_columns = dataset.block_shapes[0]
    step = block_rows * max(1, -(-MIN_ROWS // block_rows)) if block_rows < MIN_ROWS else block_rows
    left = int(boxes[:, 0].min()) // block_columns * block_columns
    right = min(-(-int(boxes[:, 2].max()) // block_columns) * block_columns, dataset.width)
    held: list[_Strip] = []
    for top, numbers in groupby(range(len(boxes)), key=lambda n: int(boxes[n, 1])):
        row = list(numbers)
        bottom = int(boxes[row, 3].max())
        held = [strip for strip in held if strip.bottom > top]
        while not held or held[-1].bottom < bottom:
            start = max(held[-1].bottom if held else 0, top // block_rows * block_rows)
            stop = min(start + step, -(-bottom // block_rows) * block_rows, dataset.height)
            with clock.of(READING):
                held.append(_read_strip(dataset, rendering, (left, start, right, stop), buffers))
        yield [_tile(windows[n], boxes[n], held, left) for n in row]


def _read_strip(dataset: Any, rendering: Rendering, box: Box, buffers: Buffers) -> _Strip:
    left, top, right, bottom = box
    try:
        part = left, top, right - left, bottom - top
        pixels, mask = read_part(dataset, rendering, part, None, buffers)
        return _Strip(top, pixels, mask, read_veil(dataset, rendering, part), ())
    except OSError:
        if is_remote_scene(rendering.scene):
            raise
    return _salvaged(dataset, rendering, box)


def _salvaged(dataset: Any, rendering: Rendering, box: Box) -> _Strip:
    """A strip read block by block, with the broken ones noted."""
    left, top, right, bottom = box
    rows, columns = dataset.block_shapes[0]
    shape = (bottom - top, right - left)
    pixels = np.zeros((len(rendering.indexes), *shape), rendering.scene.dtype)
    mask = np.zeros(shape, bool) if rendering.scene.mask == "mask" else None
    veil = None if rendering.veil is None else np.zeros(shape, bool)
    broken = []
    for y in range(top, bottom, rows):
        for x in range(left, right, columns):
            width, height = min(columns, right - x), min(rows, bottom - y)
            try:
                part, part_mask = read_part(dataset, rendering, (x, y, width, height))
                part_veil = read_veil(dataset, rendering, (x, y, width, height))
            except OSError:
                broken.append((x, y, x + width, y + height))
                continue
            inside = slice(y - top, y - top + height), slice(x - left, x - left + width)
            pixels[(slice(None), *inside)] = part
            if mask is not None and part_mask is not None:
                mask[inside] = part_mask
            if veil is not None and part_veil is not None:
                veil[inside] = part_veil
    return _Strip(top, pixels, mask, veil, tuple(broken))


def _tile(
    window: NDArray[np.integer[Any]], box: NDArray[np.int64], held: list[_Strip], left: int
) -> RawTile:
    x0, y0, x1, y1 = box.tolist()
    columns = slice(x0 - left, x1 - left)
    parts, masks, veils = [], [], []
    broken = False
    for strip in held:
        rows = slice(max(y0 - strip.top, 0), max(y1 - strip.top, 0))
        part = strip.pixels[:, rows, columns]
        if not part.shape[1]:
            continue
        parts.append(part)
        if strip.mask is not None:
            masks.append(strip.mask[rows, columns])
        if strip.veil is not None:
            veils.append(strip.veil[rows, columns])
        broken |= any(a < x1 and x0 < c and b < y1 and y0 < d for a, b, c, d in strip.broken)
    x, y, width, height = (int(value) for value in window)
    return RawTile((x, y, width, height), tuple(parts), tuple(masks), broken, tuple(veils))
