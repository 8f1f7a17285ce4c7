"""Values to 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

from terrahash.errors import InputError
from terrahash.imagery.scaling import Scaling, ToBytes, limits_text, parse_limits


@pytest.mark.parametrize("text", ["auto", "dtype", "percentiles:1:99", "0:3000", "-1:1", "0.5:0.7"])
def test_texts_round_trip(text: str) -> None:
    assert str(Scaling.parse(text)) == text


def test_percentiles_have_defaults() -> None:
    assert str(Scaling.parse("percentiles")) == "percentiles:2:98"


@pytest.mark.parametrize(
    "text",
    ["", "max", "3000:0", "1:1", "percentiles:50:40", "percentiles:-1:50", "a:b", "1:2:3", "0:inf"],
)
def test_nonsense(text: str) -> None:
    with pytest.raises(InputError):
        Scaling.parse(text)


def test_limits() -> None:
    assert Scaling().limits(np.dtype("uint8"), 2) == ((0, 255), (0, 255))
    assert Scaling().limits(np.dtype("uint16"), 2) is None
    assert Scaling("dtype").limits(np.dtype("int16"), 1) == ((-32768, 32767),)
    assert Scaling("dtype").limits(np.dtype("float32"), 1) == ((0, 1),)
    assert Scaling("range", 5, 6).limits(np.dtype("float32"), 1) == ((5, 6),)
    exact = Scaling("percentiles", 0, 100).limits_of([np.arange(1001), np.array([3, 3])])
    assert exact == ((0, 1000), (3, 4))
    assert Scaling().limits_of([np.empty(0)]) == ((0, 1),)
    limits = ((0.1, 1 / 3), (-5.0, 1e9))
    assert parse_limits(limits_text(limits)) == limits
    with pytest.raises(InputError):
        parse_limits("1,2")


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float32"]
)
def test_scaling_is_the_formula(dtype: str) -> None:
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype)
    high = 120 if kind.itemsize == 1 else 9_000
    low = -high if kind.kind != "u" else 0
    pixels = rng.integers(low, high, (2, 30, 40)).astype(kind)
    limits = ((10.0, 100.0), (-50.0, 7_000.0))
    got = ToBytes(kind, limits)(pixels)
    for band, (bottom, top) in enumerate(limits):
        exact = np.clip((pixels[band].astype(float) - bottom) * 255 / (top - bottom), 0, 255)
        assert np.abs(got[..., band] - exact).max() <= 0.5 + 1e-9


def test_8_bits_stay_as_they_are_and_16_bits_replicate() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(ToBytes(every.dtype, ((0.0, 255.0),))(every)[..., 0], every[0])
    wide = every.astype(np.uint16) * 257
    np.testing.assert_array_equal(ToBytes(wide.dtype, ((0.0, 65535.0),))(wide)[..., 0], every[0])


def test_what_is_no_number_is_black() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf, 0.5]]], np.float32)
    assert ToBytes(values.dtype, ((0.0, 1.0),))(values).ravel().tolist() == [0, 255, 0, 128]
