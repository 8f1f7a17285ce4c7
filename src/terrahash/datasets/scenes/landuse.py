"""The land uses: how each class lays out its tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from PIL import Image

from terrahash.datasets.scenes.canvas import Canvas, Point, beside, box, curve
from terrahash.datasets.scenes.palette import SHEDS, WHITE, shade, vary
from terrahash.datasets.scenes.things import (
    aircraft,
    block,
    boat,
    car,
    containers,
    ground,
    house,
    lorry,
    pool,
    road,
    roof_colour,
    shed,
    ship,
    tank,
    tree,
    trees,
)


def draw_tile(class_name: str, rng: np.random.Generator, size: int) -> Image.Image:
    """One tile of a class, ``size × size`` RGB."""
    canvas = Canvas(rng, size, extent=float(rng.uniform(*EXTENTS.get(class_name, (95, 150)))))
    LAND_USE[class_name](canvas)
    return canvas.finish()


def natural_ground(canvas: Canvas) -> None:
    colours = canvas.colours
    choices = (colours.grass, colours.meadow, colours.soil)
    first, second = (choices[canvas.rng.integers(3)] for _ in range(2))
    ground(canvas, first, vary(canvas.rng, second, 8), canvas.rng.uniform(15, 60))


def beach(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    shore = curve(rng, r, 7, rng.uniform(-0.25, 0.25) * canvas.extent)
    width = rng.uniform(12, 34)
    sea = canvas.mask([*shore, (r, 2 * r), (-r, 2 * r)])
    back = beside(shore, -width)
    strand = canvas.mask([*back, *reversed(shore)])
    canvas.paint(canvas.texture(c.sand, shade(c.sand, 0.9), 18), strand)
    canvas.paint(canvas.texture(c.water, shade(c.water, 0.85), 50), sea)
    for step in range(9):
        mixed = tuple(int(a + (b - a) * step / 9) for a, b in zip(c.shallow, c.water, strict=True))
        canvas.line(beside(shore, 1 + step * 2.2), 5, (mixed[0], mixed[1], mixed[2]))
    canvas.line(shore, 3, shade(c.sand, 0.8))
    for _ in range(int(rng.integers(1, 4))):
        surf = beside(shore, rng.uniform(1.5, 12))
        start = int(rng.integers(0, 12))
        canvas.line(
            surf[start : start + int(rng.integers(8, 18))], rng.uniform(0.8, 2), (236, 238, 236)
        )
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


def dense_residential(canvas: Canvas) -> None:
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


def sparse_residential(canvas: Canvas) -> None:
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


def farmland(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    choices = (c.crop, c.meadow, c.soil, c.grass, shade(c.crop, 0.8), shade(c.soil, 1.15))
    natural_ground(canvas)
    edges_x = [-r, *np.sort(rng.uniform(-r * 0.8, r * 0.8, rng.integers(1, 4))), r]
    edges_y = [-r, *np.sort(rng.uniform(-r * 0.8, r * 0.8, rng.integers(1, 3))), r]
    for x0, x1 in pairwise(edges_x):
        for y0, y1 in pairwise(edges_y):
            colour = vary(rng, choices[rng.integers(len(choices))], 8)
            field = box((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0 - 2, y1 - y0 - 2)
            canvas.paint(
                canvas.texture(colour, shade(colour, rng.uniform(0.8, 0.95)), 30),
                canvas.mask(field),
            )
            if rng.random() < 0.75:
                step = rng.uniform(2.2, 6)
                dark = shade(colour, rng.uniform(0.84, 0.94))
                if rng.random() < 0.5:
                    for x in np.arange(x0 + 2, x1 - 2, step):
                        canvas.line([(x, y0 + 2), (x, y1 - 2)], step * 0.4, dark)
                else:
                    for y in np.arange(y0 + 2, y1 - 2, step):
                        canvas.line([(x0 + 2, y), (x1 - 2, y)], step * 0.4, dark)
    if rng.random() < 0.5:
        y = edges_y[1]
        road(
            canvas,
            [(-r, y), (r, y)],
            rng.uniform(3, 6),
            marks="none",
            colour=c.soil if rng.random() < 0.7 else None,
            traffic=0.3,
        )
    if rng.random() < 0.6:
        x = edges_x[1]
        for y in np.arange(-r, r, rng.uniform(4, 9)):
            tree(canvas, x + rng.normal(0, 1), y, rng.uniform(1.8, 3.6))
    if rng.random() < 0.3:
        x, y = rng.uniform(-35, 35, 2)
        shed(canvas, x, y, 20, 11)
        house(canvas, x + 18, y + 4, 12, 9)
    trees(canvas, int(rng.integers(0, 8)))


def forest(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, shade(c.tree, 0.7), shade(c.grass, 0.75), 20)
    if rng.random() < 0.5:
        road(
            canvas,
            curve(rng, r, 9, rng.uniform(-30, 30)),
            rng.uniform(3, 5),
            marks="none",
            colour=c.soil if rng.random() < 0.7 else None,
        )
    mean = rng.uniform(2.6, 4.4)
    gaps = canvas.noise(60, 2)
    density = rng.uniform(0.75, 1.25)
    other = vary(rng, c.crop, 6)
    step = mean * 1.35 / math.sqrt(density)
    half = canvas.extent * 0.54
    threshold = rng.uniform(0.05, 0.3)
    for y in np.arange(-half, half, step):
        for x in np.arange(-half, half, step):
            u, v = x + rng.normal(0, step * 0.35), y + rng.normal(0, step * 0.35)
            px, py = canvas.place([(u, v)])[0]
            if not (-8 < px < canvas.pixels + 8 and -8 < py < canvas.pixels + 8):
                continue
            row, column = (int(np.clip(q, 0, canvas.pixels - 1)) for q in (py, px))
            if gaps[row, column] < threshold:
                continue
            tree(canvas, u, v, mean * rng.uniform(0.7, 1.3), other if rng.random() < 0.2 else None)


def freeway(canvas: Canvas) -> None:
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


def harbour(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.water, shade(c.water, 0.85), 50)
    quay = rng.uniform(-0.3, 0.05) * canvas.extent
    canvas.paint(
        canvas.texture(c.concrete, c.asphalt, 50),
        canvas.mask([(-r, -2 * r), (r, -2 * r), (r, quay), (-r, quay)]),
    )
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


def industrial(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.asphalt, c.concrete, 40)
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


def parking_lot(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.asphalt, shade(c.asphalt, 1.1), 40)
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


def river(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    axis = curve(rng, r, rng.uniform(8, 22), rng.uniform(-15, 15))
    width = rng.uniform(14, 40)
    canvas.line(
        axis, width + rng.uniform(3, 9), vary(rng, c.sand if rng.random() < 0.5 else c.soil, 6)
    )
    bed = Image.new("L", canvas.image.size, 0)
    from PIL import ImageDraw

    ImageDraw.Draw(bed).line(
        canvas.place(axis), fill=255, width=round(canvas.metres(width)), joint="curve"
    )
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


def roundabout(canvas: Canvas) -> None:
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


def around(canvas: Canvas, middle: Point, clear: float, roads: list[Point]) -> None:
    """Houses and trees around a place, off its roads."""
    rng, r = canvas.rng, canvas.reach
    kind = rng.integers(3)
    for _ in range(90 if kind == 0 else 26):
        x, y = rng.uniform(-r, r, 2)
        far = math.dist((x, y), middle)
        angle = math.atan2(y - middle[1], x - middle[0])
        off = min(
            abs(math.remainder(angle - math.atan2(v - middle[1], u - middle[0]), 2 * math.pi)) * far
            for u, v in roads
        )
        if far < clear or off < 13:
            continue
        if kind == 1:
            house(
                canvas,
                x,
                y,
                rng.uniform(10, 18),
                rng.uniform(8, 12),
                turn=angle,
                colour=roof_colour(canvas),
            )
        elif kind == 2 and rng.random() < 0.4:
            shed(canvas, x, y, rng.uniform(18, 34), rng.uniform(14, 20), angle)
        else:
            tree(canvas, x, y, rng.uniform(2, 4))


def intersection(canvas: Canvas) -> None:
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


def runway(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.grass, c.meadow if rng.random() < 0.6 else c.soil, 60)
    y, width = rng.uniform(-20, 20), rng.uniform(24, 38)
    surface = vary(rng, c.asphalt if rng.random() < 0.6 else c.concrete, 6)
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


def solar_park(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    pitch, depth = rng.uniform(5.5, 9), rng.uniform(3, 4.4)
    blue = vary(rng, ((42, 54, 88), (52, 58, 72), (34, 44, 66))[rng.integers(3)], 6)
    track = rng.uniform(-30, 30)
    break_x = np.sort(rng.uniform(-r, r, rng.integers(1, 3)))
    edge = rng.uniform(0.35, 1.0) * r
    for y in np.arange(-r, edge, pitch):
        if abs(y - track) < 4.5:
            continue
        starts = [-r, *(break_x + 3)]
        stops = [*(break_x - 3), r]
        for x0, x1 in zip(starts, stops, strict=True):
            table = box((x0 + x1) / 2, y, x1 - x0, depth)

            def top(
                table: list[Point] = table, x0: float = x0, x1: float = x1, y: float = y
            ) -> None:
                canvas.polygon(table, blue)
                canvas.line([(x0, y), (x1, y)], 0.3, shade(blue, 1.6))
                for x in np.arange(x0, x1, 7.5):
                    canvas.line([(x, y - depth / 2), (x, y + depth / 2)], 0.3, shade(blue, 1.5))

            canvas.raise_up(table, 1.8, top)
    road(canvas, [(-r, track), (r, track)], 3.5, marks="none", colour=vary(rng, c.soil, 6))
    if edge < 0.8 * r:
        canvas.line([(-r, edge + 2), (r, edge + 2)], 0.5, shade(c.grass, 0.7))
        if rng.random() < 0.5:
            for x in np.arange(-r, r, 5):
                tree(canvas, x, edge + rng.uniform(6, 14), rng.uniform(2, 4))
    for x in break_x[:1]:
        block(canvas, x, track + 6, 6, 3, height=3)


def sports_field(canvas: Canvas) -> None:
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    natural_ground(canvas)
    kind = rng.integers(3)
    turf = vary(rng, c.grass if rng.random() < 0.7 else (84, 132, 72), 6)
    x, y = rng.uniform(-12, 12, 2)
    if kind < 2:
        length, width = rng.uniform(64, 84), rng.uniform(40, 52)
        if kind == 0:
            lane = vary(rng, ((168, 84, 66), (150, 96, 78), (92, 104, 128))[rng.integers(3)], 8)
            for grow, colour in ((9, shade(lane, 0.9)), (8, lane), (1, turf)):
                canvas.polygon(oval(x, y, length + 2 * grow, width + 2 * grow), colour)
            for lane_line in range(2, 8, 2):
                placed = canvas.place(oval(x, y, length + 2 * lane_line, width + 2 * lane_line))
                canvas.draw.line([*placed, placed[0]], fill=WHITE, width=1)
            length, width = length * 0.92, width * 0.88
        pitch(canvas, x, y, length, width, turf, c)
        for side in (-1, 1):
            if rng.random() < 0.5:
                block(canvas, x, y + side * (width / 2 + 17), length * 0.6, 8, height=6)
    else:
        hard = vary(
            rng, ((66, 108, 136), (150, 88, 70), (86, 124, 92), (92, 104, 150))[rng.integers(4)], 8
        )
        apron = vary(rng, ((86, 124, 92), (120, 128, 118), (150, 88, 70))[rng.integers(3)], 8)
        for u in np.arange(-1, 2):
            for v in np.arange(-1, 1):
                if rng.random() < 0.88:
                    court(canvas, x + u * 20, y + v * 40 + 20, hard, apron)
    if rng.random() < 0.5:
        road(canvas, [(-r, y - 62), (r, y - 62)], 7, traffic=3)
    for _ in range(int(rng.integers(5, 40))):
        u, v = rng.uniform(-r, r, 2)
        if abs(u - x) > 58 or abs(v - y) > 44:
            tree(canvas, u, v, rng.uniform(2, 4))


def oval(x: float, y: float, length: float, width: float) -> list[Point]:
    """A stadium's outline: two straights and two half circles."""
    radius = width / 2
    straight = max(length / 2 - radius, 0)
    return [
        (
            x + math.copysign(straight, math.cos(angle)) + radius * math.cos(angle),
            y + radius * math.sin(angle),
        )
        for angle in np.linspace(0.01, 2 * math.pi + 0.01, 48, endpoint=False)
    ]


