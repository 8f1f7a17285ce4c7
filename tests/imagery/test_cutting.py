"""Cutting scenes into windows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrahash.errors import ImageError
from terrahash.imagery import Length, Tiling, cutting, read_window
from terrahash.imagery.clock import Clock
from terrahash.imagery.cutting import BlankError, read_tiles
from terrahash.imagery.rendering import Rendering
from terrahash.imagery.scaling import Scaling
from terrahash.imagery.scene import Scene
from tests.imagery.conftest import MakeScene, pixels_of


def cut(path: Path, tiling: Tiling) -> dict[tuple[int, ...], np.ndarray]:
    """All tiles of a scene by window; a tile left out is missing."""
    scene = Scene.open(str(path))
    rendering = Rendering.of(scene, tiling.bands, tiling.scaling)
    grid = tiling.grid(scene.width, scene.height, scene.place, "scene")
    out = {}
    for row in read_tiles(rendering, grid.windows(), shown=grid.shown, clock=Clock()):
        for tile in row:
            try:
                image = tile.image(rendering, grid.shown, tiling.min_valid)
            except BlankError:
                continue
            assert tile.window not in out
            out[tile.window] = image
    return out


def tiling(side: int = 100, stride: int | None = None, **more: Any) -> Tiling:
    return Tiling(Length(side), Length(stride) if stride else None, **more)


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize(("side", "stride"), [(128, 128), (100, 70), (60, 150), (512, 512)])
def test_windows_show_their_pixels(
    make_scene: MakeScene, side: int, stride: int, tiled: bool
) -> None:
    pixels = pixels_of(3, 310, 405, "uint8")
    path = make_scene("a.tif", pixels, tiled=tiled)
    found = cut(path, tiling(side, stride))
    for (x, y, width, height), image in found.items():
        expected = pixels[:, y : y + height, x : x + width].transpose(1, 2, 0)
        np.testing.assert_array_equal(image, expected)
    if stride <= side:
        seen = np.zeros((310, 405), bool)
        for x, y, width, height in found:
            seen[y : y + height, x : x + width] = True
        assert seen.all()


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize(("side", "stride"), [(128, 128), (100, 70), (300, 300)])
def test_each_block_is_read_once(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch, side: int, stride: int, interleave: str
) -> None:
    path = make_scene("a.tif", pixels_of(4, 600, 900), interleave=interleave)
    read: Counter[tuple[int, int]] = Counter()
    plain = cutting.read_part

    def counting(dataset: Any, rendering: Any, window: Any, *shape: Any) -> Any:
        x, y, width, height = window
        for row in range(y // 128, -(-(y + height) // 128)):
            for column in range(x // 128, -(-(x + width) // 128)):
                read[row, column] += 1
        return plain(dataset, rendering, window, *shape)

    monkeypatch.setattr(cutting, "read_part", counting)
    cut(path, tiling(side, stride, scaling=Scaling("range", 0, 10_000)))
    assert len(read) == 5 * 8
    assert set(read.values()) == {1}


def test_wide_scenes_are_cut_in_columns(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = pixels_of(3, 300, 2000, "uint8")
    path = make_scene("a.tif", pixels)
    whole = cut(path, tiling(90, 80))
    widest = 0
    plain = cutting.read_part

    def watching(dataset: Any, rendering: Any, window: Any, *shape: Any) -> Any:
        nonlocal widest
        widest = max(widest, window[2])
        return plain(dataset, rendering, window, *shape)

    monkeypatch.setattr(cutting, "read_part", watching)
    monkeypatch.setattr(cutting, "MAX_HELD_BYTES", 500 * 3 * 218)
    narrow = cut(path, tiling(90, 80))
    assert widest <= 640
    assert whole.keys() == narrow.keys()
    for window, image in whole.items():
        np.testing.assert_array_equal(narrow[window], image)


def test_only_the_rows_that_are_asked_for_are_read(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_scene("a.tif", pixels_of(3, 1280, 256, "uint8"))
    scene = Scene.open(str(path))
    rendering = Rendering.of(scene, (), Scaling())
    read = []
    plain = cutting.read_part

    def noting(dataset: Any, rendering: Any, window: Any, *shape: Any) -> Any:
        read.append(window[1])
        return plain(dataset, rendering, window, *shape)

    monkeypatch.setattr(cutting, "read_part", noting)
    windows = np.array([[0, 1000, 64, 64], [0, 300, 64, 64]])
    rows = list(read_tiles(rendering, windows, shown=64, clock=Clock()))
    assert [tile.window[1] for row in rows for tile in row] == [300, 1000]
    assert read == [256, 896, 1024]


def test_overviews_are_used_when_downscaling(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = np.mgrid[:1024, :1024]
    smooth = np.stack([x / 5, y / 5, (x + y) / 10]).astype(np.uint8)
    fine = make_scene("fine.tif", smooth, overviews=(2, 4, 8))
    bare = make_scene("bare.tif", smooth)
    levels = []
    plain = cutting.opened_scene

    def noting(scene: Scene, *, overview: int | None = None, **more: Any) -> Any:
        levels.append(overview)
        return plain(scene, overview=overview, **more)

    monkeypatch.setattr(cutting, "opened_scene", noting)
    coarse = Tiling(Length(64), gsd=40.0)
    one, other = cut(fine, coarse), cut(bare, coarse)
    assert levels == [1, None]
    # Ground metres are not exactly UTM's metres: 64 px of 40 m are 256 or 257 of 10 m.
    assert {window[2] for window in one} <= {256, 257}
    assert one.keys() == other.keys()
    for window, image in one.items():
        assert image.shape == (64, 64, 3)
        assert np.abs(image.astype(int) - other[window]).max() <= 3


def test_a_finer_distance_cuts_smaller_windows(make_scene: MakeScene) -> None:
    path = make_scene("a.tif", pixels_of(3, 256, 256, "uint8"))
    sides = {window[2] for window in cut(path, Tiling(Length(64), gsd=5.0))}
    assert sides == {32}


def test_metres(make_scene: MakeScene) -> None:
    path = make_scene("a.tif", pixels_of(3, 256, 256, "uint8"))
    sides = {window[2:] for window in cut(path, Tiling(Length(640, "m"), Length(320, "m")))}
    assert sides == {(64, 64)}
    placeless = make_scene("b.tif", pixels_of(3, 64, 64, "uint8"), crs=None)
    with pytest.raises(ImageError, match="no place"):
        cut(placeless, Tiling(Length(640, "m")))


def test_nodata_alpha_and_masks_leave_windows_out(make_scene: MakeScene) -> None:
    empty = np.zeros((256, 256), bool)
    empty[:128, :128] = True
    empty[:96, 128:] = True
    empty[128:, 128:160] = True
    pixels = pixels_of(3, 256, 256, "uint8") + 1
    void = np.where(empty, 0, pixels).astype(np.uint8)
    alpha = np.concatenate([pixels, np.where(empty, 0, 255)[None]]).astype(np.uint8)
    scenes = [
        make_scene("nodata.tif", void, nodata=0),
        make_scene("alpha.tif", alpha, photometric="rgb", alpha="yes"),
        make_scene("mask.tif", pixels, mask=~empty),
    ]
    nan = np.where(empty, np.nan, pixels).astype(np.float32)
    for path in scenes:
        found = cut(path, tiling(128))
        # A quarter of the second window is valid, three quarters of the last.
        assert found.keys() == {(0, 128, 128, 128), (128, 128, 128, 128)}, path
        assert (found[128, 128, 128, 128][:, :32] == 0).all()
        assert len(cut(path, tiling(128, min_valid=0.2))) == 3
    floats = cut(make_scene("nan.tif", nan), tiling(128, scaling=Scaling("range", 0, 255)))
    for window, image in floats.items():
        np.testing.assert_array_equal(image, found[window])


def test_bands_by_number_name_and_nature(make_scene: MakeScene) -> None:
    pixels = pixels_of(4, 64, 64, "uint8")
    path = make_scene("a.tif", pixels, names=("B02", "B03", "B04", "B08"))
    (natural,) = cut(path, tiling(64)).values()
    np.testing.assert_array_equal(natural, pixels[[2, 1, 0]].transpose(1, 2, 0))
    (infrared,) = cut(path, tiling(64, bands=("b08", "3", "B03"))).values()
    np.testing.assert_array_equal(infrared, pixels[[3, 2, 1]].transpose(1, 2, 0))
    (grey,) = cut(path, tiling(64, bands=("2",))).values()
    np.testing.assert_array_equal(grey[..., 2], pixels[1])
    with pytest.raises(ImageError, match="B02, B03, B04, B08"):
        cut(path, tiling(64, bands=("B12",)))
    with pytest.raises(ImageError, match="'5'"):
        cut(path, tiling(64, bands=("5",)))


def test_palettes_are_looked_up(make_scene: MakeScene, tmp_path: Path) -> None:
    import rasterio

    path = tmp_path / "p.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8",
        crs="EPSG:3857", transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as target:  # fmt: skip
        target.write(np.full((1, 64, 64), 7, np.uint8))
        target.write_colormap(1, {7: (10, 200, 30, 255)})
    (image,) = cut(path, tiling(64)).values()
    assert image[0, 0].tolist() == [10, 200, 30]


def test_a_window_is_shown_as_it_was_encoded(make_scene: MakeScene) -> None:
    path = make_scene("a.tif", pixels_of(4, 400, 500), overviews=(2,))
    scene = Scene.open(str(path))
    rendering = Rendering.of(scene, ("4", "2", "1"), Scaling())
    for window, image in cut(path, tiling(96, bands=("4", "2", "1"))).items():
        again = read_window(
            str(path), window, bands=rendering.bands_text, limits=rendering.limits_text
        )
        np.testing.assert_array_equal(again, image)
    with pytest.raises(ImageError, match="not in it"):
        read_window(str(path), (450, 0, 96, 96))
    small = read_window(str(path), (0, 0, 400, 400), pixels=100)
    assert small.shape == (100, 100, 3)
