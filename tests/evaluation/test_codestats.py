from __future__ import annotations

import numpy as np
import pytest

from terrahash.codes import CodeLayout, pack
from terrahash.errors import InputError
from terrahash.evaluation.codestats import code_statistics


def test_by_hand() -> None:
    bits = np.zeros((4, 8), bool)
    bits[:, 0] = [1, 1, 0, 0]
    bits[:, 1] = [1, 1, 0, 0]
    bits[:, 2] = [0, 0, 1, 1]
    bits[:, 3] = [1, 0, 0, 0]
    bits[:, 4] = True
    statistics = code_statistics(pack(bits), CodeLayout(8))
    assert statistics.distinct_codes == 3
    assert statistics.largest_bucket == 2
    assert statistics.dead_bits == 4
    np.testing.assert_allclose(statistics.bit_balance, [0.5, 0.5, 0.5, 0.25, 1, 0, 0, 0])
    assert statistics.correlation[0, 1] == pytest.approx(1)
    assert statistics.correlation[0, 2] == pytest.approx(-1)
    assert statistics.correlation[0, 4] == 0


def test_correlation_is_pearsons() -> None:
    bits = np.random.default_rng(0).random((200, 12)) < 0.4
    statistics = code_statistics(pack(bits), CodeLayout(12))
    expected = np.corrcoef(bits.T)
    np.testing.assert_allclose(statistics.correlation, expected, atol=1e-6)
    apart = np.abs(expected[~np.eye(12, dtype=bool)]).mean()
    assert statistics.mean_absolute_correlation == pytest.approx(apart, abs=1e-6)


def test_no_codes() -> None:
    with pytest.raises(InputError, match="no codes"):
        code_statistics(np.zeros((0, 1), np.uint8), CodeLayout(8))
