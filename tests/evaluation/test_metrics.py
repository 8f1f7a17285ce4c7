from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrahash.codes import CodeLayout, pack, unpack
from terrahash.errors import InputError
from terrahash.evaluation.metrics import Metrics, measure
from terrahash.evaluation.retrieval import Retrieval

from .reference import expected, hamming

LAYOUTS = (CodeLayout(8), CodeLayout(6, 2, 0.5), CodeLayout(9, 3, 2.0), CodeLayout(70, 3, 0.25))


def assert_same(metrics: Metrics, values: dict[str, float], tolerance: float = 1e-9) -> None:
    for name, value in values.items():
        got = getattr(metrics, name)
        if got is None:
            assert name == "map_at_k_weighted" or np.isnan(value), name
        else:
            assert got == pytest.approx(value, abs=tolerance), name


@st.composite
def retrievals(draw: st.DrawFn, most: int = 7) -> Retrieval:
    """Small experiments full of ties, one label or several, with or without the query inside."""
    layout = draw(st.sampled_from(LAYOUTS))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(3, most))
    prototypes = random.random((draw(st.integers(1, 4)), layout.bits)) < 0.5
    codes = pack(prototypes[random.integers(0, len(prototypes), count)])
    if draw(st.booleans()):
        labels = random.random((count, 3)) < 0.45
    else:
        labels = random.integers(0, 3, count)
    if draw(st.booleans()):
        return Retrieval.within(codes, labels, layout)
    queries = draw(st.integers(1, 3))
    rows = random.integers(0, count, queries)
    return Retrieval(codes[rows], codes, labels[rows], labels, layout)


@settings(deadline=None, max_examples=60)
@given(retrievals(), st.integers(1, 4))
def test_equals_the_mean_over_all_orders_of_ties(retrieval: Retrieval, k: int) -> None:
    k = min(k, retrieval.ranks)
    assert_same(measure(retrieval, k=k), expected(retrieval, k))


def test_equals_monte_carlo_over_random_orders() -> None:
    random = np.random.default_rng(3)
    labels = random.integers(0, 4, 60)
    bits = (random.random((4, 8)) < 0.5)[labels] ^ (random.random((60, 8)) < 0.15)
    retrieval = Retrieval.within(pack(bits), labels, CodeLayout(8))
    metrics = measure(retrieval, k=10)
    assert_same(metrics, expected(retrieval, 10, orders=200), tolerance=0.003)
    assert 0.2 < metrics.map_at_k < 0.95


