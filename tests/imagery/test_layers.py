"""Scenes of several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")

from terrahash.errors import ImageError, InputError  # noqa: E402
from terrahash.imagery import Length, Tiling, read_window  # noqa: E402
from terrahash.imagery.clock import Clock  # noqa: E402
from terrahash.imagery.cutting import HiddenError, read_tiles  # noqa: E402
from terrahash.imagery.layers import Layer, layered, sources_of  # noqa: E402
from terrahash.imagery.rendering import Rendering  # noqa: E402
from terrahash.imagery.scaling import Scaling  # noqa: E402
from terrahash.imagery.scene import Scene  # noqa: E402
from terrahash.imagery.veils import Mask, Veil  # noqa: E402
from tests.imagery.conftest import MakeScene, pixels_of  # noqa: E402
from tests.imagery.server import Behaviour, serving  # noqa: E402

FIXED = Scaling("range", 0, 10_200)


def grid(size: float) -> Any:
    """Pixels of so many metres, from one corner."""
    return rasterio.Affine(size, 0, 500_000, 0, -size, 5_500_000)


@pytest.fixture
def sentinel(make_scene: MakeScene) -> list[Layer]:
    """Three bands in files of their own: 10 m, 20 m, 60 m, all with blocks of 128."""
    return [
        Layer(str(make_scene(f"{name}.tif", pixels_of(1, side, side) * (n + 1) % 9973,
                             transform=grid(metres))), 1, name)
        for n, (name, metres, side) in enumerate(
            [("B12", 20, 300), ("B03", 10, 600), ("B01", 60, 100)]
        )
    ]  # fmt: skip


def stored(layers: list[Layer], factors: tuple[int, ...]) -> Any:
    """The bands brought to the finest grid by repeating pixels."""
    out = []
    for layer, factor in zip(layers, factors, strict=True):
        with rasterio.open(layer.source) as file:
            out.append(file.read(1).repeat(factor, 0).repeat(factor, 1))
    return np.stack(out)


def tiles(rendering: Rendering, tiling: Tiling) -> dict[Any, Any]:
    scene = rendering.scene
    windows = tiling.grid(scene.width, scene.height, scene.place, "x")
    rows = read_tiles(rendering, windows.windows(), shown=windows.shown, clock=Clock())
    return {raw.window: raw for row in rows for raw in row}


@pytest.mark.parametrize("tile", [50, 96, 256])
def test_bands_are_brought_to_the_finest_grid(sentinel: list[Layer], tile: int) -> None:
    scene = layered(sentinel)
    assert scene.source == sentinel[1].source
    assert [band.name for band in scene.bands] == ["B12", "B03", "B01"]
    assert (scene.width, scene.height) == (600, 600)
    rendering = Rendering.of(scene, (), FIXED)
    expected = stored(sentinel, (2, 1, 6))
    found = tiles(rendering, Tiling(Length(tile), scaling=FIXED))
    for (x, y, width, height), raw in found.items():
        pixels = np.concatenate(raw.parts, axis=1)
        np.testing.assert_array_equal(pixels, expected[:, y : y + height, x : x + width])
        text = {"bands": rendering.bands_text, "limits": rendering.limits_text}
        shown = read_window(scene.source, raw.window, **text)
        np.testing.assert_array_equal(shown, raw.image(rendering, tile, 0.5))


def test_each_block_of_each_file_is_read_once(
    sentinel: list[Layer], monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = Rendering.of(layered(sentinel), (), FIXED)
    rows: dict[str, list[tuple[int, int]]] = {}
    plain = rasterio.io.DatasetReader.read

    def counted(dataset: Any, *args: Any, **options: Any) -> Any:
        window = options["window"]
        found = rows.setdefault(str(dataset.width), [])
        found.append((int(window.row_off), int(window.row_off + window.height)))
        return plain(dataset, *args, **options)

    class Counting(rasterio.io.DatasetReader):  # type: ignore[misc]
        read = counted

    monkeypatch.setattr(rasterio.io, "DatasetReader", Counting)
    assert len(tiles(rendering, Tiling(Length(96), Length(40)))) == 14**2
    assert rows == {
        "600": [(0, 128), (128, 256), (256, 384), (384, 512), (512, 600)],
        "300": [(0, 128), (128, 256), (256, 300)],
        "100": [(0, 100)],
    }


def test_overviews(make_scene: MakeScene) -> None:
    flat = [np.full((1, side, side), 1000 * n, np.uint16) for n, side in ((1, 512), (2, 256))]
    layers = [
        Layer(str(make_scene(f"{n}.tif", pixels, transform=grid(metres), overviews=(2, 4))))
        for n, (pixels, metres) in enumerate(zip(flat, (10, 20), strict=True))
    ]
    rendering = Rendering.of(layered([layers[0], layers[1], layers[0]]), (), FIXED)
    image = read_window(
        layers[0].source, (0, 0, 512, 512), bands=rendering.bands_text,
        limits=rendering.limits_text, pixels=64,
    )  # fmt: skip
    assert image.shape == (64, 64, 3)
    assert (image == [25, 50, 25]).all()


def test_files_that_do_not_fit(make_scene: MakeScene, sentinel: list[Layer]) -> None:
    one = pixels_of(1, 300, 300)

    def refused(name: str, pixels: Any, **options: Any) -> str:
        layer = Layer(str(make_scene(name, pixels, **options)))
        with pytest.raises(ImageError) as caught:
            layered([sentinel[1], layer])
        assert layer.source in caught.value.message or "types" in caught.value.message
        return caught.value.message

    assert "does not lie" in refused("zone.tif", one, crs="EPSG:32633", transform=grid(20))
    assert "cover" in refused("small.tif", one[:, :250], transform=grid(20))
    turned = rasterio.Affine(20, 1, 500_000, 1, -20, 5_500_000)
    assert "does not lie" in refused("turned.tif", one, transform=turned)
    assert "only one of them" in refused("nowhere.tif", one, crs=None, transform=grid(1))
    assert "types" in refused("bytes.tif", one.astype(np.uint8), transform=grid(20))
    with pytest.raises(ImageError, match="no band 2"):
        layered([sentinel[1], Layer(sentinel[0].source, 2)])


def test_a_shift_of_half_a_pixel_is_no_harm(make_scene: MakeScene) -> None:
    """As between Landsat's panchromatic band and the others."""
    fine = Layer(str(make_scene("p.tif", pixels_of(1, 201, 201), transform=grid(15))))
    corner = rasterio.Affine(30, 0, 500_000 - 7.5, 0, -30, 5_500_000 + 7.5)
    coarse = Layer(str(make_scene("c.tif", pixels_of(1, 101, 101), transform=corner)))
    rendering = Rendering.of(layered([fine, coarse, coarse]), (), FIXED)
    ((raw,),) = (list(tiles(rendering, Tiling(Length(256))).values()),)
    with rasterio.open(coarse.source) as file:
        there = file.read(1)
    rows = np.floor((np.arange(201) + 0.5) * 15 / 30 + 0.25).astype(int)
    np.testing.assert_array_equal(np.concatenate(raw.parts, 1)[1], there[rows[:, None], rows])


