from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from terrahash.codes import CodeLayout, pack
from terrahash.errors import InputError
from terrahash.evaluation.trust import TrustCurve, precision_by_distance


def test_counts_pairs_and_falls_with_distance() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 20)
    bits = (random.random((5, 16)) < 0.5)[labels] ^ (random.random((100, 16)) < 0.1)
    curve = precision_by_distance(pack(bits), labels, CodeLayout(16))
    assert sum(curve.pairs) == 100 * 99
    assert list(curve.precision) == sorted(curve.precision, reverse=True)
    near, far = curve.at(0), curve.at(curve.distances[-1])
    assert near is not None and far is not None
    assert near > 0.9 > 0.2 > far
    # The pairs expect as many relevant ones as there are, but for the pull of one pair a distance.
    same = sum(p * n for p, n in zip(curve.precision, curve.pairs, strict=True))
    assert same == pytest.approx(100 * 19, abs=len(curve.pairs))


def test_a_few_lucky_pairs_promise_no_certainty() -> None:
    codes = np.array([[0], [0], [255], [255]], np.uint8)
    curve = precision_by_distance(codes, np.array([0, 0, 1, 1]), CodeLayout(8))
    # 4 of 4 pairs at distance 0, 0 of 8 at distance 8; one pair in three shares a label overall.
    assert curve.precision == pytest.approx(((4 + 1 / 3) / 5, (1 / 3) / 9))


def test_distances_never_seen_take_the_next_larger_and_beyond_is_unknown() -> None:
    curve = TrustCurve((2.0, 5.0), (0.9, 0.4), (10, 20))
    assert curve.at(0) == curve.at(2) == 0.9
    assert curve.at(2.5) == curve.at(5) == 0.4
    assert curve.at(5.5) is None


def test_violations_are_pooled() -> None:
    # Distance 0: 0 of 2 pairs; distance 1: all of many.
    bits = np.zeros((4, 8), bool)
    bits[2:, 0] = True
    curve = precision_by_distance(pack(bits), np.array([0, 1, 0, 1]), CodeLayout(8))
    assert curve.precision[0] == curve.precision[1]


def test_weighted_label_bits_and_label_sets() -> None:
    bits = np.zeros((3, 8), bool)
    bits[1, 7] = True
    labels = np.array([[1, 0], [1, 1], [0, 1]], bool)
    curve = precision_by_distance(pack(bits), labels, CodeLayout(7, 1, 0.5))
    assert curve.distances == (0.0, 0.5)
    assert curve.pairs == (2, 4)


def test_json_round_trip_and_damage() -> None:
    curve = TrustCurve((0.0, 0.5), (0.875, 0.25), (3, 4))
    assert TrustCurve.from_json(curve.to_json()) == curve
    with pytest.raises(InputError, match="lacks or garbles"):
        TrustCurve.from_json({"distances": [1]})
    with pytest.raises(InputError):
        TrustCurve.from_json({"distances": [], "precision": [], "pairs": []})


def test_one_image_gives_no_pairs() -> None:
    with pytest.raises(InputError, match="no pairs"):
        precision_by_distance(np.zeros((1, 1), np.uint8), np.array([0]), CodeLayout(8))


def test_reading_a_stored_curve_loads_no_compiler_and_no_plots() -> None:
    code = (
        "import sys; import terrahash.evaluation.trust, terrahash.evaluation.pictures; "
        "print({'numba', 'onnxruntime', 'matplotlib', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