@settings(deadline=None, max_examples=40)
@given(retrievals(), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_asymmetric_ranks_by_the_magnitudes_of_differing_bits(
    retrieval: Retrieval, k: int, seed: int
) -> None:
    k = min(k, retrieval.ranks)
    bits = retrieval.layout.bits
    random = np.random.default_rng(seed)
    # Quarters are exact in binary, so equal sums are equal whatever the order of adding.
    magnitudes = (random.integers(0, 5, (len(retrieval.query_codes), bits)) / 4).astype(np.float32)
    differing = unpack(retrieval.query_codes, bits)[:, None] != unpack(
        retrieval.gallery_codes, bits
    )
    scores = (differing * magnitudes[:, None].astype(np.float64)).sum(axis=2)
    keys = scores * 1e6 + hamming(retrieval)
    got = measure(retrieval, k=k, magnitudes=magnitudes).map_at_k_asymmetric
    assert got == pytest.approx(expected(retrieval, k, keys=keys)["map_at_k"], abs=1e-9)


def test_asymmetric_with_equal_magnitudes_is_plain_hamming() -> None:
    random = np.random.default_rng(0)
    codes, labels = pack(random.random((50, 16)) < 0.5), random.integers(0, 3, 50)
    retrieval = Retrieval.within(codes, labels, CodeLayout(16))
    metrics = measure(retrieval, k=7, magnitudes=np.ones((50, 16), np.float32))
    assert metrics.map_at_k_asymmetric == pytest.approx(metrics.map_at_k, abs=1e-12)


def test_asymmetric_of_many_distinct_codes_and_a_large_k() -> None:
    random = np.random.default_rng(1)
    codes, labels = pack(random.random((40, 16)) < 0.5), random.integers(0, 3, 40)
    retrieval = Retrieval.within(codes, labels, CodeLayout(16))
    magnitudes = random.random((40, 16)).astype(np.float32)
    differing = unpack(codes, 16)[:, None] != unpack(codes, 16)
    scores = (differing * magnitudes[:, None].astype(np.float64)).sum(axis=2)
    for k in (1, 20, 39):
        got = measure(retrieval, k=k, magnitudes=magnitudes).map_at_k_asymmetric
        want = expected(retrieval, k, keys=scores, orders=1)["map_at_k"]
        assert got == pytest.approx(want, abs=1e-9)


def test_the_query_is_left_out_even_among_duplicates_of_itself() -> None:
    codes = np.zeros((4, 1), np.uint8)
    alone = np.arange(4)
    retrieval = Retrieval.within(codes, alone, CodeLayout(8))
    assert measure(retrieval, k=3).hit_at_k == 0
    pairs = Retrieval.within(codes, np.array([0, 0, 1, 1]), CodeLayout(8))
    metrics = measure(pairs, k=3, magnitudes=np.ones((4, 8), np.float32))
    # One of three tied answers is right: AP is the mean of 1, 1/2 and 1/3.
    assert metrics.map_at_k == pytest.approx(11 / 18)
    assert metrics.map_at_k_asymmetric == pytest.approx(11 / 18)
    assert metrics.precision_at_k == pytest.approx(1 / 3)
    included = Retrieval(codes, codes, alone, alone, CodeLayout(8))
    assert measure(included, k=4).hit_at_k == 1


@pytest.mark.parametrize("several", [False, True])
def test_the_order_of_the_database_does_not_matter(several: bool) -> None:
    random = np.random.default_rng(5)
    codes = pack(random.random((30, 10)) < 0.3)
    labels = random.random((30, 70)) < 0.03 if several else random.integers(0, 4, 30)
    magnitudes = random.random((30, 10)).astype(np.float32)
    layout = CodeLayout(8, 2, 0.5)
    plain = measure(Retrieval.within(codes, labels, layout), k=5, magnitudes=magnitudes)
    order = random.permutation(30)
    places = np.argsort(order)
    permuted = Retrieval(codes, codes[order], labels, labels[order], layout, places)
    mixed = measure(permuted, k=5, magnitudes=magnitudes)
    for name, value in vars(plain).items():
        if name == "curves":
            for part, numbers in vars(value).items():
                np.testing.assert_allclose(getattr(mixed.curves, part), numbers, atol=1e-12)
        elif value is None:
            assert getattr(mixed, name) is None
        else:
            np.testing.assert_allclose(getattr(mixed, name), value, atol=1e-12)


def test_a_ranking_by_hand() -> None:
    # Distances 0, 1, 2, 3 from the query; right, wrong, right, wrong; four relevant are nowhere.
    gallery = pack(np.tri(5, 8, -1)[:4])
    labels = np.array([1, 0, 1, 0])
    retrieval = Retrieval(gallery[:1], gallery, np.array([1]), labels, CodeLayout(8))
    metrics = measure(retrieval, k=3)
    assert metrics.map_at_k == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.map_at_k_over_k == pytest.approx((1 + 2 / 3) / 3)
    assert metrics.precision_at_k == pytest.approx(2 / 3)
    assert metrics.recall_at_k == 1
    assert metrics.precision_radius_2 == pytest.approx(2 / 3)
    assert metrics.failed_radius_2 == 0
    # Ranks 1 and 3 of NG = 2: AVR 2, MRR 0.5; Kq = 4.
    assert metrics.anmrr == pytest.approx(0.5 / (5 - 1.5))
    curves = metrics.curves
    np.testing.assert_array_equal(curves.distances, [0, 1, 2, 3])
    np.testing.assert_array_equal(curves.same, [1, 0, 1, 0])
    np.testing.assert_array_equal(curves.different, [0, 1, 0, 1])
    np.testing.assert_allclose(curves.precision_within, [1, 1 / 2, 2 / 3, 1 / 2])
    np.testing.assert_allclose(curves.recall_within, [0.5, 0.5, 1, 1])
    np.testing.assert_array_equal(curves.ranks, [1, 2, 3, 4])
    np.testing.assert_allclose(curves.precision_at, [1, 1 / 2, 2 / 3, 1 / 2])
    np.testing.assert_allclose(curves.recall_at, [0.5, 0.5, 1, 1])


def test_precision_at_rank_agrees_with_precision_at_k() -> None:
    random = np.random.default_rng(9)
    retrieval = Retrieval.within(
        pack(random.random((300, 8)) < 0.5), random.integers(0, 5, 300), CodeLayout(8)
    )
    metrics = measure(retrieval, k=20)
    place = int(np.flatnonzero(metrics.curves.ranks == 20)[0])
    assert metrics.curves.precision_at[place] == pytest.approx(metrics.precision_at_k)
    assert metrics.curves.recall_at[place] == pytest.approx(metrics.recall_at_k)
    assert metrics.curves.ranks[-1] == 299
    assert metrics.curves.recall_at[-1] == pytest.approx(1)
    assert metrics.curves.recall_within[-1] == pytest.approx(1)


def test_radius_two_counts_what_finds_nothing() -> None:
    codes = pack(np.array([[0] * 8, [0] * 7 + [1], [1] * 8]))
    retrieval = Retrieval.within(codes, np.array([0, 0, 0]), CodeLayout(8))
    metrics = measure(retrieval, k=1)
    assert metrics.failed_radius_2 == pytest.approx(1 / 3)
    assert metrics.precision_radius_2 == pytest.approx(2 / 3)
    weighted = CodeLayout(7, 1, 3.0)
    assert measure(Retrieval.within(codes, np.zeros(3, int), weighted), k=1).failed_radius_2 == 1


def test_queries_without_relevant_items_count_as_zero_and_are_reported() -> None:
    codes = np.zeros((3, 1), np.uint8)
    metrics = measure(Retrieval.within(codes, np.array([0, 0, 7]), CodeLayout(8)), k=2)
    assert metrics.n_queries_without_relevant == 1
    assert metrics.map_at_k == pytest.approx((0.75 + 0.75 + 0) / 3)
    lonely = measure(Retrieval.within(codes, np.arange(3), CodeLayout(8)), k=2)
    assert lonely.map == 0
    assert lonely.anmrr is None


def test_label_sets_of_one_label_agree_with_single_labels() -> None:
    random = np.random.default_rng(2)
    codes, labels = pack(random.random((40, 8)) < 0.5), random.integers(0, 5, 40)
    layout = CodeLayout(8)
    single = measure(Retrieval.within(codes, labels, layout), k=5)
    several = measure(Retrieval.within(codes, labels[:, None] == np.arange(5), layout), k=5)
    for name in ("map_at_k", "map", "ndcg_at_k", "anmrr", "map_at_k_hits"):
        assert getattr(several, name) == pytest.approx(getattr(single, name), abs=1e-12)
    assert several.map_at_k_weighted == pytest.approx(several.map_at_k_hits)
    assert single.map_at_k_weighted is None


def test_weighted_map_by_hand() -> None:
    gallery = pack(np.tri(4, 8, -1)[:3])
    query, labels = (
        np.array([[1, 1, 1, 0]], bool),
        np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], bool),
    )
    retrieval = Retrieval(gallery[:1], gallery, query, labels, CodeLayout(8))
    # Hits at ranks 1 and 3 with average cumulative gains 2/1 and 5/3.
    assert measure(retrieval, k=3).map_at_k_weighted == pytest.approx((2 + 5 / 3) / 2)


