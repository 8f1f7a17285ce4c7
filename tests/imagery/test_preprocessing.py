"""Pixels to network input."""

from __future__ import annotations

import numpy as np
import pytest

from terrahash.errors import ImageError, InputError
from terrahash.imagery import Preprocessing
from terrahash.imagery.bands import Bands


def test_normalization_is_exact() -> None:
    image = np.array([0, 127, 128, 255], np.uint8).reshape(1, 1, 4, 1).repeat(3, axis=3)
    out = Preprocessing(32).normalize(image)
    assert out.dtype == np.float32
    assert out.shape == (1, 3, 1, 4)
    np.testing.assert_allclose(out[0, 0, 0], [-1, -0.0039216, 0.0039216, 1], atol=1e-6)


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert Preprocessing(64).resize(image) is image


def test_any_shape_becomes_a_square() -> None:
    image = np.full((50, 80, 3), 77, np.uint8)
    assert (Preprocessing(64).resize(image) == 77).all()
    assert Preprocessing(64)(image).shape == (1, 3, 64, 64)


def test_json_round_trip() -> None:
    one = Preprocessing(96, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert Preprocessing.from_json(one.to_json()) == one


@pytest.mark.parametrize("size", [0, 31, 1025])
def test_sizes_out_of_range(size: int) -> None:
    with pytest.raises(InputError, match=str(size)):
        Preprocessing(size)


def test_four_channels_are_no_transparency() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 80, 4), dtype=np.uint8)
    image[..., 3] = 0  # as transparency it would blacken the others
    bands = Bands(tuple("abcd"), "uint16", ((0, 1),) * 4, (1, 2, 3, 4), 4)
    four = Preprocessing(64, (0.0,) * 4, (1.0,) * 4, bands)
    assert four(image).shape == (1, 4, 64, 64)
    np.testing.assert_array_equal(
        four.resize(image)[..., :3], Preprocessing(64).resize(image[..., :3].copy())
    )
    assert Preprocessing.from_json(four.to_json()) == four


def test_other_bands_are_named() -> None:
    with pytest.raises(ImageError, match=r"shape \(8, 8, 4\).* takes .* 3 bands .*: red, green"):
        Preprocessing(32).resize(np.zeros((8, 8, 4), np.uint8))
    bands = Bands(("B02", "B08"), "uint16", ((0, 1),) * 2, (1, 2), 2)
    with pytest.raises(ImageError, match=r"shape \(8, 8, 3\).* 2 bands .*: B02, B08"):
        Preprocessing(32, (0.0,) * 2, (1.0,) * 2, bands).resize(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="3 means and 3 deviations for 2 channels"):
        Preprocessing(32, bands=bands)


def test_rgb_is_described_as_ever() -> None:
    assert list(Preprocessing(32).to_json()) == ["size", "mean", "std"]
