"""What a hash code is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrahash.codes import CodeLayout, binarize, check_codes, distances, pack, unpack
from terrahash.errors import InputError


def test_zero_activation_gives_one() -> None:
    assert binarize(np.array([-1.0, -0.0, 0.0, 1e-30])).tolist() == [False, True, True, True]


def test_packing_is_big_endian_within_bytes() -> None:
    assert pack(np.array([[1, 0, 0, 0, 0, 0, 0, 1, 1]])).tolist() == [[0b10000001, 0b10000000]]


@given(st.integers(8, 200), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_packing_round_trip(bits: int, count: int, seed: int) -> None:
    raw = np.random.default_rng(seed).integers(0, 2, (count, bits), dtype=np.uint8)
    np.testing.assert_array_equal(unpack(pack(raw), bits), raw)


@given(st.integers(8, 130), st.integers(0, 7), st.sampled_from([0.5, 1.0, 1.5, 2.0, 0.0625]))
def test_distances_count_each_differing_bit_at_its_weight(
    hash_bits: int, label_bits: int, weight: float
) -> None:
    layout = CodeLayout(hash_bits, label_bits, weight)
    rng = np.random.default_rng(hash_bits)
    a, b = (rng.integers(0, 2, (3, layout.bits)) for _ in range(2))
    weights = np.r_[np.ones(hash_bits), np.full(label_bits, weight)]
    expected = (a[:, None] != b[None]) @ weights
    np.testing.assert_array_equal(distances(pack(a), pack(b), layout), expected)


def test_layout_round_trip() -> None:
    layout = CodeLayout(59, 5, 0.5)
    assert CodeLayout.from_json(layout.to_json()) == layout
    assert (layout.bits, layout.nbytes, layout.units) == (64, 8, (2, 1, 2))


@pytest.mark.parametrize(
    ("hash_bits", "label_bits", "weight"),
    [(0, 8, 1), (7, 0, 1), (1025, 0, 1), (16, -1, 1), (16, 4, 0), (16, 4, 0.3), (16, 4, 65)],
)
def test_impossible_layouts(hash_bits: int, label_bits: int, weight: float) -> None:
    with pytest.raises(InputError):
        CodeLayout(hash_bits, label_bits, weight)


def test_codes_are_checked() -> None:
    layout = CodeLayout(12)
    check_codes(np.zeros((3, 2), np.uint8), layout)
    with pytest.raises(InputError, match=r"\(3, 3\)"):
        check_codes(np.zeros((3, 3), np.uint8), layout)
    with pytest.raises(InputError, match="int64"):
        check_codes(np.zeros((3, 2), np.int64), layout)
    with pytest.raises(InputError, match="beyond the 12 bits"):
        check_codes(np.full((3, 2), 255, np.uint8), layout)