def test_names_of_files_with_commas(make_scene: MakeScene) -> None:
    layers = [
        Layer(str(make_scene(name, pixels_of(1, 64, 64) + n)))
        for n, name in enumerate(["a,b @2.tif", "ü,%2C.tif", "c.tif"])
    ]
    rendering = Rendering.of(layered(layers), (), FIXED)
    found = sources_of(rendering.scene.source, rendering.bands_text)
    assert found == [layers[0].source, layers[1].source, layers[2].source]
    again = Rendering.recorded(
        Scene.open(layers[0].source), rendering.bands_text, rendering.limits_text
    )
    assert again.bands_text == rendering.bands_text
    with pytest.raises(ImageError, match="no band"):
        Rendering.recorded(Scene.open(layers[0].source), "x@y", "0:1")


def test_over_http_beside_a_local_file(make_scene: MakeScene, sentinel: list[Layer]) -> None:
    local = layered(sentinel)
    expected = tiles(Rendering.of(local, (), FIXED), Tiling())
    folder = Path(sentinel[0].source).parent
    with serving(folder, Behaviour(fail_every=7)) as address:
        away = [Layer(f"{address}/{Path(one.source).name}", 1, one.name) for one in sentinel]
        for layers in (away, [away[0], sentinel[1], away[2]], [sentinel[0], away[1], sentinel[2]]):
            found = tiles(Rendering.of(layered(layers), (), FIXED), Tiling())
            for window, raw in found.items():
                np.testing.assert_array_equal(
                    np.concatenate(raw.parts, 1), np.concatenate(expected[window].parts, 1)
                )


