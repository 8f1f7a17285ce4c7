"""What headers say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from terrahash.errors import ImageError
from terrahash.imagery.scene import Scene, parse_time
from tests.imagery.conftest import MakeScene, pixels_of


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023:05:01 12:34:56", "2023-05-01T12:34:56Z"),
        ("2023-05-01T12:34:56Z", "2023-05-01T12:34:56Z"),
        ("2023-05-01T12:34:56.789012Z", "2023-05-01T12:34:56.789012Z"),
        ("2023-05-01T12:34:56+02:00", "2023-05-01T10:34:56Z"),
        ("2023-05-01", "2023-05-01T00:00:00Z"),
        ("20230501", "2023-05-01T00:00:00Z"),
        ("2023-05-01 12:34:56 UTC", "2023-05-01T12:34:56Z"),
        ("2023-13-01", None),
        ("0000:00:00 00:00:00", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_as_metadata_write_them(text: str, moment: str | None) -> None:
    assert parse_time(text) == moment


def test_header(make_scene: MakeScene) -> None:
    path = make_scene(
        "a.tif", pixels_of(4, 300, 500), nodata=0, overviews=(2, 4),
        names=("blue", "green", "red", "nir"),
        tags={"TIFFTAG_DATETIME": "2020:01:01 00:00:00", "ACQUISITION_DATE": "2019-06-07"},
    )  # fmt: skip
    scene = Scene.open(str(path))
    assert (scene.width, scene.height, scene.dtype) == (500, 300, np.dtype("uint16"))
    assert scene.block == (128, 128)
    assert scene.overviews == (2, 4)
    assert (scene.nodata, scene.mask) == (0, "nodata")
    assert scene.datetime == "2019-06-07T00:00:00Z"
    assert scene.choose(()) == (3, 2, 1)
    assert scene.place is not None


@pytest.mark.parametrize(
    "options",
    [
        {"crs": None},
        {"transform": (0.0, 0.0, 5.0, 0.0, 0.0, 5.0)},
        {"crs": 'LOCAL_CS["nowhere",UNIT["metre",1]]'},
    ],
)
def test_scenes_without_a_usable_place(make_scene: MakeScene, options: dict[str, Any]) -> None:
    import rasterio

    if "transform" in options:
        options = {"transform": rasterio.Affine(*options["transform"])}
    scene = Scene.open(str(make_scene("a.tif", pixels_of(1, 64, 64), **options)))
    assert scene.place is None


def test_complex_pixels_are_refused(make_scene: MakeScene) -> None:
    path = make_scene("a.tif", np.ones((1, 64, 64), np.complex64))
    with pytest.raises(ImageError, match="complex64"):
        Scene.open(str(path))


def test_limits(make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(make_scene("a.tif", pixels_of(2, 64, 64)))
    monkeypatch.setattr("terrahash.imagery.scene.MAX_SCENE_PIXELS", 4095)
    with pytest.raises(ImageError, match="64 × 64 pixels in 2 bands"):
        Scene.open(path)
    monkeypatch.setattr("terrahash.imagery.scene.MAX_SCENE_PIXELS", 4096)
    monkeypatch.setattr("terrahash.imagery.scene.MAX_BLOCK_BYTES", 128 * 128 * 4 - 1)
    with pytest.raises(ImageError, match="blocks of 128 × 128"):
        Scene.open(path)
