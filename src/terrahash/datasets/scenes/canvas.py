"""What tiles are drawn on: a turned frame in metres, textured ground, shadows, and the camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from terrahash.datasets.scenes.palette import RGB, Palette, draw_palette

OVERSAMPLING = 2  # drawn this many times larger and averaged down: smooth edges
VISIBLE_MARGIN = 0.02  # of the tile's width: what only grazes the edge is not seen
VISIBLE_AREA = 0.03
ENOUGH = {"trees": 4, "cars": 2}  # stray ones do not characterise a tile
Point = tuple[float, float]


class Canvas:
    """A tile being drawn.

    Coordinates are metres from the middle of the tile in a frame turned by a random angle; the
    tile reaches ``reach`` metres from the middle into its corners, whatever the angle. Flat
    things are drawn at once; things that stand up (:meth:`raise_up`) are kept until
    :meth:`finish`, which lays their shadows on the ground first.

    Args:
        rng: the source of all chance in the tile.
        size: width and height of the finished tile in pixels.
        extent: metres from edge to edge.
    """

    def __init__(self, rng: np.random.Generator, size: int, extent: float) -> None:
        self.rng = rng
        self.size = size
        self.pixels = size * OVERSAMPLING
        self.extent = extent
        self.reach = extent * 0.75
        self.colours: Palette = draw_palette(rng)
        self._scale = self.pixels / extent
        angle = rng.uniform(0, 2 * np.pi)
        self._cos, self._sin = float(np.cos(angle)), float(np.sin(angle))
        self.image = Image.new("RGB", (self.pixels, self.pixels), self.colours.grass)
        self.draw = ImageDraw.Draw(self.image)
        self._shadow = Image.new("L", self.image.size, 0)
        self._shadow_draw = ImageDraw.Draw(self._shadow)
        sun, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.0)
        self.sun: Point = (float(np.cos(sun)), float(np.sin(sun)))  # towards the shadow, pixels
        self._shadow_length = length
        self._shadow_depth = rng.uniform(0.42, 0.68)
        self._standing: list[Callable[[], None]] = []
        self._seen: Counter[str] = Counter()

    def see(self, kind: str, *points: Point) -> None:
        """Note that something of a kind is in the tile, if one of its points is well inside."""
        margin = VISIBLE_MARGIN * self.pixels
        if any(margin < min(at) and max(at) < self.pixels - margin for at in self.place(points)):
            self._seen[kind] += 1

    def see_area(self, kind: str, mask: Image.Image) -> None:
        """Note a surface, if it takes a visible part of the tile."""
        if np.asarray(mask).mean() > 255 * VISIBLE_AREA:
            self._seen[kind] += 1

    @property
    def contents(self) -> list[str]:
        """The kinds of things that can be seen, in alphabetical order."""
        return sorted(kind for kind, count in self._seen.items() if count >= ENOUGH.get(kind, 1))

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Pixels of points in metres."""
        middle, scale = self.pixels / 2, self._scale
        return [
            (
                middle + scale * (self._cos * x - self._sin * y),
                middle + scale * (self._sin * x + self._cos * y),
            )
            for x, y in points
        ]

    def metres(self, length: float) -> float:
        """Pixels of a length in metres."""
        return length * self._scale

    def noise(self, grain: float, octaves: int = 3) -> NDArray[np.float32]:
        """Smooth noise in 0…1, ``(pixels, pixels)``; ``grain`` is its coarsest wave in metres."""
        total = np.zeros((self.pixels, self.pixels), np.float32)
        weight, sum_of_weights = 1.0, 0.0
        for octave in range(octaves):
            cells = int(np.clip(self.extent / grain * 2**octave, 1, self.pixels / 2)) + 3
            field = Image.fromarray(self.rng.random((cells, cells), dtype=np.float32))
            offset = self.rng.random(2)
            box = (offset[0], offset[1], cells - 2 + offset[0], cells - 2 + offset[1])
            total += weight * np.asarray(
                field.resize(self.image.size, Image.Resampling.BICUBIC, box=box)
            )
            sum_of_weights += weight
            weight *= 0.55
        spread: NDArray[np.float32] = (total / sum_of_weights - 0.5) * 1.6 + 0.5
        return np.clip(spread, 0, 1)

    def texture(self, first: RGB, second: RGB, grain: float, octaves: int = 3) -> Image.Image:
        """A field of colour that wanders between two colours."""
        mix = self.noise(grain, octaves)
        return self.blend(first, second, mix)

    def blend(self, first: RGB, second: RGB, mix: NDArray[np.float32]) -> Image.Image:
        """Two colours mixed pixel by pixel: 0 is the first, 1 the second."""
        low, high = (Image.new("RGB", self.image.size, colour) for colour in (first, second))
        return Image.composite(high, low, Image.fromarray((mix * 255).astype(np.uint8)))

    def paint(self, field: Image.Image, mask: Image.Image | None = None) -> None:
        """Lay a field of colour over the tile, or over the part of a mask."""
        self.image.paste(field, (0, 0), mask)

    def mottle(self, grain: float, strength: float) -> None:
        """Roughen what is painted so far: lighter and darker in spots of ``grain`` metres."""
        spots = np.asarray(self.noise(grain, 2))
        light = (1 - strength + 2 * strength * spots) * 128
        field = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
        bright = self.image.point([min(255, 2 * value) for value in range(256)] * 3)
        self.image.paste(ImageChops.multiply(bright, Image.merge("RGB", [field] * 3)))

    def mask(self, *polygons: Sequence[Point]) -> Image.Image:
        """A mask of polygons in metres."""
        out = Image.new("L", self.image.size, 0)
        draw = ImageDraw.Draw(out)
        for polygon in polygons:
            draw.polygon(self.place(polygon), fill=255)
        return out

    def polygon(self, points: Sequence[Point], colour: RGB) -> None:
        """A flat polygon."""
        self.draw.polygon(self.place(points), fill=colour)

    def rectangle(self, x: float, y: float, width: float, height: float, colour: RGB) -> None:
        """A flat rectangle around ``(x, y)``, along the frame."""
        self.polygon(box(x, y, width, height), colour)

    def line(self, points: Sequence[Point], width: float, colour: RGB) -> None:
        """A flat line with round joints, ``width`` in metres."""
        pixels = self.metres(width)
        placed = self.place(points)
        self.draw.line(placed, fill=colour, width=max(1, round(pixels)), joint="curve")

    def dashes(
        self, points: Sequence[Point], width: float, colour: RGB, *, dash: float, gap: float
    ) -> None:
        """A dashed line, lengths in metres."""
        position, edge, pen = 0.0, dash, True
        for (x0, y0), (x1, y1) in pairwise(points):
            length = float(np.hypot(x1 - x0, y1 - y0))
            start = 0.0
            while start < length:
                stop = min(length, start + edge - position)
                if pen:
                    ends = [
                        (x0 + (x1 - x0) * part / length, y0 + (y1 - y0) * part / length)
                        for part in (start, stop)
                    ]
                    self.line(ends, width, colour)
                position += stop - start
                start = stop
                if position >= edge - 1e-9:
                    pen = not pen
                    position, edge = 0.0, dash if pen else gap

    def band(self, points: Sequence[Point], width: float) -> Image.Image:
        """A mask of a line ``width`` metres wide."""
        out = Image.new("L", self.image.size, 0)
        pixels = max(1, round(self.metres(width)))
        ImageDraw.Draw(out).line(self.place(points), fill=255, width=pixels, joint="curve")
        return out

    def disc(self, x: float, y: float, radius: float, colour: RGB) -> None:
        """A flat disc."""
        self.draw.ellipse(self._round(x, y, radius), fill=colour)

    def ring(self, x: float, y: float, radius: float, width: float, colour: RGB) -> None:
        """A flat ring whose outer edge is at ``radius``."""
        pixels = max(1, round(self.metres(width)))
        self.draw.ellipse(self._round(x, y, radius), outline=colour, width=pixels)

    def raise_up(self, outline: Sequence[Point], height: float, top: Callable[[], None]) -> None:
        """Something that stands up: its shadow is cast now, its top drawn when all have one."""
        placed = self.place(outline)
        dx, dy = self._cast(height)
        steps = max(1, round(float(np.hypot(dx, dy)) / 3))
        for step in range(1, steps + 1):
            part = step / steps
            self._shadow_draw.polygon([(x + dx * part, y + dy * part) for x, y in placed], fill=255)
        self._standing.append(top)

    def raise_disc(
        self, x: float, y: float, radius: float, height: float, top: Callable[[], None]
    ) -> None:
        """A round thing that stands up."""
        left, upper, right, lower = self._round(x, y, radius)
        dx, dy = self._cast(height)
        steps = max(1, round(float(np.hypot(dx, dy)) / 3))
        for step in range(1, steps + 1):
            across, down = dx * step / steps, dy * step / steps
            self._shadow_draw.ellipse(
                (left + across, upper + down, right + across, lower + down), fill=255
            )
        self._standing.append(top)

    def finish(self) -> Image.Image:
        """The tile as the camera sees it, ``size × size`` RGB."""
        self._settle()
        return self._photograph(self.image.resize((self.size, self.size), Image.Resampling.BOX))

    def _settle(self) -> None:
        soft = self._shadow.filter(ImageFilter.GaussianBlur(0.8))
        depth = soft.point([round(value * self._shadow_depth) for value in range(256)])
        dark = ImageChops.multiply(self.image, Image.new("RGB", self.image.size, (84, 92, 120)))
        self.image.paste(dark, (0, 0), depth)
        for top in self._standing:
            top()

    def _photograph(self, image: Image.Image) -> Image.Image:
        """Grain of surfaces, uneven light, haze, tone, blur and sensor noise."""
        rng = self.rng
        if rng.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.65)))
        pixels = np.asarray(image, np.float32)
        shape = pixels.shape[:2]
        grain = 1 + rng.uniform(0.015, 0.05) * rng.standard_normal(shape, dtype=np.float32)
        across = np.linspace(-1, 1, self.size, dtype=np.float32)
        slope = rng.normal(0, 0.05, 2)
        light = 1 + slope[0] * across[:, None] + slope[1] * across[None, :]
        pixels = pixels * (grain * light)[..., None]
        haze = rng.uniform(0, 0.16)
        pixels = pixels * (1 - haze) + haze * np.array([178, 186, 198], np.float32)
        gain = rng.uniform(0.84, 1.16) * rng.normal(1, 0.03, 3)
        contrast = rng.uniform(0.9, 1.15)
        pixels = (pixels * gain - 120) * contrast + 120
        pixels += rng.normal(0, rng.uniform(0.5, 3), pixels.shape)
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    def _cast(self, height: float) -> Point:
        length = self.metres(height) * self._shadow_length
        return self.sun[0] * length, self.sun[1] * length

    def _round(self, x: float, y: float, radius: float) -> tuple[float, float, float, float]:
        (middle_x, middle_y), pixels = self.place([(x, y)])[0], self.metres(radius)
        return middle_x - pixels, middle_y - pixels, middle_x + pixels, middle_y + pixels


def box(x: float, y: float, width: float, height: float, turn: float = 0.0) -> list[Point]:
    """Corners of a rectangle around ``(x, y)``, turned by ``turn`` radians."""
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    corners = [(-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2)]
    corners.append((-width / 2, height / 2))
    return [(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in corners]


def curve(rng: np.random.Generator, reach: float, bend: float, at: float = 0.0) -> list[Point]:
    """A line through the tile that winds by about ``bend`` metres around ``y = at``."""
    x = np.linspace(-reach, reach, 28)
    waves = sum(
        rng.normal(0, bend / (order + 1)) * np.sin(order * x / reach * 2.2 + rng.uniform(0, 6.3))
        for order in (1, 2, 3)
    )
    slope = rng.normal(0, bend / reach / 2)
    return [(float(u), float(v)) for u, v in zip(x, at + waves + slope * x, strict=True)]


def beside(points: Sequence[Point], distance: float) -> list[Point]:
    """A line parallel to another, ``distance`` to its left."""
    line = np.array(points)
    ahead = np.gradient(line, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
    moved = line + distance * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    return [(float(x), float(y)) for x, y in moved]