def test_results_do_not_depend_on_the_number_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    codes, labels = pack(random.random((50, 12)) < 0.5), random.integers(0, 5, 50)
    retrieval = Retrieval.within(codes, labels, CodeLayout(12))
    whole = measure(retrieval, k=5)
    monkeypatch.setattr("terrahash.evaluation.retrieval.BLOCK", 7)
    parts = measure(retrieval, k=5)
    np.testing.assert_array_equal(whole.ap_at_k, parts.ap_at_k)
    np.testing.assert_allclose(whole.curves.precision_at, parts.curves.precision_at, atol=1e-12)


def test_wrong_input_is_named() -> None:
    codes, labels, layout = np.zeros((5, 1), np.uint8), np.zeros(5, np.int64), CodeLayout(8)
    retrieval = Retrieval.within(codes, labels, layout)
    for k in (0, 5):
        with pytest.raises(InputError, match=f"k = {k} answers.*ranks 4"):
            measure(retrieval, k=k)
    with pytest.raises(InputError, match="magnitudes have shape"):
        measure(retrieval, k=2, magnitudes=np.ones((5, 7), np.float32))
    with pytest.raises(InputError, match="magnitudes"):
        measure(retrieval, k=2, magnitudes=np.full((5, 8), np.nan, np.float32))
    with pytest.raises(InputError, match="no query codes"):
        Retrieval(codes[:0], codes, labels[:0], labels, layout)
    with pytest.raises(InputError, match="gallery labels are"):
        Retrieval(codes, codes, labels, labels[:3], layout)
    with pytest.raises(InputError, match="down to -1"):
        Retrieval(codes, codes, labels, labels - 1, layout)
    with pytest.raises(InputError, match="do not fit each other"):
        Retrieval(codes, codes, labels, np.ones((5, 2), bool), layout)
    with pytest.raises(InputError, match="self_rows are"):
        Retrieval(codes, codes, labels, labels, layout, np.arange(3))
    with pytest.raises(InputError, match="beyond the gallery"):
        Retrieval(codes, codes, labels, labels, layout, np.arange(5) + 1)
