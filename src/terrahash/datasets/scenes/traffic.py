"""Land uses of traffic: freeway, intersection, parking lot, roundabout, runway."""

from __future__ import annotations

import math

import numpy as np

from terrahash.datasets.scenes.canvas import Canvas, beside, curve
from terrahash.datasets.scenes.palette import WHITE, shade, vary
from terrahash.datasets.scenes.surroundings import around, natural_ground
from terrahash.datasets.scenes.things import (
    aircraft,
    car,
    ground,
    house,
    road,
    roof_colour,
    shed,
    tree,
    trees,
)


def freeway(canvas: Canvas) -> None:
    """Two carriageways with lanes and traffic, some with ramps, side roads or a bridge."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    axis = curve(rng, r, rng.uniform(0, 8), rng.uniform(-25, 25))
    lanes = int(rng.integers(2, 5))
    width, median = lanes * 3.7 + 2, rng.uniform(2, 10)
    if rng.random() < 0.5:
        for side in (-1, 1):
            line = beside(axis, side * (width + median / 2 + rng.uniform(10, 20)))
            road(canvas, line, 6, marks="middle", traffic=1)
    for side in (-1, 1):
        road(
            canvas,
            beside(axis, side * (width + median) / 2),
            width,
            marks="lanes",
            traffic=rng.uniform(3, 9),
        )
    if rng.random() < 0.4:
        x = rng.uniform(-40, 40)
        over = [(x - 20, -r), (x, 0), (x + 20, r)]
        deck = [*beside(over, 5), *reversed(beside(over, -5))]

        def bridge() -> None:
            canvas.line(over, 10, c.concrete)
            canvas.line(over, 8, c.asphalt)
            canvas.dashes(over, 0.35, WHITE, dash=3, gap=4)

        canvas.raise_up(deck, 7, bridge)
    elif rng.random() < 0.4:
        ramp = curve(rng, r, 30, rng.uniform(-40, 40))
        road(canvas, ramp, 6, marks="none", traffic=1)
    trees(canvas, int(rng.integers(5, 60)), apart_from=axis, clear=width + median + 3)
    if rng.random() < 0.4:
        for x in np.arange(-r, r, 17):
            house(canvas, x, -width - median - 32, 12, 9, colour=roof_colour(canvas))


def intersection(canvas: Canvas) -> None:
    """Two roads that cross or meet, with zebra crossings."""
    rng, r = canvas.rng, canvas.reach
    natural_ground(canvas)
    x, y = rng.uniform(-14, 14, 2)
    widths = rng.choice([7.5, 11, 15], 2)
    skew = rng.normal(0, 0.15)
    across = [
        (x + 2 * r * part * math.sin(skew), y + 2 * r * part * math.cos(skew))
        for part in np.linspace(-1, 1, 14)
    ]
    if rng.random() < 0.3:
        across = across[7:]
    marks = "lanes" if max(widths) > 8 else "middle"
    road(canvas, across, widths[1], marks=marks, traffic=3, pavement=True)
    road(
        canvas,
        [(x + 2 * r * part, y) for part in np.linspace(-1, 1, 14)],
        widths[0],
        marks=marks,
        traffic=3,
        pavement=True,
    )
    canvas.rectangle(x, y, widths[1] + 2, widths[0] + 0.5, vary(rng, canvas.colours.asphalt, 2))
    for side in (-1, 1):
        for step in np.arange(-widths[0] / 2 + 0.6, widths[0] / 2, 1.6):
            canvas.rectangle(x + side * (widths[1] / 2 + 4), y + step, 3, 0.7, WHITE)
        for step in np.arange(-widths[1] / 2 + 0.6, widths[1] / 2, 1.6):
            canvas.rectangle(x + step, y + side * (widths[0] / 2 + 4), 0.7, 3, WHITE)
    around(canvas, (x, y), 16, [(x + 2 * r, y), (x - 2 * r, y), across[0], across[-1]])


def parking_lot(canvas: Canvas) -> None:
    """Rows of bays, more or less full, some with islands of trees."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.asphalt, shade(c.asphalt, 1.1), 40)
    canvas.see("pavement", (0.0, 0.0))
    row_pitch, filled = rng.uniform(16, 18.5), rng.uniform(0.25, 0.95)
    islands = rng.random() < 0.6
    top, bottom = rng.uniform(0.3, 0.75) * r, -r
    for y in np.arange(bottom, top, row_pitch):
        canvas.line([(-r, y), (r, y)], 0.3, WHITE)
        for x in np.arange(-r, r, 2.6):
            canvas.line([(x, y - 5), (x, y + 5)], 0.25, WHITE)
            for side in (-2.6, 2.6):
                if rng.random() < filled:
                    car(
                        canvas,
                        x + 1.3 + rng.normal(0, 0.1),
                        y + side + rng.normal(0, 0.3),
                        math.pi / 2,
                    )
        if islands:
            for x in np.arange(-r + rng.uniform(0, 40), r, rng.uniform(30, 45)):
                canvas.rectangle(x, y, 3, 10.4, vary(rng, c.grass, 6))
                tree(canvas, x, y + 2.6, rng.uniform(1.6, 2.6))
                tree(canvas, x, y - 2.6, rng.uniform(1.6, 2.6))
    edge = top + 4
    if rng.random() < 0.5:
        canvas.rectangle(0, edge + 12, 2 * r, 18, vary(rng, c.concrete, 6))
        for x in np.arange(-r, r, 62):
            shed(canvas, x, edge + 36, rng.uniform(40, 58), 36)
    else:
        canvas.rectangle(0, edge + 60, 2 * r, 118, vary(rng, c.grass, 6))
        road(canvas, [(-r, edge + 14), (r, edge + 14)], 9, marks="middle", traffic=4, pavement=True)


