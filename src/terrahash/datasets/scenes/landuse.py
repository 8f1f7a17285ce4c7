"""The land uses by name, and drawing one tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from terrahash.datasets.scenes.built import (
    dense_residential,
    industrial,
    sparse_residential,
    storage_tanks,
)
from terrahash.datasets.scenes.canvas import Canvas
from terrahash.datasets.scenes.open_land import farmland, forest, solar_park, sports_field
from terrahash.datasets.scenes.traffic import (
    freeway,
    intersection,
    parking_lot,
    roundabout,
    runway,
)
from terrahash.datasets.scenes.water import beach, harbour, river

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

# Metres from edge to edge. All but two share one range, so that scale tells no class.
EXTENT = (90.0, 150.0)
EXTENTS = {"parking_lot": (75.0, 120.0), "runway": (105.0, 170.0)}


def draw_tile(
    class_name: str, rng: np.random.Generator, size: int
) -> tuple[Image.Image, list[str]]:
    """One tile of a class, ``size × size`` RGB, and the kinds of things that it shows."""
    low, high = EXTENTS.get(class_name, EXTENT)
    canvas = Canvas(rng, size, extent=float(rng.uniform(low, high)))
    LAND_USE[class_name](canvas)
    return canvas.finish(), canvas.contents
