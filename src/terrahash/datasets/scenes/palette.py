"""The colours of a tile: a climate, jittered, from which every class draws alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RGB = tuple[int, int, int]

# Sunlit surfaces as aerial cameras render them, 8-bit sRGB.
CLIMATES: dict[str, dict[str, RGB]] = {
    "temperate": {
        "grass": (98, 122, 66),
        "meadow": (126, 138, 80),
        "soil": (142, 118, 90),
        "crop": (104, 132, 56),
        "tree": (54, 84, 46),
        "water": (50, 76, 84),
        "shallow": (92, 122, 112),
        "sand": (206, 190, 156),
    },
    "dry": {
        "grass": (150, 140, 92),
        "meadow": (176, 160, 112),
        "soil": (182, 150, 112),
        "crop": (120, 126, 64),
        "tree": (80, 90, 56),
        "water": (44, 92, 108),
        "shallow": (104, 158, 154),
        "sand": (222, 204, 166),
    },
    "tropical": {
        "grass": (92, 132, 64),
        "meadow": (122, 150, 70),
        "soil": (158, 104, 74),
        "crop": (88, 142, 60),
        "tree": (40, 88, 44),
        "water": (36, 108, 122),
        "shallow": (96, 176, 168),
        "sand": (230, 216, 184),
    },
    "autumn": {
        "grass": (128, 124, 74),
        "meadow": (160, 142, 86),
        "soil": (124, 100, 80),
        "crop": (166, 146, 82),
        "tree": (128, 92, 48),
        "water": (58, 72, 80),
        "shallow": (98, 106, 100),
        "sand": (196, 180, 150),
    },
    "north": {
        "grass": (110, 118, 86),
        "meadow": (134, 136, 102),
        "soil": (122, 114, 104),
        "crop": (122, 128, 88),
        "tree": (48, 70, 54),
        "water": (38, 54, 66),
        "shallow": (82, 98, 100),
        "sand": (188, 180, 164),
    },
}
ROOFS: tuple[RGB, ...] = (
    (168, 98, 74),
    (148, 84, 66),
    (190, 126, 96),
    (128, 122, 116),
    (104, 100, 98),
    (86, 78, 74),
    (158, 150, 140),
    (134, 108, 88),
    (198, 192, 182),
    (108, 122, 136),
)
SHEDS: tuple[RGB, ...] = (
    (206, 206, 202),
    (184, 186, 186),
    (160, 164, 168),
    (148, 160, 172),
    (222, 220, 212),
    (172, 154, 134),
    (126, 130, 134),
    (104, 128, 148),
)
CARS: tuple[RGB, ...] = (
    (232, 232, 230),
    (206, 208, 210),
    (168, 170, 174),
    (62, 64, 68),
    (38, 40, 44),
    (142, 36, 32),
    (44, 66, 118),
    (112, 104, 92),
    (196, 184, 150),
)
WHITE: RGB = (232, 230, 222)


@dataclass(frozen=True)
class Palette:
    """The colours of one tile."""

    grass: RGB
    meadow: RGB
    soil: RGB
    crop: RGB
    tree: RGB
    water: RGB
    shallow: RGB
    sand: RGB
    asphalt: RGB
    concrete: RGB
    roof: RGB


def draw_palette(rng: np.random.Generator) -> Palette:
    """A palette: two climates mixed, each colour jittered, with grey tones for what is built."""
    names = list(CLIMATES)
    first, second = (CLIMATES[names[rng.integers(len(names))]] for _ in range(2))
    mix = rng.uniform(0, 0.5)
    natural = {
        key: vary(
            rng,
            tuple((1 - mix) * np.array(first[key]) + mix * np.array(second[key])),
            9,
        )
        for key in first
    }
    asphalt = rng.uniform(78, 132)
    concrete = rng.uniform(150, 196)
    return Palette(
        **natural,
        asphalt=vary(rng, (asphalt + 2, asphalt, asphalt - 1), 4),
        concrete=vary(rng, (concrete + 4, concrete, concrete - 8), 5),
        roof=ROOFS[rng.integers(len(ROOFS))],
    )


def vary(rng: np.random.Generator, colour: tuple[float, ...], spread: float) -> RGB:
    """A colour near another: lighter or darker, and a little of another hue."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    red, green, blue = (int(value) for value in np.clip(np.array(colour) + shift, 4, 250))
    return red, green, blue


def shade(colour: RGB, factor: float) -> RGB:
    """A colour in other light."""
    red, green, blue = (int(min(255, channel * factor)) for channel in colour)
    return red, green, blue
