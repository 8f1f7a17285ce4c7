"""The built-in tiles of four bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from terrahash.datasets import load_dataset
from terrahash.datasets.scenes_ms import (
    BANDS,
    SCENES_MS_CLASSES,
    draw_tile,
    generate_scenes_ms,
)
from terrahash.errors import DatasetError, InputError

pytest.importorskip("rasterio", reason="GeoTIFF needs the extra 'geo'")


def test_tiles_are_placed_named_and_repeatable(tmp_path: Path) -> None:
    from terrahash.imagery.scene import Scene

    first = generate_scenes_ms(tmp_path / "a", size=32, per_class=2)
    again = generate_scenes_ms(tmp_path / "b", size=32, per_class=2)
    assert first.class_names == SCENES_MS_CLASSES
    assert len(first) == 12
    assert first.digests() == again.digests()
    assert len(set(first.digests())) == 12
    scenes = [Scene.open(str(path)) for path in first.paths]
    assert {(scene.width, scene.height, str(scene.dtype)) for scene in scenes} == {
        (32, 32, "uint16")
    }
    assert tuple(band.name for band in scenes[0].bands) == BANDS
    assert scenes[0].datetime == "2024-06-18T10:15:59Z"
    places = {scene.place.footprint((0, 0, 32, 32)) for scene in scenes if scene.place}
    assert len(places) == 12


def test_pairs_differ_in_near_infrared_alone() -> None:
    for one, other, factor in (
        ("turf", "artificial_turf", 2.0),
        ("forest", "dying_forest", 1.5),
        ("flooded_crop", "water", 1.5),
    ):
        for seed in range(5):
            high, low = (draw_tile(name, np.random.default_rng(seed), 48) for name in (one, other))
            np.testing.assert_array_equal(high[:3], low[:3])
            assert high[3].mean() > factor * low[3].mean()


def test_it_is_known_by_name() -> None:
    data = load_dataset("scenes-ms")
    assert data.name == "scenes-ms"
    assert len(data) == 240
    assert load_dataset("scenes-ms").digests() == data.digests()


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose 16 to 4096 pixels"):
        generate_scenes_ms(tmp_path / "a", size=8)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").touch()
    with pytest.raises(DatasetError, match="in the way"):
        generate_scenes_ms(tmp_path / "b", size=32, per_class=1)