def roundabout(canvas: Canvas) -> None:
    """A ring with three to five arms around a green island."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    x, y = rng.uniform(-14, 14, 2)
    radius, lane = rng.uniform(13, 27), rng.uniform(6, 10)
    arms = int(rng.integers(3, 6))
    first = rng.uniform(0, 6.3)
    ends = []
    for arm in range(arms):
        angle = first + 2 * math.pi * arm / arms + rng.normal(0, 0.12)
        ends.append((x + 2 * r * math.cos(angle), y + 2 * r * math.sin(angle)))
        points = [
            (x + (ends[-1][0] - x) * part, y + (ends[-1][1] - y) * part)
            for part in np.linspace(0.12, 1, 12)
        ]
        road(canvas, points, 7.5, marks="middle", traffic=1.5, pavement=rng.random() < 0.5)
    surface = vary(rng, c.asphalt, 3)
    canvas.see("pavement", (x, y))
    canvas.disc(x, y, radius + lane + 1.2, vary(rng, c.concrete, 5))
    canvas.disc(x, y, radius + lane, surface)
    canvas.disc(x, y, radius, vary(rng, c.concrete, 5))
    canvas.disc(x, y, radius - 1.2, vary(rng, c.grass, 6))
    for _ in range(int(rng.integers(2, 9))):
        angle = rng.uniform(0, 2 * math.pi)
        car(
            canvas,
            x + (radius + lane / 2) * math.cos(angle),
            y + (radius + lane / 2) * math.sin(angle),
            angle + math.pi / 2,
        )
    for _ in range(int(rng.integers(0, 9))):
        angle, far = rng.uniform(0, 2 * math.pi), rng.uniform(0, radius - 4)
        tree(canvas, x + far * math.cos(angle), y + far * math.sin(angle), rng.uniform(1.6, 3))
    around(canvas, (x, y), radius + lane + 10, ends)


def runway(canvas: Canvas) -> None:
    """A runway with its markings and skid marks, a taxiway, some with aircraft."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.grass, c.meadow if rng.random() < 0.6 else c.soil, 60)
    y, width = rng.uniform(-20, 20), rng.uniform(24, 38)
    surface = vary(rng, c.asphalt if rng.random() < 0.6 else c.concrete, 6)
    canvas.see("pavement", (0.0, y))
    canvas.rectangle(0, y, 4 * r, width + 8, shade(surface, 0.88))
    canvas.rectangle(0, y, 4 * r, width, surface)
    canvas.dashes([(-r, y), (r, y)], 0.9, WHITE, dash=14, gap=10)
    for side in (-1, 1):
        canvas.line([(-r, y + side * (width / 2 - 1)), (r, y + side * (width / 2 - 1))], 0.7, WHITE)
    for _ in range(int(rng.integers(0, 5))):
        x = rng.uniform(-r, r)
        canvas.line(
            [(x, y + rng.uniform(-3, 3)), (x + rng.uniform(20, 60), y + rng.uniform(-3, 3))],
            rng.uniform(1, 3),
            shade(surface, 0.8),
        )
    if rng.random() < 0.55:
        x = rng.uniform(-45, 20)
        for step in np.linspace(-width / 2 + 3, width / 2 - 3, 10):
            canvas.rectangle(x, y + step, 16, 1.2, WHITE)
    side = rng.choice([-1, 1])
    taxi = y + side * rng.uniform(48, 62)
    yellow = (206, 172, 62)
    canvas.line([(-r, taxi), (r, taxi)], 15, shade(surface, 0.96))
    canvas.line([(-r, taxi), (r, taxi)], 0.5, yellow)
    if rng.random() < 0.6:
        x = rng.uniform(-40, 40)
        link = [(x, y + side * width / 2), (x + rng.uniform(-35, 35), taxi)]
        canvas.line(link, 13, shade(surface, 0.96))
        canvas.line(link, 0.5, yellow)
    if rng.random() < 0.45:
        aircraft(
            canvas,
            rng.uniform(-40, 40),
            y if rng.random() < 0.5 else taxi,
            rng.uniform(22, 36),
            0 if rng.random() < 0.5 else math.pi,
        )
