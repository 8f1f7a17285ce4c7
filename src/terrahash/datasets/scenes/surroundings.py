"""What lies around: ground that no class owns, parcels, tracks, scattered houses and trees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from terrahash.datasets.scenes.canvas import Canvas, Point, box, curve
from terrahash.datasets.scenes.palette import shade, vary
from terrahash.datasets.scenes.things import ground, house, roof_colour, shed, tree


def natural_ground(canvas: Canvas) -> None:
    """Grass, meadow or bare soil; at times parcels of them, a track, shrubs."""
    rng, colours, reach = canvas.rng, canvas.colours, canvas.reach
    choices = (colours.grass, colours.meadow, colours.soil, colours.crop)
    first, second = (choices[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))] for _ in range(2))
    ground(canvas, first, vary(rng, second, 8), rng.uniform(15, 60))
    if rng.random() < 0.3:
        turn, offset = rng.uniform(0, math.pi), rng.uniform(-0.4, 0.4) * canvas.extent
        far = 2 * reach
        parcel = box(
            -math.sin(turn) * (offset + far / 2),
            math.cos(turn) * (offset + far / 2),
            2 * far,
            far,
            turn,
        )
        other = vary(rng, choices[rng.integers(4)], 8)
        canvas.paint(canvas.texture(other, shade(other, 0.9), 30), canvas.mask(parcel))
    if rng.random() < 0.25:
        track = curve(rng, reach, 10, rng.uniform(-40, 40))
        canvas.line(track, rng.uniform(1.2, 2.6), shade(vary(rng, colours.soil, 5), 1.1))
    for _ in range(int(rng.integers(0, 60))):
        x, y = rng.uniform(-reach, reach, 2)
        canvas.disc(x, y, rng.uniform(0.5, 1.3), shade(vary(rng, colours.tree, 8), 1.15))


def around(canvas: Canvas, middle: Point, clear: float, roads: Sequence[Point]) -> None:
    """Trees, houses or sheds around a place, off the roads that lead from it to ``roads``."""
    rng, reach = canvas.rng, canvas.reach
    kind = rng.integers(4)
    bearings = [math.atan2(v - middle[1], u - middle[0]) for u, v in roads]
    taken: list[Point] = []
    apart = (0, 17, 34, 17)[kind]
    for _ in range((90, 70, 40, 60)[kind]):
        x, y = rng.uniform(-reach, reach, 2)
        far = math.dist((x, y), middle)
        angle = math.atan2(y - middle[1], x - middle[0])
        off = [abs(math.remainder(angle - bearing, 2 * math.pi)) for bearing in bearings]
        nearest = int(np.argmin(off))
        room = far * math.sin(min(off[nearest], math.pi / 2))
        if far < clear or room < (9 if kind == 0 else 17 if kind != 2 else 24):
            continue
        if any(math.dist((x, y), other) < apart for other in taken):
            continue
        taken.append((x, y))
        turn = bearings[nearest]
        if kind in (1, 3) and (kind == 1 or rng.random() < 0.4):
            width, depth = rng.uniform(10, 16), rng.uniform(8, 12)
            house(canvas, x, y, width, depth, turn=turn, colour=roof_colour(canvas))
        elif kind == 2:
            shed(canvas, x, y, rng.uniform(18, 30), rng.uniform(14, 22), turn)
        else:
            tree(canvas, x, y, rng.uniform(2, 4))
