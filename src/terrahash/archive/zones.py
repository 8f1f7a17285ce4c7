"""Smallest and largest value of a column in every block of rows, and a sketch of every value.

A block whose range rules it out is not read. In the others a filter looks at the sketch first: one
byte a value, its place between the block's smallest and largest. Where the sketch of a value is
below that of a limit, so is the value; the values themselves are read only where it is not clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import Column, NumberColumn

ZONE_ROWS = 1 << 17
# Steps of a sketch.
LEVELS = 255
# Kinds that filters compare by size.
ZONED_KINDS = ("integer", "real", "probability", "datetime")


def build(columns: Mapping[str, Column]) -> dict[str, tuple[NDArray[Any], NDArray[np.uint8]]]:
    """Zones and sketches of the columns that have them.

    A footprint across the antimeridian counts as all the way round: west −180, east 180.

    Returns:
        By column ``(blocks, 2)`` smallest and largest value (smallest > largest where a block has
        none), and ``(rows,) uint8`` sketches.
    """
    out = {}
    crossing = _crossing(columns)
    for name, column in columns.items():
        if isinstance(column, NumberColumn) and column.kind in ZONED_KINDS and len(column):
            values = column.values
            if crossing is not None and name in ("west", "east"):
                values = np.where(crossing, -180.0 if name == "west" else 180.0, values)
            zones = _zones(values)
            sketch = np.empty(len(values), np.uint8)
            for number, (low, high) in enumerate(zones.tolist()):
                block = slice(number * ZONE_ROWS, (number + 1) * ZONE_ROWS)
                sketch[block] = sketched(values[block], low, high)
            out[name] = (zones, sketch)
    return out


def sketched(values: Any, low: Any, high: Any) -> NDArray[np.int16]:
    """Sketches of values in zones, numbers or arrays; never smaller for a larger value."""
    origin = np.asarray(low, np.float64)
    with np.errstate(all="ignore"):
        span = np.asarray(high, np.float64) - origin
        scale = np.where(np.isfinite(span) & (span > 0), LEVELS / span, 0.0)
        place = (np.asarray(values, np.float64) - origin) * scale
    # The larger of a number and NaN is, to fmax, the number.
    return np.minimum(np.fmax(place, 0), LEVELS).astype(np.int16)


def _crossing(columns: Mapping[str, Column]) -> NDArray[np.bool_] | None:
    west, east = columns.get("west"), columns.get("east")
    if not isinstance(west, NumberColumn) or not isinstance(east, NumberColumn):
        return None
    crossing = np.asarray(west.values > east.values)
    return crossing if crossing.any() else None


def _zones(values: NDArray[Any]) -> NDArray[Any]:
    starts = np.arange(0, len(values), ZONE_ROWS)
    if values.dtype.kind == "f":
        low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
        empty = np.isnan(low)
        return np.stack([np.where(empty, np.inf, low), np.where(empty, -np.inf, high)], axis=1)
    null, top = np.iinfo(values.dtype).min, np.iinfo(values.dtype).max
    low = np.minimum.reduceat(np.where(values == null, top, values), starts)
    high = np.maximum.reduceat(values, starts)
    return np.stack([low, high], axis=1)
