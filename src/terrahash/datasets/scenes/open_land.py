"""Open land uses: farmland, forest, solar park, sports field."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from terrahash.datasets.scenes.canvas import Canvas, Point, box, curve
from terrahash.datasets.scenes.palette import RGB, WHITE, shade, vary
from terrahash.datasets.scenes.surroundings import natural_ground
from terrahash.datasets.scenes.things import (
    block,
    ground,
    house,
    road,
    roof_colour,
    shed,
    tree,
    trees,
)


def farmland(canvas: Canvas) -> None:
    """Fields with furrows, some round under a centre pivot, orchards, tunnels, a farm, a track."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, c.grass, c.meadow, 30)
    columns, rows = parts(rng, r, int(rng.integers(2, 6))), parts(rng, r, int(rng.integers(2, 5)))
    for x0, x1 in pairwise(columns):
        for y0, y1 in pairwise(rows):
            field(canvas, x0, y0, x1, y1)
    if rng.random() < 0.25:
        x, y = rng.uniform(-0.3, 0.3, 2) * canvas.extent
        pivot(canvas, x, y, rng.uniform(0.25, 0.6) * canvas.extent)
    if rng.random() < 0.5:
        y = rows[1]
        road(
            canvas,
            [(-r, y), (r, y)],
            rng.uniform(3, 6),
            marks="none",
            colour=c.soil if rng.random() < 0.7 else None,
            traffic=0.3,
        )
    if rng.random() < 0.6:
        x = columns[1]
        for y in np.arange(-r, r, rng.uniform(4, 9)):
            tree(canvas, x + rng.normal(0, 1), y, rng.uniform(1.8, 3.6))
    if rng.random() < 0.35:
        x, y = rng.uniform(-35, 35, 2)
        shed(canvas, x, y, 20, 11)
        house(canvas, x + 18, y + 4, 12, 9, colour=roof_colour(canvas))
        trees(canvas, 6)
    trees(canvas, int(rng.integers(0, 5)))


def parts(rng: np.random.Generator, reach: float, count: int) -> list[float]:
    """Edges of ``count`` strips across the tile, none of them too narrow to see."""
    widths = rng.uniform(0.6, 1.4, count)
    edges = np.concatenate([[0], np.cumsum(widths)]) / widths.sum()
    return [float(edge) for edge in (2 * edges - 1) * reach + rng.uniform(-8, 8)]


def field(canvas: Canvas, x0: float, y0: float, x1: float, y1: float) -> None:
    """One field between its headlands: ploughed, sown, mown, planted with trees or under cover."""
    rng, c = canvas.rng, canvas.colours
    choices = (c.crop, c.meadow, c.soil, c.grass, shade(c.crop, 0.8), shade(c.soil, 1.15))
    colour = vary(rng, choices[rng.integers(len(choices))], 10)
    area = box((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0 - 2, y1 - y0 - 2)
    darker = shade(colour, rng.uniform(0.8, 0.95))
    covered = canvas.mask(area)
    canvas.paint(canvas.texture(colour, darker, rng.uniform(12, 50)), covered)
    canvas.see_area("fields", covered)
    along = rng.random() < 0.5
    start, stop, low, high = (x0, x1, y0, y1) if along else (y0, y1, x0, x1)

    def furrow(at: float, width: float, tone: RGB) -> None:
        ends = [(at, low + 2.0), (at, high - 2.0)]
        canvas.line(ends if along else [(v, u) for u, v in ends], width, tone)

    kind = rng.random()
    if kind < 0.6:
        step = rng.uniform(2.2, 6)
        tone = shade(colour, rng.uniform(0.84, 0.94))
        for at in np.arange(start + 2, stop - 2, step):
            furrow(at, step * 0.4, tone)
    elif kind < 0.72:
        for at in np.arange(start + 4, stop - 3, rng.uniform(6, 8)):
            for other in np.arange(low + 4, high - 3, 5):
                u, v = at + rng.normal(0, 0.3), other + rng.normal(0, 0.3)
                tree(canvas, *((u, v) if along else (v, u)), rng.uniform(1.5, 2.1))
    elif kind < 0.8:
        cover = vary(rng, c.concrete, 8)
        for at in np.arange(start + 5, stop - 4, 8.5):
            furrow(at, 6.4, shade(cover, 0.92))
            furrow(at - 1, 2.6, shade(cover, 1.12))
    elif kind < 0.9:
        for at in np.arange(start + 8, stop - 6, rng.uniform(14, 22)):  # wheel marks
            for side in (-1, 1):
                furrow(at + side, 0.6, shade(colour, 0.8))


def pivot(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """A round field watered from its middle, with its arm."""
    rng, c = canvas.rng, canvas.colours
    colour = vary(rng, (c.crop, c.meadow, c.grass)[rng.integers(3)], 8)
    canvas.disc(x, y, radius, colour)
    for ring in np.arange(radius - 3, 3, -rng.uniform(4, 8)):
        canvas.ring(x, y, ring, 1.0, shade(colour, 0.9))
    angle = rng.uniform(0, 2 * math.pi)
    edge = (x + radius * math.cos(angle), y + radius * math.sin(angle))
    canvas.line([(x, y), edge], 0.7, shade(WHITE, 0.9))


def forest(canvas: Canvas) -> None:
    """Closed or open woodland of one or two species, at times with a ride or a clearing."""
    rng, c, r = canvas.rng, canvas.colours, canvas.reach
    ground(canvas, shade(c.tree, 0.7), shade(c.grass, 0.75), 20)
    if rng.random() < 0.5:
        ride = curve(rng, r, 9, rng.uniform(-30, 30))
        surface = c.soil if rng.random() < 0.7 else None
        road(canvas, ride, rng.uniform(3, 5), marks="none", colour=surface)
    radius = rng.uniform(2.8, 4.6)
    step = radius * rng.uniform(1.2, 1.55)
    gaps, clearing = canvas.noise(60, 2), rng.uniform(0.05, 0.32)
    other, share = vary(rng, c.crop if rng.random() < 0.5 else c.tree, 14), rng.uniform(0, 0.4)
    half = canvas.extent * 0.72
    for y in np.arange(-half, half, step):
        for x in np.arange(-half, half, step):
            u, v = x + rng.normal(0, step * 0.35), y + rng.normal(0, step * 0.35)
            column, row = (int(pixel) for pixel in canvas.place([(u, v)])[0])
            if not (-8 < column < canvas.pixels + 8 and -8 < row < canvas.pixels + 8):
                continue
            inside = np.clip((row, column), 0, canvas.pixels - 1)
            if gaps[inside[0], inside[1]] > clearing:
                colour = other if rng.random() < share else None
                tree(canvas, u, v, radius * rng.uniform(0.7, 1.3), colour, lobes=2)


def solar_park(canvas: Canvas) -> None:
    """Rows of panels with tracks and breaks between them."""
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

            canvas.see("solar_panels", *((float(x), float(y)) for x in np.linspace(x0, x1, 9)))
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
    """A football pitch, a running track around one, or tennis courts."""
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
        canvas.see("sports_ground", (x, y))
        pitch(canvas, x, y, length, width, turf)
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
                    canvas.see("sports_ground", (x + u * 20, y + v * 40 + 20))
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
    turf: RGB,
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


def court(canvas: Canvas, x: float, y: float, hard: RGB, apron: RGB) -> None:
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
