"""Land uses by the water: beach, harbour, river."""

from __future__ import annotations

import math

import numpy as np
from PIL import ImageChops

from terrahash.datasets.scenes.canvas import Canvas, Point, beside, box, curve
from terrahash.datasets.scenes.palette import WHITE, shade, vary
from terrahash.datasets.scenes.surroundings import natural_ground
from terrahash.datasets.scenes.things import (
    boat,
    containers,
    ground,
    house,
    road,
    roof_colour,
    shed,
    ship,
    tree,
    trees,
)


def beach(canvas: Canvas) -> None:
    """Sea, surf and strand, with umbrellas, a promenade or trees behind."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    shore = curve(rng, r, 7, rng.uniform(-0.25, 0.25) * canvas.extent)
    width = rng.uniform(12, 34)
    sea = canvas.mask([*shore, (r, 2 * r), (-r, 2 * r)])
    back = beside(shore, -width)
    strand = canvas.mask([*back, *reversed(shore)])
    canvas.see_area("sand", strand)
    canvas.see_area("water", sea)
    canvas.paint(canvas.texture(c.sand, shade(c.sand, 0.9), 18), strand)
    canvas.paint(canvas.texture(c.water, shade(c.water, 0.85), 50), sea)
    for step in range(9):
        mixed = tuple(int(a + (b - a) * step / 9) for a, b in zip(c.shallow, c.water, strict=True))
        canvas.line(beside(shore, 1 + step * 2.2), 5, (mixed[0], mixed[1], mixed[2]))
    canvas.line(shore, 3, shade(c.sand, 0.8))
    for _ in range(int(rng.integers(1, 4))):
        surf(canvas, beside(shore, rng.uniform(1.5, 14)))
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(8, 40))):
            x, y = back[int(rng.integers(0, len(back)))]
            canvas.disc(
                x + rng.normal(0, 4),
                y + rng.uniform(2, width * 0.8),
                1.1,
                vary(rng, ((214, 84, 62), (66, 110, 178), WHITE)[rng.integers(3)], 12),
            )
    if rng.random() < 0.5:
        road(canvas, beside(back, -rng.uniform(8, 14)), 6, traffic=2)
    for x, y in beside(back, -rng.uniform(4, 7)):
        if rng.random() < 0.5:
            tree(canvas, x, y - rng.uniform(0, 12), rng.uniform(1.8, 3.8))
    if rng.random() < 0.4:
        for x, y in beside(back, -22)[::4]:
            house(canvas, x, y, rng.uniform(9, 16), rng.uniform(8, 12), colour=roof_colour(canvas))


def surf(canvas: Canvas, crest: list[Point]) -> None:
    """A breaking wave along a line: flecks of foam that come and go."""
    rng = canvas.rng
    line = np.array(crest)
    strength, breadth = rng.uniform(0.3, 1), rng.uniform(0.35, 0.9)
    phase, waves = rng.uniform(0, 2 * np.pi), rng.uniform(1, 4)
    for part in np.linspace(0, 1, 420):
        swell = strength * np.sin(phase + waves * 2 * np.pi * part)
        if rng.random() < swell:
            at = part * (len(line) - 1)
            low = min(int(at), len(line) - 2)
            x, y = line[low] + (at - low) * (line[low + 1] - line[low]) + rng.normal(0, 0.5, 2)
            canvas.disc(x, y, breadth * rng.uniform(0.4, 1), vary(rng, (228, 232, 232), 6))


def harbour(canvas: Canvas) -> None:
    """A marina with its jetties, or a cargo quay with ships and containers."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.water, shade(c.water, 0.85), 50)
    quay = rng.uniform(-0.3, 0.05) * canvas.extent
    land = canvas.mask(box(0, quay - 2 * r, 4 * r, 4 * r))
    paving = vary(rng, c.concrete if rng.random() < 0.6 else c.asphalt, 6)
    canvas.paint(canvas.texture(paving, shade(paving, 0.88), 25), land)
    for x in np.arange(-r, r, 6):  # joints between the slabs
        canvas.line([(x, quay), (x, quay - 2 * r)], 0.25, shade(paving, 0.86))
    for y in np.arange(quay - 6, quay - 2 * r, -6):
        canvas.line([(-r, y), (r, y)], 0.25, shade(paving, 0.86))
    canvas.see_area("pavement", land)
    canvas.see_area("water", ImageChops.invert(land))
    canvas.line([(-r, quay), (r, quay)], 1.6, shade(c.concrete, 1.12))
    if rng.random() < 0.62:
        length = rng.uniform(9, 15)
        pitch = rng.uniform(2.9, 3.4) * length
        for x in np.arange(-r + rng.uniform(0, pitch), r, pitch):
            end = quay + rng.uniform(0.5, 0.9) * canvas.extent
            wood = vary(rng, (172, 156, 132), 8)
            canvas.line([(x, quay), (x, end)], 2.2, wood)
            for y in np.arange(quay + 4, end, length * 0.36):
                for side in (-1, 1):
                    if rng.random() < 0.8:
                        boat(
                            canvas,
                            x + side * (1.6 + length / 2),
                            y,
                            length * rng.uniform(0.8, 1.05),
                            0 if side > 0 else math.pi,
                        )
    else:
        for x in np.arange(-r + rng.uniform(0, 60), r, rng.uniform(85, 110)):
            if rng.random() < 0.8:
                ship(
                    canvas, x, quay + 11, rng.uniform(55, 80), 0 if rng.random() < 0.5 else math.pi
                )
        for _ in range(int(rng.integers(0, 4))):
            boat(canvas, rng.uniform(-50, 50), quay + rng.uniform(35, 80), 14, rng.uniform(0, 6))
        containers(canvas, rng.uniform(-30, 30), quay - 22, 6, 8, 0)
    back = quay - rng.uniform(45, 60)
    for x in np.arange(-r, r, rng.uniform(35, 50)):
        if rng.random() < 0.6:
            shed(canvas, x, back, rng.uniform(22, 34), rng.uniform(15, 22))
    road(canvas, [(-r, quay - 8), (r, quay - 8)], 6, marks="none", traffic=3)