def pitch(
    canvas: Canvas,
    x: float,
    y: float,
    length: float,
    width: float,
    turf: tuple[int, int, int],
    c: object,
) -> None:
    """A football pitch: mown stripes and lines."""
    stripes = int(canvas.rng.integers(8, 15))
    for stripe in range(stripes):
        u = x + (stripe + 0.5 - stripes / 2) * length / stripes
        canvas.rectangle(
            u, y, length / stripes + 0.2, width, shade(turf, 1.06 if stripe % 2 else 0.96)
        )
    edge = box(x, y, length - 5, width - 5)
    canvas.line([*edge, edge[0], edge[1]], 0.5, WHITE)
    canvas.line([(x, y - width / 2 + 2.5), (x, y + width / 2 - 2.5)], 0.5, WHITE)
    canvas.ring(x, y, 7, 0.5, WHITE)
    for side in (-1, 1):
        area = box(x + side * (length / 2 - 2.5 - 5.5), y, 11, width * 0.5)
        canvas.line([*area, area[0]], 0.5, WHITE)


def court(
    canvas: Canvas, x: float, y: float, hard: tuple[int, int, int], apron: tuple[int, int, int]
) -> None:
    """A tennis court, 11 by 24 m, in its fence."""
    canvas.rectangle(x, y, 18.5, 36, apron)
    canvas.rectangle(x, y, 11, 24, hard)
    outline = box(x, y, 11, 24)
    canvas.line([*outline, outline[0]], 0.4, WHITE)
    for side in (-4.1, 4.1):
        canvas.line([(x + side, y - 12), (x + side, y + 12)], 0.4, WHITE)
    for v in (-6.4, 0, 6.4):
        canvas.line([(x - 5, y + v), (x + 5, y + v)], 0.4, WHITE)
    canvas.line([(x, y - 6.4), (x, y + 6.4)], 0.4, WHITE)


def storage_tanks(canvas: Canvas) -> None:
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


LAND_USE: dict[str, Callable[[Canvas], None]] = {
    layout.__name__: layout
    for layout in (
        beach,
        dense_residential,
        farmland,
        forest,
        freeway,
        harbour,
        industrial,
        intersection,
        parking_lot,
        river,
        roundabout,
        runway,
        solar_park,
        sparse_residential,
        sports_field,
        storage_tanks,
    )
}

# Metres from edge to edge; scale alone tells no class, since most share one range.
EXTENTS: dict[str, tuple[float, float]] = {"parking_lot": (75, 120), "runway": (110, 170)}
