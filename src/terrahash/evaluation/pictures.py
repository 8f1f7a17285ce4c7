"""Pictures of answers: one block per query with its best answers, framed right or wrong.

Needs Pillow only. Right and wrong differ in colour, in the line of the frame and in a badge, so
that no reader depends on colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from terrahash.errors import ImageError, InputError, MissingExtraError
from terrahash.imagery.reading import read_image
from terrahash.imagery.window import read_window

Source = Path | bytes | NDArray[np.uint8]

COLUMNS = 10  # answers in a line; more go into further lines
TILE = 132  # pixels of a tile's side
GAP = 16
CAPTION = 36  # two lines of text below a tile
MARGIN = 28
QUERY_GAP = 34  # between the query and its answers
FRAME = 4
ROUNDING = 8
SHARPNESS = 3  # frames are drawn larger by this and reduced, for smooth edges

PAPER, INK, FAINT, RULE = "#ffffff", "#1f2328", "#6e7781", "#d8dde3"
RIGHT, WRONG, NEUTRAL, QUERY = "#1a7f37", "#cf222e", "#c3cad2", "#1f2328"


@dataclass(frozen=True)
class Tile:
    """One image of a picture.

    Attributes:
        image: a file, its encoded bytes, or ``(H, W, 3) uint8``; what cannot be read is drawn as
            an empty tile, since one bad file must not cost the picture.
        label: first line below it.
        detail: second, fainter line, such as the distance.
        right: whether it answers the query rightly; None where that is not known.
    """

    image: Source
    label: str = ""
    detail: str = ""
    right: bool | None = None


@dataclass(frozen=True)
class QueryRow:
    """A query and its answers, best first."""

    query: Tile
    answers: tuple[Tile, ...]


def query_grid(rows: Sequence[QueryRow], *, title: str = "", columns: int = COLUMNS) -> Image.Image:
    """Draw queries, each with its answers to its right.

    Args:
        rows: what to draw, from top to bottom.
        title: a line above all.
        columns: answers in a line.

    Returns:
        An RGB image.

    Raises:
        InputError: if there are no rows or no columns.
    """
    if not rows or columns < 1:
        raise InputError("there is nothing to draw", "give at least one query and one column")
    shown = min(columns, max(1, max(len(row.answers) for row in rows)))
    lines = [max(1, -(-len(row.answers) // columns)) for row in rows]
    left = MARGIN + TILE + QUERY_GAP
    width = left + shown * (TILE + GAP) - GAP + MARGIN
    head = MARGIN + (38 if title else 0) + 24
    line_height = TILE + CAPTION + GAP
    height = head + sum(lines) * line_height + (len(rows) - 1) * GAP + MARGIN - GAP
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((MARGIN, MARGIN - 4), title, INK, _font(21))
    draw.text((MARGIN, head - 25), "query", FAINT, _font(13))
    draw.text((left, head - 25), "best answers", FAINT, _font(13))
    top = head
    for number, (row, count) in enumerate(zip(rows, lines, strict=True)):
        if number:
            draw.line((MARGIN, top - GAP, width - MARGIN, top - GAP), RULE)
        _place(page, row.query, (MARGIN, top), QUERY)
        for place, answer in enumerate(row.answers):
            corner = (
                left + place % columns * (TILE + GAP),
                top + place // columns * line_height,
            )
            _place(page, answer, corner, NEUTRAL)
        top += count * line_height + GAP
    return page


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    target = BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()


def thumbnail(source: Source, size: int = TILE) -> Image.Image | None:
    """The central square of an image, ``size`` pixels a side; None if it cannot be read."""
    try:
        pixels = _pixels(source)
    except (ImageError, MissingExtraError):
        return None
    return ImageOps.fit(Image.fromarray(pixels), (size, size), Image.Resampling.LANCZOS)


def _pixels(source: Source) -> NDArray[np.uint8]:
    if isinstance(source, np.ndarray):
        return source
    return read_image(source) if isinstance(source, bytes) else read_window(source)


def _place(page: Image.Image, tile: Tile, corner: tuple[int, int], colour: str) -> None:
    x, y = corner
    picture = thumbnail(tile.image)
    draw = ImageDraw.Draw(page)
    if picture is None:
        draw.rounded_rectangle((x, y, x + TILE - 1, y + TILE - 1), ROUNDING, "#f3f5f7")
        draw.text((x + TILE / 2, y + TILE / 2), "no image", FAINT, _font(13), anchor="mm")
    else:
        page.paste(picture, corner, _mask())
    if tile.right is not None:
        colour = RIGHT if tile.right else WRONG
    frame = _frame(colour, tile.right)
    page.paste(frame, (x - FRAME, y - FRAME), frame)
    draw.text((x, y + TILE + 7), _fitted(tile.label, 13), INK, _font(13))
    second = y + TILE + (23 if tile.label else 7)
    draw.text((x, second), _fitted(tile.detail, 12), FAINT, _font(12))


@cache
def _mask() -> Image.Image:
    """The tile's shape with rounded corners."""
    side = TILE * SHARPNESS
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, side - 1, side - 1), ROUNDING * SHARPNESS, 255)
    return mask.resize((TILE, TILE), Image.Resampling.LANCZOS)


