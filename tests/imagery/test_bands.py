"""Which of a scene's bands an encoder takes."""

from __future__ import annotations

import numpy as np
import pytest

from terrahash.errors import ImageError, InputError
from terrahash.imagery.bands import Bands, check_choice, common_name
from terrahash.imagery.raster import read_bands, read_raster
from terrahash.imagery.rendering import Rendering
from terrahash.imagery.scaling import Scaling
from terrahash.imagery.scene import Scene
from terrahash.imagery.window import read_window

from .conftest import MakeScene, pixels_of

FOUR = Bands(
    ("B02", "B03", "B04", "B08"), "uint16", ((0, 1000), (0, 2000), (0, 4000), (0, 8000)),
    (1, 2, 3, 4), 4,
)  # fmt: skip
TWO_OF_FIVE = Bands(("B08", "B02"), "uint16", ((0, 5000), (0, 5000)), (4, 1), 5)


def scene_of(make_scene: MakeScene, names: tuple[str, ...], dtype: str = "uint16") -> Scene:
    pixels = pixels_of(len(names), 40, 40, dtype)
    return Scene.open(str(make_scene("scene.tif", pixels, names=names)))


def test_bands_are_found_by_name_in_any_order(make_scene: MakeScene) -> None:
    scene = scene_of(make_scene, ("B08", "B11", "B04", "B03", "b02 (blue)"))
    assert FOUR.choose(scene) == (5, 4, 3, 1)
    assert FOUR.choose(scene, ("2", "B11", "3", "b08")) == (2, 2, 3, 1)


def test_bands_are_found_by_what_they_show(make_scene: MakeScene) -> None:
    scene = scene_of(make_scene, ("nir", "red", "green", "blue"))
    assert FOUR.choose(scene) == (4, 3, 2, 1)
    assert common_name("B8A") == "nir08"
    assert common_name("something") == "something"


def test_unnamed_bands_are_taken_by_their_number(make_scene: MakeScene) -> None:
    assert FOUR.choose(scene_of(make_scene, ("",) * 4)) == (1, 2, 3, 4)
    assert TWO_OF_FIVE.choose(scene_of(make_scene, ("",) * 5)) == (4, 1)
    assert TWO_OF_FIVE.choose(scene_of(make_scene, ("",) * 2)) == (1, 2)


def test_wrong_bands_are_named_with_those_expected(make_scene: MakeScene) -> None:
    with pytest.raises(ImageError) as caught:
        FOUR.choose(scene_of(make_scene, ("red", "green", "blue")))
    text = str(caught.value)
    assert "3 bands (red, green, blue)" in text
    assert "takes 4: B02, B03, B04, B08; B08 not found" in text
    assert "--bands" in text
    with pytest.raises(ImageError, match=r"3 bands \(without names\); the encoder takes 4"):
        FOUR.choose(scene_of(make_scene, ("",) * 3))
    with pytest.raises(ImageError, match="2 bands were chosen"):
        FOUR.choose(scene_of(make_scene, ("",) * 3), ("1", "2"))


def test_values_of_another_kind_are_refused_unless_scaled(make_scene: MakeScene) -> None:
    scene = scene_of(make_scene, FOUR.names, "uint8")
    with pytest.raises(ImageError, match=r"type uint8; the encoder takes uint16, .*0 to 8000"):
        Rendering.of(scene, (), Scaling(), FOUR)
    assert Rendering.of(scene, (), Scaling.parse("0:250"), FOUR).limits == ((0.0, 250.0),) * 4
    assert Rendering.of(scene_of(make_scene, FOUR.names, "int16"), (), Scaling(), FOUR)


def test_numbers_of_chosen_bands() -> None:
    check_choice((), None)
    check_choice(("1",), None)
    check_choice(("1", "2", "3", "5"), FOUR)
    with pytest.raises(InputError, match="2 bands were chosen"):
        check_choice(("1", "2"), None)
    with pytest.raises(InputError, match="the encoder takes 4: B02"):
        check_choice(("1", "2", "3"), FOUR)


def test_json_and_checks() -> None:
    assert Bands.from_json(TWO_OF_FIVE.to_json()) == TWO_OF_FIVE
    with pytest.raises(InputError, match="2 bands with 1 ranges"):
        Bands(("a", "b"), "uint8", ((0, 1),), (1, 2), 2)


def test_pixels_are_scaled_band_by_band(make_scene: MakeScene) -> None:
    pixels = pixels_of(5, 30, 50)
    path = make_scene("a.tif", pixels, names=("B08", "x", "B04", "B03", "B02"))
    image = read_bands(path, FOUR)
    assert image.shape == (30, 50, 4)
    for channel, (band, (_, high)) in enumerate(zip((4, 3, 2, 0), FOUR.limits, strict=True)):
        expected = np.clip(np.rint(pixels[band] * (255.0 / high)), 0, 255)
        np.testing.assert_array_equal(image[..., channel], expected)
    np.testing.assert_array_equal(read_bands(path.read_bytes(), FOUR), image)
    with pytest.raises(ImageError, match="the image: cannot be read"):
        read_bands(b"II*\0 no TIFF at all", FOUR)
    with pytest.raises(ImageError, match="50 × 30 pixels are no tile"):
        read_bands(path, FOUR, max_pixels=1000)


def test_one_band_stays_one(make_scene: MakeScene) -> None:
    path = make_scene("sar.tif", pixels_of(1, 20, 20))
    one = Bands(("1",), "uint16", ((0, 10_000),), (1,), 1)
    assert read_bands(path, one).shape == (20, 20, 1)
    assert read_raster(str(path)).image.shape == (20, 20, 3)


def test_people_are_shown_colours(make_scene: MakeScene) -> None:
    pixels = pixels_of(4, 40, 40)
    path = make_scene("a.tif", pixels, names=("B08", "B02", "B03", "B04"))
    read = read_raster(str(path), expected=FOUR)
    text = {"bands": read.rendering.bands_text, "limits": read.rendering.limits_text}
    assert text["bands"] == "2,3,4,1"
    shown = read_window(path, (0, 0, 40, 40), **text)
    np.testing.assert_array_equal(shown, read.image[..., [2, 1, 0]])
    np.testing.assert_array_equal(
        read_window(path, (0, 0, 40, 40), bands="1,2", limits="0:9,0:9")[..., 0],
        np.clip(np.rint(pixels[0] * (255 / 9)), 0, 255),
    )


def test_many_bands_are_shown_without_a_record(make_scene: MakeScene) -> None:
    path = make_scene("a.tif", pixels_of(6, 40, 40), crs=None)
    assert read_window(path).shape == (40, 40, 3)
