"""Make the page's base map: land and borders as GeoJSON from world-atlas' TopoJSON.

    npm pack world-atlas && tar xzf world-atlas-*.tgz
    python scripts/coastline.py package/countries-110m.json \
        src/terrahash/service/static/vendor/naturalearth/land.geojson

Source: Natural Earth, 1:110m cultural vectors (public domain), as packed by world-atlas (ISC).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from shapely import box, intersection
from shapely.affinity import translate
from shapely.geometry import Polygon, mapping

# A hundredth of a degree: finer than the source is.
DIGITS = 2


def main(source: str, target: str) -> None:
    """Write two features: ``land`` and ``border``."""
    topology = json.loads(Path(source).read_text())
    arcs = [decoded(arc, topology["transform"]) for arc in topology["arcs"]]
    (land,) = topology["objects"]["land"]["geometries"]
    polygons = [
        piece for polygon in land["arcs"] for piece in cut([ring(part, arcs) for part in polygon])
    ]
    countries = topology["objects"]["countries"]["geometries"]
    uses = Counter(
        number if number >= 0 else ~number for country in countries for number in named(country)
    )
    borders = [arcs[number] for number, times in sorted(uses.items()) if times > 1]
    features = [
        feature("land", {"type": "MultiPolygon", "coordinates": polygons}),
        feature("border", {"type": "MultiLineString", "coordinates": borders}),
    ]
    Path(target).write_text(
        json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
    )


def decoded(arc: list[list[int]], transform: dict[str, list[float]]) -> list[list[float]]:
    """Degrees from a delta-encoded arc."""
    x = y = 0
    points = []
    for dx, dy in arc:
        x, y = x + dx, y + dy
        points.append(
            [
                round(value * scale + shift, DIGITS)
                for value, scale, shift in zip(
                    (x, y), transform["scale"], transform["translate"], strict=True
                )
            ]
        )
    return points


def ring(numbers: list[int], arcs: list[list[list[float]]]) -> list[list[float]]:
    """Arcs end to end; a negative number is an arc backwards."""
    points: list[list[float]] = []
    for number in numbers:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        points += arc[1:] if points else arc
    return points


def cut(rings: list[list[list[float]]]) -> list[Any]:
    """A polygon as polygons that end at the antimeridian."""
    outer, *holes = [unwrapped(points) for points in rings]
    whole = Polygon(outer, holes)
    pieces: list[Any] = []
    for turn in (-360, 0, 360):
        inside = intersection(translate(whole, turn), box(-180, -90, 180, 90))
        for part in getattr(inside, "geoms", [inside]):
            if part.geom_type == "Polygon" and not part.is_empty:
                shape = mapping(part)["coordinates"]
                pieces.append([[[round(v, DIGITS) for v in point] for point in r] for r in shape])
    return pieces


def unwrapped(points: list[list[float]]) -> list[list[float]]:
    """A ring whose longitudes go on beyond 180°; one around a pole is closed there."""
    out = [points[0]]
    for longitude, latitude in points[1:]:
        turns = round((longitude - out[-1][0]) / 360)
        out.append([longitude - 360 * turns, latitude])
    if abs(out[-1][0] - out[0][0]) > 180:
        pole = 90.0 if out[0][1] > 0 else -90.0
        out += [[out[-1][0], pole], [out[0][0], pole], out[0]]
    return out


def named(geometry: dict[str, Any]) -> list[int]:
    """All arcs of a polygon or several."""
    polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    return [number for polygon in polygons for part in polygon for number in part]


def feature(kind: str, geometry: dict[str, Any]) -> dict[str, Any]:
    """A GeoJSON feature."""
    return {"type": "Feature", "properties": {"kind": kind}, "geometry": geometry}


if __name__ == "__main__":
    main(*sys.argv[1:])
