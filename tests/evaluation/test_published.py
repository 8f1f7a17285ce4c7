"""The published wrong metrics on toy lists worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from terrahash.codes import CodeLayout, pack
from terrahash.evaluation.metrics import measure
from terrahash.evaluation.published import PUBLISHED, published_metrics, running_hit_rate
from terrahash.evaluation.retrieval import Retrieval

LAYOUT = CodeLayout(8)


def test_mhcln_depends_on_storage_order_where_the_true_value_does_not() -> None:
    codes = np.zeros((4, 1), np.uint8)  # all tie
    query = codes[:1], np.array([1])
    values = []
    for labels in ([1, 1, 0, 0], [0, 0, 1, 1]):
        retrieval = Retrieval(query[0], codes, query[1], np.array(labels), LAYOUT)
        values.append(published_metrics(retrieval, k=4)["mhcln_map_at_k_index_ties"])
    assert values == [pytest.approx(1.0), pytest.approx((1 / 3 + 2 / 4) / 2)]
    true = measure(Retrieval(query[0], codes, query[1], np.array(labels), LAYOUT), k=4)
    assert values[1] < true.map_at_k_hits < values[0]


def test_hpsh_trusts_the_first_neighbour_not_the_query() -> None:
    gallery = pack(np.tri(5, 8, -1)[:4])
    labels = np.array([2, 2, 1, 2])
    retrieval = Retrieval(gallery[:1], gallery, np.array([1]), labels, LAYOUT)
    # Neighbour 1 has label 2; neighbours 2, 3, 4 agree, differ, agree: (1/1 + 2/3) / 2.
    value = published_metrics(retrieval, k=3)["hpsh_first_neighbour_map_at_k"]
    assert value == pytest.approx((1 + 2 / 3) / 2)
    assert published_metrics(retrieval, k=4)["hpsh_first_neighbour_map_at_k"] is None


def test_dhcl_reports_a_running_hit_rate() -> None:
    assert running_hit_rate(np.array([True, False, True])) == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert running_hit_rate(np.array([False, True, True])) == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_dhcl_drops_rank_zero_even_if_it_is_not_the_query() -> None:
    # Images 0 and 1 share a code and differ in label. For query 1, rank 0 is image 0 and rank 1 is
    # the query itself, which then counts as its own hit; query 0 loses itself as intended.
    codes = np.array([[0], [0], [255]], np.uint8)
    retrieval = Retrieval.within(codes, np.array([0, 1, 2]), LAYOUT)
    assert measure(retrieval, k=1).hit_at_k == 0
    value = published_metrics(retrieval, k=1)["dhcl_running_hit_rate_at_k"]
    assert value == pytest.approx((1 / 2) / 3)


def test_fah_counts_the_query_as_its_own_answer() -> None:
    codes = pack(np.tri(4, 8, -1)[:3])
    retrieval = Retrieval.within(codes, np.arange(3), LAYOUT)
    value = published_metrics(retrieval, k=2)["fah_map_at_k_query_included"]
    assert value == pytest.approx(1 / 2)  # nothing is relevant, and still half
    apart = Retrieval(codes, codes, np.arange(3), np.arange(3), LAYOUT)
    assert published_metrics(apart, k=2)["fah_map_at_k_query_included"] is None


def test_index_order_ties_leave_the_query_out_among_many_duplicates() -> None:
    codes = np.zeros((6, 1), np.uint8)
    labels = np.array([0, 0, 0, 1, 1, 1])
    retrieval = Retrieval.within(codes, labels, LAYOUT)
    # Every query sees the other images in storage order: AP is 1 for class 0; for class 1 the
    # first three answers are of class 0, and ranks 4 and 5 lie beyond k = 3.
    assert published_metrics(retrieval, k=3)["mhcln_map_at_k_index_ties"] == pytest.approx(0.5)


def test_label_sets() -> None:
    gallery = pack(np.tri(4, 8, -1)[:3])
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], bool)
    retrieval = Retrieval(gallery[:1], gallery, np.array([[0, 1, 0]], bool), labels, LAYOUT)
    values = published_metrics(retrieval, k=2)
    assert values["mhcln_map_at_k_index_ties"] == pytest.approx(1 / 2)
    assert values["hpsh_first_neighbour_map_at_k"] == pytest.approx(1.0)


def test_every_metric_is_described() -> None:
    codes = np.zeros((3, 1), np.uint8)
    values = published_metrics(Retrieval.within(codes, np.zeros(3, int), LAYOUT), k=1)
    assert set(values) == set(PUBLISHED)
