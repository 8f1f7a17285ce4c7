"""What stands and lies in a landscape: trees, houses, cars, roads, boats, tanks, aircraft."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from terrahash.datasets.scenes.canvas import Canvas, Point, beside, box
from terrahash.datasets.scenes.palette import CARS, RGB, ROOFS, SHEDS, WHITE, shade, vary

SMALLEST_LOBED = 3  # pixels: a smaller crown is a dot


def ground(canvas: Canvas, first: RGB, second: RGB, grain: float = 40.0) -> None:
    """Cover the tile with a surface that wanders between two colours."""
    mix = 0.72 * canvas.noise(grain, octaves=4) + 0.28 * canvas.noise(2.5, octaves=2)
    canvas.paint(canvas.blend(first, second, mix))
    canvas.mottle(4, canvas.rng.uniform(0.05, 0.16))


def tree(
    canvas: Canvas, x: float, y: float, radius: float, colour: RGB | None = None, *, lobes: int = 4
) -> None:
    """A crown of some lobes with its shadow, lit from the sun's side."""
    rng = canvas.rng
    body = vary(rng, colour or canvas.colours.tree, 8)
    dx, dy = canvas.sun
    (px, py), pixels = canvas.place([(x, y)])[0], canvas.metres(radius)
    discs = [(0.0, 0.0, 1.0)]
    if pixels > SMALLEST_LOBED:
        discs += [
            (0.45 * math.cos(angle), 0.45 * math.sin(angle), 0.62)
            for angle in rng.uniform(0, 2 * math.pi, lobes)
        ]

    def top() -> None:
        for shift, size, light in ((0.0, 1.0, 0.8), (-0.16, 0.8, 1.0), (-0.34, 0.45, 1.22)):
            tone = shade(body, light)
            for u, v, part in discs:
                centre_x = px + pixels * (u + shift * dx)
                centre_y = py + pixels * (v + shift * dy)
                reach = pixels * part * size
                canvas.draw.ellipse(
                    (centre_x - reach, centre_y - reach, centre_x + reach, centre_y + reach),
                    fill=tone,
                )

    canvas.see("trees", (x, y))
    canvas.raise_disc(x, y, radius, radius * 1.5, top)


def trees(
    canvas: Canvas, count: int, *, apart_from: Sequence[Point] = (), clear: float = 0
) -> None:
    """Trees scattered over the tile, ``clear`` metres off the points of ``apart_from``."""
    rng = canvas.rng
    for _ in range(count):
        x, y = rng.uniform(-canvas.reach, canvas.reach, 2)
        if all(math.hypot(x - u, y - v) > clear for u, v in apart_from):
            tree(canvas, x, y, rng.uniform(1.8, 4.2))


def house(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    depth: float,
    *,
    turn: float = 0.0,
    colour: RGB | None = None,
) -> None:
    """A house with a gabled or hipped roof, the sunny side brighter."""
    rng = canvas.rng
    roof = vary(rng, colour or canvas.colours.roof, 10)
    if depth > width:
        width, depth, turn = depth, width, turn + math.pi / 2
    hip = rng.uniform(0.25, 0.5) * depth if rng.random() < 0.5 else 0.0
    corners = box(x, y, width, depth, turn)
    ends = box(x, y, width - 2 * hip, 1e-6, turn)
    left, right = ends[0], ends[1]
    light = canvas.place([corners[0], corners[3]])
    up = (light[1][0] - light[0][0]) * canvas.sun[0] + (light[1][1] - light[0][1]) * canvas.sun[1]
    facing = 0.22 * math.copysign(1, up)

    def top() -> None:
        canvas.polygon(corners, roof)
        canvas.polygon([corners[0], corners[1], right, left], shade(roof, 1 + facing))
        canvas.polygon([corners[3], corners[2], right, left], shade(roof, 1 - facing))
        canvas.line([left, right], 0.35, shade(roof, 1.3))

    canvas.see("buildings", (x, y))
    canvas.raise_up(corners, rng.uniform(4, 7), top)


