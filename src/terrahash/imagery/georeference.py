"""Where pixels lie on the Earth: footprints in EPSG:4326 and ground sampling distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import MissingExtraError

Floats = NDArray[np.float64]

# Points on each edge of a footprint. Within 80° of latitude edges bend so little over a tile that
# the extremes between two points are well below half a pixel off; nearer to the poles more are
# needed, since a parallel may curve sharply past an edge.
EDGE_POINTS = 16
POLAR_EDGE_POINTS = 512
POLAR_LATITUDE = 80.0
# Latitudes this near to a pole are the pole: their longitude means nothing.
POLE = 90.0 - 1e-9


@dataclass(frozen=True)
class Georeference:
    """A coordinate reference system and the affine way from pixels to it.

    Attributes:
        crs: well-known text.
        transform: a, b, c, d, e, f: ``X = a·column + b·row + c``, ``Y = d·column + e·row + f``
            with columns and rows counted from the outer corner of the first pixel.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]

    @cached_property
    def usable(self) -> bool:
        """Whether it can be turned into degrees: regular, finite, and of a CRS on the Earth."""
        a, b, _, d, e, _ = self.transform
        size = max(abs(a), abs(b), abs(d), abs(e))
        if not np.isfinite(self.transform).all() or abs(a * e - b * d) <= 1e-12 * size * size:
            return False
        return self._to_degrees is not None

    @cached_property
    def _to_degrees(self) -> Any:
        try:
            import pyproj
        except ModuleNotFoundError:
            raise MissingExtraError("footprints of scenes", "geo", "pyproj") from None
        try:
            return pyproj.Transformer.from_crs(self.crs, 4326, always_xy=True)
        except pyproj.exceptions.ProjError:
            return None

    def degrees(self, columns: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Longitudes and latitudes of places in pixels; infinite where there are none."""
        a, b, c, d, e, f = self.transform
        lon, lat = self._to_degrees.transform(
            a * columns + b * rows + c, d * columns + e * rows + f
        )
        return np.asarray(lon, np.float64), np.asarray(lat, np.float64)

    def outline(self, windows: NDArray[np.integer[Any]], points: int) -> tuple[Floats, Floats]:
        """``(N, 4·points)`` longitudes and latitudes along the edges of windows, clockwise."""
        step = np.arange(points) / points
        zero, one = np.zeros(points), np.ones(points)
        across = np.concatenate([step, one, 1 - step, zero])
        down = np.concatenate([zero, step, one, 1 - step])
        x, y, width, height = (windows[:, part, None].astype(np.float64) for part in range(4))
        return self.degrees(x + width * across, y + height * down)

    def footprints(self, windows: NDArray[np.integer[Any]]) -> Floats:
        """Boxes around windows.

        Args:
            windows: ``(N, 4)`` x, y, width, height in pixels.

        Returns:
            ``(N, 4)`` west, south, east, north in degrees; west > east where a window crosses the
            antimeridian, −180 and 180 where it holds a pole; NaN where it has no place.
        """
        windows = np.asarray(windows).reshape(-1, 4)
        boxes = _boxes(*self.outline(windows, EDGE_POINTS))
        polar = np.flatnonzero(np.abs(boxes[:, [1, 3]]).max(axis=1, initial=0) > POLAR_LATITUDE)
        for row in polar.tolist():
            boxes[row] = _boxes(*self.outline(windows[row : row + 1], POLAR_EDGE_POINTS))[0]
        return boxes

    def footprint(self, window: Sequence[int]) -> tuple[float, float, float, float] | None:
        """The box around one window, or None where it has no place."""
        box = self.footprints(np.array([window]))[0]
        if np.isnan(box).any():
            return None
        west, south, east, north = box.tolist()
        return west, south, east, north

    def ground_distance(self, column: float, row: float) -> float | None:
        """Metres on the ground between neighbouring pixels, geometric mean of both directions.

        True ground metres whatever the projection's scale there (Web Mercator stretches by
        1 / cos latitude); None where the place is nowhere.
        """
        import pyproj

        lon, lat = self.degrees(
            np.array([column - 0.5, column + 0.5, column, column]),
            np.array([row, row, row - 0.5, row + 0.5]),
        )
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return None
        _, _, apart = pyproj.Geod(ellps="WGS84").inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
        distance = float(np.sqrt(np.prod(apart)))
        return distance if distance > 0 else None


def _boxes(lon: Floats, lat: Floats) -> Floats:
    """Boxes ``(N, 4)`` around rings ``(N, P)``."""
    finite = np.isfinite(lon) & np.isfinite(lat)
    placed = finite.all(axis=1)
    lon, lat = np.where(finite, lon, 0.0), np.where(finite, lat, 0.0)
    # Follow each ring in steps of less than half a turn; a full turn goes round a pole.
    steps = np.diff(np.concatenate([lon, lon[:, :1]], axis=1), axis=1)
    steps = (steps + 180.0) % 360.0 - 180.0
    along = lon[:, :1] + np.concatenate([np.zeros((len(lon), 1)), np.cumsum(steps, axis=1)], axis=1)
    turned = np.abs(along[:, -1] - along[:, 0]) > 180.0
    west, east = along.min(axis=1), along.max(axis=1)
    south, north = lat.min(axis=1), lat.max(axis=1)
    touches = (np.abs(lat) >= POLE).any(axis=1)
    around = turned | touches | (east - west >= 360.0)
    south = np.where(turned & (south + north < 0), -90.0, south)
    north = np.where(turned & (south + north >= 0), 90.0, north)
    west, east = _within(west), _within(east)
    # A box that ends at the antimeridian ends there from its own side.
    east = np.where((east == -180.0) & (west > -180.0), 180.0, east)
    west = np.where((west == 180.0) & (east < 180.0), -180.0, west)
    boxes = np.stack(
        [np.where(around, -180.0, west), south, np.where(around, 180.0, east), north], axis=1
    )
    boxes[~placed] = np.nan
    return boxes


def _within(lon: Floats) -> Floats:
    """Longitudes brought into −180…180; what is there already stays to the last bit."""
    wrapped = (lon + 180.0) % 360.0 - 180.0
    return np.where(np.abs(lon) <= 180.0, lon, wrapped)
