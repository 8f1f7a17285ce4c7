"""Differential and metamorphic tests of the search against brute force."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, distances, pack, unpack
from terrahash.errors import InputError
from terrahash.search import Cells, Matches, build_cells, engine, search
from terrahash.search.ranking import SCORE_STEPS


@dataclass
class Case:
    layout: CodeLayout
    chunks: list[NDArray[np.uint8]]
    queries: NDArray[np.uint8]
    k: int | None
    radius: float | None
    masks: list[NDArray[np.bool_] | None] | None
    magnitudes: NDArray[np.float32] | None
    ties: bool

    def run(self, cells: Cells | None = None) -> list[Matches]:
        return search(
            self.chunks,
            self.queries,
            self.layout,
            k=self.k,
            radius=self.radius,
            masks=self.masks,
            magnitudes=self.magnitudes,
            cells=cells,
            ties=self.ties,
        )


def random_codes(rng: np.random.Generator, n: int, layout: CodeLayout) -> NDArray[np.uint8]:
    """Codes of few values and their neighbours: ties and duplicates are the normal case."""
    prototypes = rng.integers(0, 2, (max(1, n // 8), layout.bits))
    bits = prototypes[rng.integers(0, len(prototypes), n)]
    flips = rng.random((n, layout.bits)) < rng.choice([0.0, 0.05, 0.5])
    return pack(bits ^ flips)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = draw(st.sampled_from([8, 11, 24, 32, 48, 64, 65, 128, 200, 512, 1024]))
    label_bits = draw(st.sampled_from([0, 0, 5]))
    weight = draw(st.sampled_from([0.5, 1.0, 1.25, 3.0])) if label_bits else 1.0
    layout = CodeLayout(bits - label_bits, label_bits, weight)
    sizes = draw(st.lists(st.integers(0, 400), max_size=4))
    chunks = [random_codes(rng, n, layout) for n in sizes]
    queries = random_codes(rng, draw(st.integers(0, 5)), layout)
    k = draw(st.sampled_from([None, 0, 1, 3, 20, 100, 5000]))
    radius = draw(st.sampled_from([None, 0.0, 2.5, bits / 4, 1e9]))
    if k is None and radius is None:
        radius = bits / 3
    masks = None
    if draw(st.booleans()):
        share = draw(st.sampled_from([0.0, 0.02, 0.5]))
        masks = [rng.random(n) < share if rng.random() < 0.8 else None for n in sizes]
    magnitudes = None
    if draw(st.booleans()):
        magnitudes = rng.random((len(queries), bits)).astype(np.float32)
        magnitudes[rng.random(magnitudes.shape) < 0.3] = 1.0
    return Case(layout, chunks, queries, k, radius, masks, magnitudes, draw(st.booleans()))


def brute_force(case: Case) -> list[tuple[NDArray[np.int64], NDArray[np.float32], int]]:
    layout = case.layout
    codes = np.concatenate([np.empty((0, layout.nbytes), np.uint8), *case.chunks])
    allowed = np.ones(len(codes), bool)
    if case.masks is not None:
        parts = [
            np.ones(len(chunk), bool) if mask is None else mask
            for chunk, mask in zip(case.chunks, case.masks, strict=True)
        ]
        allowed = np.concatenate([np.empty(0, bool), *parts])
    answers = []
    for number, row in enumerate(distances(case.queries, codes, layout)):
        eligible = np.flatnonzero(
            allowed & (row <= (np.inf if case.radius is None else case.radius))
        )
        score = np.zeros(len(codes), np.int64)
        if case.magnitudes is not None:
            steps = np.rint(
                case.magnitudes[number].astype(np.float64)
                / (float(case.magnitudes[number].max()) / SCORE_STEPS)
            ).astype(np.int64)
            differing = unpack(codes ^ case.queries[number], layout.bits)
            score = differing.astype(np.int64) @ steps
        order = eligible[np.lexsort((eligible, row[eligible], score[eligible]))]
        taken = order if case.k is None else order[: case.k]
        count = 0
        if len(taken):
            last = taken[-1]
            same = order[(row[order] == row[last]) & (score[order] == score[last])]
            count = len(same)
            if case.ties:
                taken = np.concatenate([taken, same[~np.isin(same, taken)]])
        answers.append((taken, row[taken], count))
    return answers


def check(case: Case, found: list[Matches]) -> None:
    expected = brute_force(case)
    assert len(found) == len(expected)
    for matches, (rows, dists, count) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(matches.rows, rows)
        np.testing.assert_array_equal(matches.distances, dists)
        assert matches.ties == count
        assert matches.rows.dtype == np.int64
        assert matches.distances.dtype == np.float32
        assert (matches.scores is None) == (case.magnitudes is None)


@settings(max_examples=300, deadline=None)
@given(cases())
def test_numpy_equals_brute_force(case: Case) -> None:
    check(case, case.run())


@settings(max_examples=300, deadline=None)
@given(cases())
def test_scan_equals_brute_force(case: Case) -> None:
    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        check(case, case.run())


@settings(max_examples=300, deadline=None)
@given(cases(), st.integers(0, 4), st.sampled_from([None, 1, 7]))
def test_cells_equal_brute_force(case: Case, built: int, centres: int | None) -> None:
    cells = build_cells(case.chunks[:built], case.layout, centres=centres)
    kept = Cells.from_arrays(cells.to_arrays(), case.layout)
    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        check(case, case.run(kept))


@settings(max_examples=100, deadline=None)
@given(cases(), st.booleans())
def test_row_lists_equal_masks(case: Case, compiled: bool) -> None:
    case.masks = [
        np.ones(len(chunk), bool) if m is None else m
        for chunk, m in zip(case.chunks, case.masks or [None] * len(case.chunks), strict=True)
    ]
    rows = np.flatnonzero(np.concatenate([np.empty(0, bool), *case.masks]))
    with patch.object(engine, "kernels_pay", lambda *_, **__: compiled):
        found = search(
            case.chunks,
            case.queries,
            case.layout,
            k=case.k,
            radius=case.radius,
            rows=rows,
            magnitudes=case.magnitudes,
            ties=case.ties,
        )
    check(case, found)


def test_scores_are_sums_of_magnitudes_over_differing_bits() -> None:
    rng = np.random.default_rng(0)
    layout = CodeLayout(48)
    codes = random_codes(rng, 300, layout)
    magnitudes = rng.random((1, 48)).astype(np.float32)
    (matches,) = search([codes], codes[:1], layout, k=50, magnitudes=magnitudes)
    assert matches.scores is not None
    differing = unpack(codes[matches.rows] ^ codes[0], 48)
    np.testing.assert_allclose(matches.scores, differing @ magnitudes[0], rtol=1e-5, atol=1e-4)
    assert (np.diff(matches.scores) >= 0).all()


def test_refuses_what_it_cannot_search() -> None:
    layout = CodeLayout(16)
    codes = np.zeros((3, 2), np.uint8)
    with pytest.raises(InputError, match="neither k nor radius"):
        search([codes], codes, layout)
    with pytest.raises(InputError, match="k is -1"):
        search([codes], codes, layout, k=-1)
    with pytest.raises(InputError, match="radius is nan"):
        search([codes], codes, layout, radius=float("nan"))
    with pytest.raises(InputError, match=r"shape \(3, 1\)"):
        search([codes[:, :1]], codes, layout, k=1)
    with pytest.raises(InputError, match="masks for 1 chunks"):
        search([codes], codes, layout, k=1, masks=[])
    with pytest.raises(InputError, match="mask is"):
        search([codes], codes, layout, k=1, masks=[np.ones(2, bool)])
    with pytest.raises(InputError, match="magnitudes have shape"):
        search([codes], codes, layout, k=1, magnitudes=np.ones((3, 2), np.float32))
    with pytest.raises(InputError, match="not negative"):
        search([codes], codes, layout, k=1, magnitudes=np.full((3, 16), -1, np.float32))