def block(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    depth: float,
    *,
    height: float,
    turn: float = 0.0,
    colour: RGB | None = None,
) -> None:
    """A flat-roofed building with a parapet and machines on its roof."""
    rng = canvas.rng
    roof = vary(rng, colour or SHEDS[rng.integers(len(SHEDS))], 8)
    corners = box(x, y, width, depth, turn)
    inner = box(x, y, max(width - 1.6, 0.5), max(depth - 1.6, 0.5), turn)
    cos, sin = math.cos(turn), math.sin(turn)
    ribs = rng.random() < 0.5
    spots = [
        (rng.uniform(-0.38, 0.38) * width, rng.uniform(-0.38, 0.38) * depth, rng.uniform(0.8, 2.2))
        for _ in range(int(rng.integers(0, 7)))
    ]

    def top() -> None:
        canvas.polygon(corners, shade(roof, 1.12))
        canvas.polygon(inner, roof)
        if ribs:
            count = max(2, int(width / 5))
            for rib in range(1, count):
                u = (rib / count - 0.5) * width
                ends = [
                    (x + cos * u - sin * v, y + sin * u + cos * v)
                    for v in (-depth * 0.46, depth * 0.46)
                ]
                canvas.line(ends, 0.5, shade(roof, 0.88 if rib % 2 else 1.1))
        for u, v, size in spots:
            middle = (x + cos * u - sin * v, y + sin * u + cos * v)
            canvas.polygon(box(*middle, size * 1.4, size, turn), shade(roof, 0.7))

    canvas.see("buildings", (x, y))
    canvas.raise_up(corners, height, top)


def shed(canvas: Canvas, x: float, y: float, width: float, depth: float, turn: float = 0.0) -> None:
    """A large industrial building, some with a row of skylights or a shallow ridge."""
    block(canvas, x, y, width, depth, height=float(canvas.rng.uniform(7, 12)), turn=turn)


def car(canvas: Canvas, x: float, y: float, turn: float) -> None:
    """A car, 4.4 m long, with its windscreen."""
    rng = canvas.rng
    colour = vary(rng, CARS[rng.integers(len(CARS))], 6)
    body = box(x, y, 4.4, 1.9, turn)
    glass = box(x, y, 2.0, 1.6, turn)

    def top() -> None:
        canvas.polygon(body, colour)
        canvas.polygon(glass, shade(colour, 0.62))

    canvas.see("cars", (x, y))
    canvas.raise_up(body, 1.3, top)


def lorry(canvas: Canvas, x: float, y: float, turn: float) -> None:
    """A lorry with its trailer, 15 m long."""
    rng = canvas.rng
    colour = vary(rng, SHEDS[rng.integers(len(SHEDS))], 10)
    body = box(x, y, 13, 2.6, turn)
    cab = box(x + 7.8 * math.cos(turn), y + 7.8 * math.sin(turn), 2.4, 2.5, turn)

    def top() -> None:
        canvas.polygon(body, colour)
        canvas.polygon(cab, vary(rng, CARS[0], 10))

    canvas.see("cars", (x, y))
    canvas.raise_up(body, 3.6, top)


