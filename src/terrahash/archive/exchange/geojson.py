"""Footprints as GeoJSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from terrahash.archive.exchange.geoparquet import rings


def footprint(bbox: Sequence[float]) -> dict[str, Any]:
    """A box as a geometry: two polygons where it crosses the antimeridian (RFC 7946, 3.1.9).

    Args:
        bbox: west, south, east, north in degrees; west > east across the antimeridian.
    """
    west, south, east, north = bbox
    outlines = rings(west, south, east, north)
    if len(outlines) == 1:
        return {"type": "Polygon", "coordinates": outlines}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in outlines]}
