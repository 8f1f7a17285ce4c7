"""Smallest and largest value of a column in every block of rows, so that filters skip blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import Column, NumberColumn

ZONE_ROWS = 1 << 16
# Kinds that filters compare by size.
ZONED_KINDS = ("integer", "real", "probability", "datetime")


def build(columns: Mapping[str, Column]) -> dict[str, NDArray[Any]]:
    """Zones of the columns that have them.

    A footprint across the antimeridian counts as all the way round: west −180, east 180.

    Returns:
        By column ``(blocks, 2)`` smallest and largest value; smallest > largest where a block has
        none.
    """
    out = {}
    crossing = _crossing(columns)
    for name, column in columns.items():
        if isinstance(column, NumberColumn) and column.kind in ZONED_KINDS and len(column):
            values = column.values
            if crossing is not None and name in ("west", "east"):
                values = np.where(crossing, -180.0 if name == "west" else 180.0, values)
            out[name] = _zones(values)
    return out


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