def test_offsets(make_scene: MakeScene) -> None:
    """Sentinel-2 before and after baseline 04.00 look the same."""
    before = pixels_of(3, 64, 64) % 5000
    old = str(make_scene("old.tif", before))
    new = str(make_scene("new.tif", before + 1000))
    scene = Scene.open(old)
    fixed = Scaling("range", 0, 3000)
    says = [Layer(new, n, scale=0.0001, offset=-0.1, nodata=0) for n in (1, 2, 3)]
    shifted = layered(says)
    assert shifted.nodata == 0
    window = Rendering.of(shifted, (), fixed)
    assert window.limits == ((1000.0, 4000.0),) * 3
    shown = read_window(new, (0, 0, 64, 64), bands=window.bands_text, limits=window.limits_text)
    plain = Rendering.of(scene, (), fixed)
    np.testing.assert_array_equal(
        shown, read_window(old, (0, 0, 64, 64), bands=plain.bands_text, limits=plain.limits_text)
    )
    reflectance = Rendering.of(shifted, (), Scaling.parse("units:0:0.3"))
    np.testing.assert_allclose(reflectance.limits, window.limits)
    with pytest.raises(ImageError, match="units are not known"):
        Rendering.of(scene, (), Scaling.parse("units:0:0.3"))
    # What the file says of itself goes first.
    with rasterio.open(new, "r+") as file:
        file.scales, file.offsets = (0.001,) * 3, (-1.0,) * 3
    assert Rendering.of(Scene.open(new), (), fixed).limits == ((1000.0, 4000.0),) * 3
    assert (
        Rendering.of(layered(says), (), Scaling.parse("units:0:3")).limits
        == ((1000.0, 4000.0),) * 3
    )


def test_masks() -> None:
    values = np.array([[0, 3, 4], [8, 40, 255]], np.uint8)
    assert Mask("scl").hides(values).tolist() == [[False, True, False], [True, False, False]]
    assert Mask("clp", ">=40").hides(values).sum() == 2
    assert Mask("qa", "bits:3,5").hides(values).tolist() == [
        [False, False, False],
        [True, True, True],
    ]
    assert str(Mask("scl", "3,8", 0.25)) == "scl[3,8]<=0.25"
    for values_text in ("", "x", ">=", "3,,4", ">=a", "bits:", "bits:1.5", "bits:32", "bits:-1"):
        with pytest.raises(InputError, match="no values of a mask"):
            Mask("scl", values_text)
    with pytest.raises(InputError, match="share of hidden"):
        Mask("scl", most=1.5)


def test_a_veil_over_a_scene(make_scene: MakeScene) -> None:
    path = str(make_scene("a.tif", pixels_of(3, 256, 256, "uint8")))
    classes = np.zeros((1, 128, 128), np.uint8)
    classes[0, :32, :64] = 9
    mask = Mask(str(make_scene("scl.tif", classes, transform=grid(20))), most=0.4)
    scene = Scene.open(path)
    rendering = Rendering.of(scene, (), Scaling(), veil=Veil.over(scene, mask.name, mask))
    found = tiles(rendering, Tiling(Length(128), mask=mask))
    shares = {window[:2]: raw.hidden for window, raw in found.items()}
    assert shares == {(0, 0): 0.5, (128, 0): 0.0, (0, 128): 0.0, (128, 128): 0.0}
    with pytest.raises(HiddenError, match="window 0 0 128 128: 50% of it"):
        found[0, 0, 128, 128].image(rendering, 128, 0.5)
    assert found[128, 0, 128, 128].image(rendering, 128, 0.5).shape == (128, 128, 3)
    elsewhere = str(make_scene("b.tif", classes, transform=grid(10)))
    with pytest.raises(ImageError, match="does not cover"):
        Veil.over(scene, elsewhere, mask)