@cache
def _frame(colour: str, right: bool | None) -> Image.Image:
    """A frame around a tile, transparent inside: solid with a tick, or dashed with a cross."""
    side = TILE + 2 * FRAME
    large = Image.new("RGBA", (side * SHARPNESS, side * SHARPNESS))
    draw = ImageDraw.Draw(large)
    thickness = (2 if right is None else FRAME) * SHARPNESS
    inset = (FRAME * SHARPNESS - thickness) if right is None else 0
    draw.rounded_rectangle(
        (inset, inset, side * SHARPNESS - 1 - inset, side * SHARPNESS - 1 - inset),
        (ROUNDING + FRAME) * SHARPNESS - inset,
        outline=colour,
        width=thickness,
    )
    if right is False:
        _cut_dashes(draw, side * SHARPNESS, thickness)
    if right is not None:
        _badge(draw, side * SHARPNESS, colour, right)
    return large.resize((side, side), Image.Resampling.LANCZOS)


def _cut_dashes(draw: ImageDraw.ImageDraw, side: int, thickness: int) -> None:
    """Make a frame dashed by gaps cut into its straight edges."""
    corner = (ROUNDING + FRAME) * SHARPNESS
    clear = (0, 0, 0, 0)
    dashes = 9
    step = (side - 2 * corner) / dashes
    for dash in range(dashes):
        start = corner + (dash + 0.3) * step
        end = start + 0.4 * step
        for near, far in ((0, thickness), (side - thickness, side)):
            draw.rectangle((start, near, end, far), clear)
            draw.rectangle((near, start, far, end), clear)


def _badge(draw: ImageDraw.ImageDraw, side: int, colour: str, right: bool) -> None:
    """A disc with a tick or a cross in the upper right corner."""
    radius = 10 * SHARPNESS
    x, y = side - radius - 4 * SHARPNESS, radius + 4 * SHARPNESS
    rim = 2 * SHARPNESS
    draw.ellipse((x - radius - rim, y - radius - rim, x + radius + rim, y + radius + rim), PAPER)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    unit = radius / 10
    strokes: tuple[tuple[tuple[float, float], ...], ...] = (
        (((-4.5, 0.5), (-1.2, 4.0), (5.0, -3.6)),)
        if right
        else (((-3.8, -3.8), (3.8, 3.8)), ((-3.8, 3.8), (3.8, -3.8)))
    )
    for stroke in strokes:
        points = [(x + dx * unit, y + dy * unit) for dx, dy in stroke]
        draw.line(points, PAPER, round(2.4 * unit), joint="curve")


def _fitted(text: str, size: int) -> str:
    """The text, cut with an ellipsis where it is wider than a tile."""
    font = _font(size)
    if font.getlength(text) <= TILE:
        return text
    while text and font.getlength(text + "…") > TILE:
        text = text[:-1]
    return text.rstrip() + "…"


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
