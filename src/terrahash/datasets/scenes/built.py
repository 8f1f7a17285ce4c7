"""Built-up land uses: dense and sparse housing, industry, tanks."""

from __future__ import annotations

import math

import numpy as np

from terrahash.datasets.scenes.canvas import Canvas, Point, box, curve
from terrahash.datasets.scenes.palette import SHEDS, shade, vary
from terrahash.datasets.scenes.surroundings import natural_ground
from terrahash.datasets.scenes.things import (
    block,
    car,
    ground,
    house,
    lorry,
    pool,
    road,
    roof_colour,
    shed,
    tank,
    tree,
    trees,
)


def dense_residential(canvas: Canvas) -> None:
    """Streets of houses side by side."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.grass, c.concrete if rng.random() < 0.5 else c.soil, 20)
    pitch, lot = rng.uniform(30, 40), rng.uniform(10.5, 14)
    offset = rng.uniform(0, pitch)
    rows = np.arange(-r - offset, r, pitch)
    for y in rows:
        road(canvas, [(-r, y), (r, y)], 6.5, pavement=True, marks="none", traffic=3)
    for x in np.arange(-r + rng.uniform(0, 80), r, rng.uniform(70, 100)):
        road(canvas, [(x, -r), (x, r)], 6.5, pavement=True, marks="none")
    for y in rows:
        for side in (0.29, 0.71):
            for x in np.arange(-r, r, lot):
                if rng.random() < 0.06:
                    continue
                depth = rng.uniform(9, pitch * 0.36)
                house(
                    canvas,
                    x + rng.normal(0, 0.4),
                    y + side * pitch + rng.normal(0, 0.5),
                    lot - rng.uniform(1, 3.5),
                    depth,
                    colour=roof_colour(canvas),
                )
                if rng.random() < 0.4:
                    tree(
                        canvas, x + lot / 2, y + 0.5 * pitch + rng.normal(0, 2), rng.uniform(1.4, 3)
                    )
                if rng.random() < 0.35:
                    car(canvas, x + rng.uniform(-3, 3), y + (3.6 if side < 0.5 else pitch - 3.6), 0)


def industrial(canvas: Canvas) -> None:
    """Large sheds along yards and access roads."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.asphalt, c.concrete, 40)
    canvas.see("pavement", (0.0, 0.0))
    pitch = rng.uniform(48, 66)
    start = rng.uniform(0, pitch)
    for y in np.arange(-r - start, r, pitch):
        road(canvas, [(-r, y), (r, y)], 8, marks="middle", traffic=2)
        if rng.random() < 0.6:
            canvas.rectangle(0, y + 6.5, 2 * r, 4, vary(rng, c.grass, 6))
        x = -r - rng.uniform(0, 30)
        while x < r:
            width, depth = rng.uniform(26, 62), rng.uniform(22, pitch - 20)
            middle = y + pitch / 2 + rng.uniform(-3, 3)
            shed(canvas, x + width / 2, middle, width, depth)
            if rng.random() < 0.5:
                block(canvas, x + width / 2, middle - depth / 2 - 3, 9, 6, height=5)
            for spot in np.arange(x + 3, x + width - 3, 3.4):
                if rng.random() < 0.07:
                    lorry(canvas, spot, middle + depth / 2 + 8, math.pi / 2)
                elif rng.random() < 0.28:
                    car(canvas, spot, middle - depth / 2 - 4, math.pi / 2)
            x += width + rng.uniform(6, 18)
    if rng.random() < 0.3:
        u, v = rng.uniform(-40, 40, 2)
        tank(canvas, u, v, rng.uniform(4, 7), vary(rng, (206, 206, 200), 8))
    trees(canvas, int(rng.integers(0, 12)))


def sparse_residential(canvas: Canvas) -> None:
    """A few houses with drives and gardens along a lane."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    lane = curve(rng, r, rng.uniform(3, 14), rng.uniform(-25, 25))
    road(
        canvas,
        lane,
        rng.uniform(4.5, 6.5),
        marks="none",
        traffic=0.7,
        colour=c.soil if rng.random() < 0.35 else None,
    )
    taken: list[Point] = []
    for _ in range(60):
        x, y = rng.uniform(-canvas.extent / 2, canvas.extent / 2, 2)
        clear = min(math.dist((x, y), point) for point in lane)
        if clear < 13 or any(math.dist((x, y), point) < 36 for point in taken):
            continue
        if len(taken) >= rng.integers(2, 5):
            break
        taken.append((x, y))
        turn = rng.uniform(0, math.pi)
        near = min(lane, key=lambda point: math.dist((x, y), point))
        canvas.line([(x, y), near], 3, vary(rng, c.concrete if rng.random() < 0.6 else c.soil, 6))
        house(
            canvas,
            x,
            y,
            rng.uniform(12, 19),
            rng.uniform(9, 13),
            turn=turn,
            colour=roof_colour(canvas, 0.4),
        )
        if rng.random() < 0.5:
            house(
                canvas,
                x + 11 * math.cos(turn),
                y + 11 * math.sin(turn),
                8,
                7,
                turn=turn,
                colour=roof_colour(canvas, 0.4),
            )
        if rng.random() < 0.35:
            pool(canvas, x - 13 * math.sin(turn), y + 13 * math.cos(turn), turn)
        if rng.random() < 0.6:
            car(canvas, (x + near[0]) / 2, (y + near[1]) / 2, math.atan2(near[1] - y, near[0] - x))
    trees(canvas, int(rng.integers(20, 80)), apart_from=[*taken, *lane], clear=10)


def storage_tanks(canvas: Canvas) -> None:
    """Tanks of a few sizes in their bunds, with pipes."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    if rng.random() < 0.5:
        natural_ground(canvas)
    else:
        ground(canvas, c.concrete, c.soil, 40)
    radius = rng.uniform(6, 17)
    step = radius * rng.uniform(2.5, 3.3)
    white = vary(rng, ((222, 222, 216), (190, 192, 190), (206, 196, 172))[rng.integers(3)], 8)
    x_offset, y_offset = rng.uniform(0, step, 2)
    edge = rng.uniform(0.1, 1) * r
    for y in np.arange(-r - y_offset, edge, step):
        for x in np.arange(-r - x_offset, r, step):
            bund = box(x, y, step * 0.94, step * 0.94)
            canvas.line([*bund, bund[0]], 0.9, shade(c.soil, 0.85))
            if rng.random() < 0.85:
                tank(canvas, x, y, radius * rng.choice([0.65, 0.85, 1.0]), vary(rng, white, 5))
    for _ in range(int(rng.integers(1, 4))):
        u = rng.uniform(-r, r)
        canvas.line([(u, -r), (u, r)], 1.0, vary(rng, SHEDS[1], 8))
    road(canvas, [(-r, edge + 6), (r, edge + 6)], 6, marks="none", traffic=1)
    if rng.random() < 0.5:
        for x in np.arange(-r, r, 44):
            shed(canvas, x, edge + 26, rng.uniform(18, 36), 18)
    else:
        for _ in range(20):
            tree(canvas, rng.uniform(-r, r), edge + rng.uniform(12, 60), rng.uniform(2, 4))
