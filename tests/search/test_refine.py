from __future__ import annotations

import numpy as np
import pytest

from terrahash.codes import CodeLayout, pack, unpack
from terrahash.errors import InputError
from terrahash.search import refine, search

LAYOUT = CodeLayout(16)


def test_formula() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (6, 16))
    query, positives, negatives = bits[:1], bits[1:4], bits[4:]
    refined = refine(
        LAYOUT,
        query=pack(query),
        positives=pack(positives),
        negatives=pack(negatives),
        query_weight=1.0,
        positive_weight=0.5,
        negative_weight=0.25,
    )
    signs = bits * 2 - 1
    vector = signs[0] + 0.5 * signs[1:4].mean(axis=0) - 0.25 * signs[4:].mean(axis=0)
    np.testing.assert_array_equal(unpack(refined.code, 16)[0], vector >= 0)
    np.testing.assert_allclose(refined.magnitudes[0], np.abs(vector), rtol=1e-6)


def test_positives_alone_rank_by_their_majority() -> None:
    rng = np.random.default_rng(1)
    wanted, other = rng.integers(0, 2, (2, 16))
    archive = np.concatenate([np.tile(other, (5, 1)), np.tile(wanted, (5, 1))])
    noisy = np.tile(wanted, (3, 1))
    noisy[[0, 1, 2], [0, 5, 9]] ^= 1
    refined = refine(LAYOUT, positives=pack(noisy))
    np.testing.assert_array_equal(refined.code, pack(wanted[None]))
    (matches,) = search([pack(archive)], refined.code, LAYOUT, k=5, magnitudes=refined.magnitudes)
    assert matches.rows.tolist() == [5, 6, 7, 8, 9]


def test_negatives_weaken_the_bits_they_share() -> None:
    query = pack(np.ones((1, 16)))
    negative = np.zeros((1, 16))
    negative[0, :4] = 1
    refined = refine(LAYOUT, query=query, negatives=pack(negative))
    assert refined.magnitudes[0, :4].max() < refined.magnitudes[0, 4:].min()


def test_label_bits_keep_their_weight() -> None:
    layout = CodeLayout(12, 4, 0.5)
    refined = refine(layout, query=pack(np.ones((1, 16))))
    assert refined.magnitudes[0].tolist() == [1.0] * 12 + [0.5] * 4


def test_refuses_nothing_to_go_by() -> None:
    with pytest.raises(InputError, match="neither a query nor a positive"):
        refine(LAYOUT, negatives=pack(np.ones((1, 16))))
    with pytest.raises(InputError, match="weight of the refinement is negative"):
        refine(LAYOUT, positives=pack(np.ones((1, 16))), negative_weight=-1)


def test_the_label_weight_counts_once() -> None:
    """Without examples a refined query ranks as the query's own magnitudes do."""
    layout = CodeLayout(8, 2, 0.5)
    magnitudes = np.array([[1.0] * 8 + [0.5, 0.25]], np.float32)
    query = pack(np.ones((1, 10), bool))
    refined = refine(layout, query=query, magnitudes=magnitudes)
    np.testing.assert_array_equal(refined.code, query)
    ratio = refined.magnitudes / magnitudes
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)