def river(canvas: Canvas) -> None:
    """A winding river between its banks, some with a bridge or houses."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    axis = curve(rng, r, rng.uniform(8, 22), rng.uniform(-15, 15))
    width = rng.uniform(14, 40)
    canvas.line(
        axis, width + rng.uniform(3, 9), vary(rng, c.sand if rng.random() < 0.5 else c.soil, 6)
    )
    bed = canvas.band(axis, width)
    canvas.see_area("water", bed)
    canvas.paint(
        canvas.texture(c.water, c.shallow if rng.random() < 0.5 else shade(c.water, 0.85), 40), bed
    )
    if rng.random() < 0.35:
        x = rng.uniform(-30, 30)
        over = [(x - 15, -r), (x + 15, r)]
        road(canvas, over, 7, traffic=2)
    if rng.random() < 0.3:
        boat(canvas, *axis[int(rng.integers(8, 20))], 12, rng.uniform(0, 6))
    wooded = rng.uniform(0.1, 0.9)
    for side in (-1, 1):
        for x, y in beside(axis, side * (width / 2 + 5)):
            for _ in range(3):
                if rng.random() < wooded:
                    tree(
                        canvas,
                        x + rng.normal(0, 3),
                        y + side * abs(rng.normal(0, 4)),
                        rng.uniform(1.8, 4),
                    )
    if rng.random() < 0.35:
        for x in np.arange(-r, r, 18):
            house(canvas, x, -width - 30, 12, 9, colour=roof_colour(canvas))
    trees(canvas, int(rng.integers(0, 50)), apart_from=axis, clear=width / 2 + 4)
