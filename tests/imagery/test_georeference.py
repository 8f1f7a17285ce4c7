"""Footprints against an independent, dense computation."""

from __future__ import annotations

import math

import numpy as np
import pytest

pyproj = pytest.importorskip("pyproj")

from terrahash.imagery.georeference import Georeference  # noqa: E402

WINDOWS = np.array([[0, 0, 256, 256], [700, 300, 256, 256], [1000, 900, 100, 37], [5, 5, 1, 1]])


def wkt(crs: str) -> str:
    return pyproj.CRS(crs).to_wkt()


def dense_ring(place: Georeference, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of eight points a pixel along a window's edge."""
    x, y, w, h = (float(v) for v in window)
    across, down = np.linspace(0, 1, int(w) * 8 + 1), np.linspace(0, 1, int(h) * 8 + 1)
    columns = np.concatenate([x + w * across, np.full(len(down), x + w), x + w * across[::-1],
                              np.full(len(down), x)])  # fmt: skip
    rows = np.concatenate([np.full(len(across), y), y + h * down, np.full(len(across), y + h),
                           y + h * down[::-1]])  # fmt: skip
    a, b, c, d, e, f = place.transform
    inverse = pyproj.Proj(pyproj.CRS(place.crs))
    if pyproj.CRS(place.crs).is_geographic:
        return a * columns + b * rows + c, d * columns + e * rows + f
    lon, lat = inverse(a * columns + b * rows + c, d * columns + e * rows + f, inverse=True)
    return np.asarray(lon), np.asarray(lat)


def expected(place: Georeference, window: np.ndarray) -> tuple[float, float, float, float]:
    """The box as the largest gap between sorted longitudes leaves it."""
    lon, lat = dense_ring(place, window)
    lon = (lon + 180) % 360 - 180
    around = np.sort(np.unique(lon))
    gaps = np.diff(np.append(around, around[0] + 360))
    widest = int(np.argmax(gaps))
    west, east = around[(widest + 1) % len(around)], around[widest]
    return float(west), float(lat.min()), float(east), float(lat.max())


def half_pixel(place: Georeference, window: np.ndarray, latitude: float) -> tuple[float, float]:
    """Half a pixel in degrees of longitude and latitude at a window."""
    metres = place.ground_distance(window[0] + window[2] / 2, window[1] + window[3] / 2)
    assert metres is not None
    degree = metres / 111_195 / 2
    return degree / max(math.cos(math.radians(latitude)), 1e-9), degree


CASES = {
    "utm": ("EPSG:32632", (10, 0, 500_000, 0, -10, 5_500_000)),
    "utm-30cm": ("EPSG:32718", (0.3, 0, 300_000, 0, -0.3, 8_500_000)),
    "utm-1km": ("EPSG:32633", (1000, 0, 100_000, 0, -1000, 8_000_000)),
    "web-mercator": ("EPSG:3857", (4.7, 0, 1_000_000, 0, -4.7, 6_000_000)),
    "web-mercator-coarse": ("EPSG:3857", (5_000, 0, -2_000_000, 0, -5_000, 9_000_000)),
    "rotated": ("EPSG:32632", (8, 3, 480_000, 4, -9, 5_300_000)),
    "rotated-quarter": ("EPSG:32601", (0, 10, 500_000, 10, 0, 7_000_000)),
    "south-up": ("EPSG:32632", (10, 0, 500_000, 0, 10, 5_500_000)),
    "degrees": ("EPSG:4326", (0.001, 0, 7, 0, -0.001, 47)),
    "polar-north": ("EPSG:3413", (50, 0, -900_000, 0, -50, -600_000)),
    "polar-near": ("EPSG:3413", (1000, 0, 20_000, 0, -1000, 150_000)),
    "polar-south": ("EPSG:3031", (100, 0, -2_000_000, 0, -100, 1_500_000)),
    "antimeridian-utm-1": ("EPSG:32701", (10, 0, 181_000, 0, -10, 8_000_000)),
    "antimeridian-utm-60": ("EPSG:32660", (30, 0, 693_000, 0, -30, 6_000_000)),
    "antimeridian-0-360": ("EPSG:4326", (0.01, 0, 179, 0, -0.01, -15)),
    "antimeridian-mercator": ("EPSG:3832", (500, 0, 3_280_000, 0, -500, -1_500_000)),
}


@pytest.mark.parametrize("name", CASES)
def test_within_half_a_pixel_of_a_dense_computation(name: str) -> None:
    crs, transform = CASES[name]
    place = Georeference(wkt(crs), transform)  # type: ignore[arg-type]
    assert place.usable
    boxes = place.footprints(WINDOWS)
    for window, box in zip(WINDOWS, boxes, strict=True):
        west, south, east, north = expected(place, window)
        sideways, upward = half_pixel(place, window, max(abs(south), abs(north)))
        assert abs((box[0] - west + 180) % 360 - 180) < sideways, (name, window)
        assert abs((box[2] - east + 180) % 360 - 180) < sideways, (name, window)
        assert abs(box[1] - south) < upward, (name, window)
        assert abs(box[3] - north) < upward, (name, window)
        assert (np.abs(box[[0, 2]]) <= 180).all()
    if name.startswith("antimeridian"):
        assert any(west > east for west, _, east, _ in boxes.tolist())


@pytest.mark.parametrize(
    ("crs", "pole"), [("EPSG:3413", 90.0), ("EPSG:3031", -90.0), ("EPSG:3995", 90.0)]
)
@pytest.mark.parametrize("corner", [(-128, 128), (-10, 200), (-1, 1), (0, 0), (-256, 256)])
def test_a_window_over_a_pole(crs: str, pole: float, corner: tuple[int, int]) -> None:
    x, y = corner
    place = Georeference(wkt(crs), (1000, 0, x * 1000.0, 0, -1000, y * 1000.0))
    west, south, east, north = place.footprints(np.array([[0, 0, 256, 256]]))[0].tolist()
    assert (west, east) == (-180.0, 180.0)
    assert pytest.approx(pole, abs=1e-6) == (north if pole > 0 else south)
    other = np.abs(dense_ring(place, np.array([0, 0, 256, 256]))[1]).min()
    assert abs(min(abs(south), abs(north)) - other) < 0.005


def test_a_window_beside_the_pole_does_not_hold_it() -> None:
    place = Georeference(wkt("EPSG:3413"), (1000, 0, 3_000, 0, -1000, 128_000))
    west, _, east, north = place.footprints(np.array([[0, 0, 256, 256]]))[0].tolist()
    assert north < 90
    assert (east - west) % 360 < 190


def test_what_has_no_place() -> None:
    utm = wkt("EPSG:32632")
    assert not Georeference(utm, (0, 0, 0, 0, 0, 0)).usable
    assert not Georeference(utm, (10, 10, 0, 10, 10, 0)).usable
    assert not Georeference(utm, (math.nan, 0, 0, 0, -10, 0)).usable
    assert not Georeference(utm, (math.inf, 0, 0, 0, -10, 0)).usable
    assert not Georeference('LOCAL_CS["nowhere",UNIT["metre",1]]', (1, 0, 0, 0, -1, 0)).usable
    assert not Georeference("nonsense", (1, 0, 0, 0, -1, 0)).usable
    far = Georeference(utm, (1e12, 0, 0, 0, -1e12, 0))
    assert far.footprint((5, 5, 5, 5)) is None


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32632", (10, 0, 500_000, 0, -10, 5_500_000), 10 / 0.9996),
        ("EPSG:3857", (10, 0, 0, 0, -10, 8_399_737.9), 10 * math.cos(math.radians(60))),
        ("EPSG:4326", (0.001, 0, 0, 0, -0.001, 0), 110.95),
    ],
)
def test_ground_distance_is_of_the_ground(
    crs: str, transform: tuple[float, ...], metres: float
) -> None:
    place = Georeference(wkt(crs), transform)  # type: ignore[arg-type]
    assert place.ground_distance(0, 0) == pytest.approx(metres, rel=0.005)
