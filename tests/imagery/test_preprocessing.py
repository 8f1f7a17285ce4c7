"""Pixels to network input."""

from __future__ import annotations

import numpy as np
import pytest

from terrahash.errors import InputError
from terrahash.imagery import Preprocessing


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