def road(
    canvas: Canvas,
    points: Sequence[Point],
    width: float,
    *,
    marks: str = "middle",
    pavement: bool = False,
    traffic: float = 0.0,
    colour: RGB | None = None,
) -> None:
    """A road along a line: pavement, surface, markings and cars.

    ``marks`` is ``"middle"`` (dashed), ``"none"`` or ``"lanes"`` (a dashed line each 3.6 m);
    ``traffic`` is cars for each 100 m.
    """
    rng = canvas.rng
    surface = vary(rng, colour or canvas.colours.asphalt, 4)
    if pavement:
        canvas.line(points, width + 4, vary(rng, canvas.colours.concrete, 5))
    canvas.line(points, width, surface)
    canvas.see_area("pavement", canvas.band(points, width))
    if marks == "middle":
        canvas.dashes(points, 0.35, WHITE, dash=3, gap=4)
    if marks == "lanes":
        lanes = max(2, round(width / 3.6))
        for lane in range(1, lanes):
            along = beside(points, (lane / lanes - 0.5) * width)
            canvas.dashes(along, 0.4, WHITE, dash=4, gap=6)
        for side in (-0.48, 0.48):
            canvas.line(beside(points, side * width), 0.4, WHITE)
    length = sum(math.dist(a, b) for a, b in pairwise(points))
    for _ in range(int(rng.poisson(traffic * length / 100))):
        first = int(rng.integers(0, len(points) - 1))
        (x0, y0), (x1, y1) = points[first], points[first + 1]
        part, turn = rng.random(), math.atan2(y1 - y0, x1 - x0)
        side = (
            width * rng.choice([-0.25, 0.25]) * (1 if marks == "middle" else rng.uniform(0.4, 1.6))
        )
        x = x0 + part * (x1 - x0) - side * math.sin(turn)
        y = y0 + part * (y1 - y0) + side * math.cos(turn)
        if rng.random() < 0.12 and width > 6:
            lorry(canvas, x, y, turn)
        else:
            car(canvas, x, y, turn)


def boat(canvas: Canvas, x: float, y: float, length: float, turn: float) -> None:
    """A boat, bow ahead, with a deck in another colour."""
    rng = canvas.rng
    hull = vary(rng, WHITE if rng.random() < 0.7 else CARS[rng.integers(len(CARS))], 8)
    deck = vary(rng, (170, 140, 104) if rng.random() < 0.5 else (120, 140, 160), 12)
    cos, sin = math.cos(turn), math.sin(turn)

    def at(along: float, across: float) -> Point:
        u, v = along * length, across * length
        return x + cos * u - sin * v, y + sin * u + cos * v

    outline = [at(-0.5, -0.13), at(0.2, -0.15), at(0.5, 0), at(0.2, 0.15), at(-0.5, 0.13)]

    def top() -> None:
        canvas.polygon(outline, hull)
        canvas.polygon([at(-0.4, -0.08), at(0.1, -0.08), at(0.1, 0.08), at(-0.4, 0.08)], deck)

    canvas.see("boats", (x, y))
    canvas.raise_up(outline, length * 0.12, top)


def ship(canvas: Canvas, x: float, y: float, length: float, turn: float) -> None:
    """A cargo ship with containers or hatches and its bridge aft."""
    rng = canvas.rng
    hull = vary(rng, ((96, 52, 46), (52, 62, 78), (70, 72, 74))[rng.integers(3)], 10)
    cos, sin = math.cos(turn), math.sin(turn)
    beam = length * 0.16
    bays = [
        (along, across, vary(rng, CONTAINERS[rng.integers(len(CONTAINERS))], 12))
        for along in (-0.2, -0.08, 0.04, 0.16, 0.28)
        for across in (-0.3, 0.0, 0.3)
    ]

    def at(along: float, across: float) -> Point:
        u, v = along * length, across * beam
        return x + cos * u - sin * v, y + sin * u + cos * v

    outline = [at(-0.5, -0.45), at(0.34, -0.5), at(0.5, 0), at(0.34, 0.5), at(-0.5, 0.45)]

    def top() -> None:
        canvas.polygon(outline, hull)
        for along, across, colour in bays:
            canvas.polygon(box(*at(along, across), length * 0.1, beam * 0.26, turn), colour)
        canvas.polygon(box(*at(-0.4, 0), length * 0.08, beam * 0.8, turn), WHITE)

    canvas.see("boats", (x, y))
    canvas.raise_up(outline, 9, top)


CONTAINERS: tuple[RGB, ...] = (
    (164, 66, 50),
    (52, 90, 134),
    (186, 150, 70),
    (74, 116, 92),
    (180, 180, 176),
    (134, 88, 62),
)


def containers(canvas: Canvas, x: float, y: float, rows: int, columns: int, turn: float) -> None:
    """A stack of shipping containers in rows, 12 m by 2.4 m each."""
    rng = canvas.rng
    cos, sin = math.cos(turn), math.sin(turn)
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.18:
                continue
            u, v = (column - columns / 2) * 12.8, (row - rows / 2) * 2.9
            body = box(x + cos * u - sin * v, y + sin * u + cos * v, 12, 2.4, turn)
            colour = vary(rng, CONTAINERS[rng.integers(len(CONTAINERS))], 12)
            canvas.see("containers", body[0])
            canvas.raise_up(body, 2.6, partial(canvas.polygon, body, colour))


def tank(canvas: Canvas, x: float, y: float, radius: float, colour: RGB) -> None:
    """A storage tank: wall, roof lit from the sun's side, and its stair."""
    rng = canvas.rng
    dx, dy = canvas.sun
    (px, py), pixels = canvas.place([(x, y)])[0], canvas.metres(radius)
    floating = rng.random() < 0.4
    stair = rng.uniform(0, 2 * math.pi)

    def top() -> None:
        for size, shift, light in ((1.0, 0.0, 0.9), (0.95, -0.02, 1.06), (0.55, -0.12, 1.12)):
            if floating and size < 0.9:
                continue
            reach, centre_x, centre_y = (
                pixels * size,
                px + dx * shift * pixels,
                py + dy * shift * pixels,
            )
            canvas.draw.ellipse(
                (centre_x - reach, centre_y - reach, centre_x + reach, centre_y + reach),
                fill=shade(colour, light),
            )
        if floating:
            canvas.disc(x, y, radius * 0.9, shade(colour, 0.72))
            canvas.disc(x, y, radius * 0.82, shade(colour, 0.9))
        canvas.disc(x, y, radius * 0.07, shade(colour, 0.6))
        edge = (x + radius * math.cos(stair), y + radius * math.sin(stair))
        canvas.line([(x, y), edge] if floating else [edge, edge], 0.6, shade(colour, 0.65))

    canvas.see("tanks", (x, y))
    canvas.raise_disc(x, y, radius, radius * rng.uniform(0.5, 0.9), top)


def aircraft(canvas: Canvas, x: float, y: float, length: float, turn: float) -> None:
    """An airliner: fuselage, swept wings, tail."""
    colour = vary(canvas.rng, (228, 230, 232), 6)
    cos, sin = math.cos(turn), math.sin(turn)

    def at(along: float, across: float) -> Point:
        u, v = along * length, across * length
        return x + cos * u - sin * v, y + sin * u + cos * v

    wings = [at(0.12, 0), at(-0.14, 0.5), at(-0.22, 0.5), at(-0.08, 0), at(-0.22, -0.5)]
    wings.append(at(-0.14, -0.5))
    tail = [at(-0.38, 0), at(-0.5, 0.17), at(-0.54, 0.17), at(-0.5, 0), at(-0.54, -0.17)]
    tail.append(at(-0.5, -0.17))
    body = [at(-0.5, -0.03), at(0.4, -0.05), at(0.5, 0), at(0.4, 0.05), at(-0.5, 0.03)]

    def top() -> None:
        canvas.polygon(wings, shade(colour, 0.92))
        canvas.polygon(tail, shade(colour, 0.9))
        canvas.polygon(body, colour)

    canvas.see("aircraft", (x, y))
    for outline in (wings, body):
        canvas.raise_up(outline, 5, lambda: None)
    canvas.raise_up(tail, 8, top)


def pool(canvas: Canvas, x: float, y: float, turn: float) -> None:
    """A swimming pool with its surround."""
    width, depth = canvas.rng.uniform(5, 9), canvas.rng.uniform(3, 5)
    canvas.polygon(box(x, y, width + 2, depth + 2, turn), vary(canvas.rng, (206, 198, 182), 8))
    canvas.polygon(box(x, y, width, depth, turn), vary(canvas.rng, (88, 176, 196), 10))


def roof_colour(canvas: Canvas, own: float = 0.6) -> RGB:
    """The tile's usual roof, or at times another."""
    if canvas.rng.random() < own:
        return canvas.colours.roof
    return ROOFS[canvas.rng.integers(len(ROOFS))]
