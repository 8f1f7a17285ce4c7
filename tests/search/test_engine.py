"""Differential and metamorphic tests of the search against brute force."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, distances, pack, unpack
from terrahash.errors import InputError
from terrahash.search import Cells, Matches, build_cells, engine, scan, search
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


# One length for each kind of kernel: 8-, 16- and 64-bit words, unrolled or summed along the code.
LENGTHS = (8, 11, 24, 48, 64, 65, 128, 512)


@st.composite
def cases(draw: st.DrawFn, lengths: Sequence[int] = LENGTHS) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = draw(st.sampled_from(lengths))
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
@given(cases((8, 11, 32, 48, 65, 96, 200, 256, 1024)))
def test_numpy_equals_brute_force(case: Case) -> None:
    check(case, case.run())


@settings(max_examples=300, deadline=None)
@given(cases())
def test_scan_equals_brute_force(case: Case) -> None:
    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        check(case, case.run())


@settings(max_examples=300, deadline=None)
@given(cases((24, 64, 65, 128)), st.integers(0, 4), st.sampled_from([None, 1, 7]))
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


def clustered(
    rng: np.random.Generator, n: int, flip: float, layout: CodeLayout
) -> NDArray[np.uint8]:
    centres = rng.integers(0, 2, (max(1, n // 500), layout.bits), dtype=np.uint8)
    bits = centres[rng.integers(0, len(centres), n)]
    return pack(bits ^ (rng.random(bits.shape) < flip))


@pytest.mark.parametrize("flip", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("asymmetric", [False, True])
def test_cells_and_scan_agree_at_size(flip: float, asymmetric: bool) -> None:
    rng = np.random.default_rng(5)
    layout = CodeLayout(64)
    codes = clustered(rng, 60_000, flip, layout)
    alive = rng.random(len(codes)) < 0.9
    queries = codes[::2000]
    magnitudes = rng.random((len(queries), 64)).astype(np.float32) if asymmetric else None
    cells = build_cells([codes[:50_000]], layout)
    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        for masks in (None, [alive]):
            for k, radius in ((20, None), (None, 6.0)):
                found = [
                    search(
                        [codes],
                        queries,
                        layout,
                        k=k,
                        radius=radius,
                        masks=masks,
                        magnitudes=magnitudes,
                        cells=choice,
                    )
                    for choice in (None, cells)
                ]
                for scanned, celled in zip(*found, strict=True):
                    np.testing.assert_array_equal(scanned.rows, celled.rows)
                    np.testing.assert_array_equal(scanned.distances, celled.distances)
                    assert scanned.ties == celled.ties
                    assert scanned.way == "scan"
                    if masks is None and k and not flip:
                        assert celled.way == "cells"
                        assert celled.share_read < 0.5


def test_uniform_codes_are_scanned() -> None:
    rng = np.random.default_rng(6)
    layout = CodeLayout(64)
    codes = rng.integers(0, 256, (40_000, 8), dtype=np.uint8)
    cells = build_cells([codes], layout)
    queries = rng.integers(0, 256, (40, 8), dtype=np.uint8)
    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        for query in queries:
            (matches,) = search([codes], query[None], layout, k=20, cells=cells)
            assert matches.way == "scan"
        assert {m.way for m in search([codes], queries, layout, k=20, cells=cells)} == {"scan"}


@pytest.mark.parametrize("options", [{"k": 3}, {"radius": 30.0}, {"k": 3, "ties": True}])
def test_queries_may_be_read_only(options: dict[str, Any]) -> None:
    codes = np.random.default_rng(1).integers(0, 256, (200, 8), np.uint8)
    queries = np.frombuffer(codes[:2].tobytes(), np.uint8).reshape(2, 8)
    layout = CodeLayout(64)
    cells = build_cells([codes], layout)
    expected = [each.rows.tolist() for each in search([codes], queries, layout, **options)]
    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        for given in (None, cells):
            found = search([codes], queries, layout, cells=given, **options)
            assert [each.rows.tolist() for each in found] == expected


def test_all_equal_codes_tie() -> None:
    codes = np.zeros((30_000, 8), np.uint8)
    layout = CodeLayout(64)
    cells = build_cells([codes], layout)
    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        (matches,) = search([codes], codes[:1], layout, k=3, cells=cells)
        (all_ties,) = search([codes], codes[:1], layout, k=3, cells=cells, ties=True)
    assert matches.rows.tolist() == [0, 1, 2]
    assert matches.ties == len(all_ties) == 30_000
    assert len(cells.codes) == 1


@pytest.mark.parametrize("bit", [0, 7, 63])
def test_flipping_a_bit_everywhere_changes_nothing(bit: int) -> None:
    rng = np.random.default_rng(bit)
    layout = CodeLayout(64)
    codes = clustered(rng, 5000, 0.1, layout)
    flip = np.zeros((1, 64), np.uint8)
    flip[0, bit] = 1
    before = search([codes], codes[:20], layout, k=30)
    after = search([codes ^ pack(flip)], codes[:20] ^ pack(flip), layout, k=30)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.distances, other.distances)


def test_permuting_bits_changes_nothing() -> None:
    rng = np.random.default_rng(8)
    layout = CodeLayout(64)
    codes = clustered(rng, 5000, 0.1, layout)
    order = rng.permutation(64)
    magnitudes = rng.random((20, 64)).astype(np.float32)
    moved = pack(unpack(codes, 64)[:, order])
    before = search([codes], codes[:20], layout, k=30, magnitudes=magnitudes)
    after = search([moved], moved[:20], layout, k=30, magnitudes=magnitudes[:, order])
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_permuting_rows_permutes_the_answer() -> None:
    rng = np.random.default_rng(9)
    layout = CodeLayout(64)
    codes = clustered(rng, 5000, 0.1, layout)
    order = rng.permutation(len(codes))
    before = search([codes], codes[:20], layout, radius=12)
    after = search([codes[order]], codes[:20], layout, radius=12)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.distances, other.distances)
        assert set(one.rows.tolist()) == set(order[other.rows].tolist())


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(10)
    layout = CodeLayout(64)
    codes = clustered(rng, 1_000_000, 0.0, layout)
    answers = []
    for threads in ("1", "2", "7"):
        monkeypatch.setenv("TERRAHASH_THREADS", threads)
        with patch.object(engine, "kernels_pay", lambda *_, **__: True):
            answers.append(search([codes], codes[:5], layout, k=50))
    for other in answers[1:]:
        for one, two in zip(answers[0], other, strict=True):
            np.testing.assert_array_equal(one.rows, two.rows)
            assert one.ties == two.ties


def test_cells_refuse_what_does_not_fit() -> None:
    rng = np.random.default_rng(11)
    layout = CodeLayout(64)
    codes = clustered(rng, 1000, 0.1, layout)
    cells = build_cells([codes], layout)
    with pytest.raises(InputError, match="cells are of 1000 rows"):
        search([codes[:500]], codes[:1], layout, k=1, cells=cells)
    arrays = cells.to_arrays()
    with pytest.raises(InputError, match="lack the arrays rings"):
        Cells.from_arrays({k: v for k, v in arrays.items() if k != "rings"}, layout)
    with pytest.raises(InputError, match="do not fit"):
        Cells.from_arrays(arrays | {"codes": arrays["codes"][:-1]}, layout)


def test_search_leaves_the_interpreter_free() -> None:
    rng = np.random.default_rng(12)
    codes = rng.integers(0, 256, (4_000_000, 8), dtype=np.uint8)
    layout = CodeLayout(64)
    ticks = 0
    done = threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0)

    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        search([codes], codes[:1], layout, k=20)
        counter = threading.Thread(target=count)
        counter.start()
        search([codes], codes[:200], layout, k=20)
        done.set()
        counter.join()
    assert ticks > 20


@pytest.mark.parametrize("asymmetric", [False, True])
def test_a_stalled_helper_changes_nothing(asymmetric: bool) -> None:
    rng = np.random.default_rng(13)
    layout = CodeLayout(64)
    codes = clustered(rng, 600_000, 0.1, layout)
    magnitudes = rng.random((3, 64)).astype(np.float32) if asymmetric else None

    def stall(work: MethodType, _threads: int) -> list[object]:
        ticket = work.__self__._arguments[1]
        ticket += 3  # a helper took three ranges and never came back
        return []

    with patch.object(engine, "kernels_pay", lambda *_, **__: True):
        expected = search([codes], codes[:3], layout, k=30, magnitudes=magnitudes)
        with patch.object(scan, "start_helpers", stall):
            found = search([codes], codes[:3], layout, k=30, magnitudes=magnitudes)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        assert one.ties == other.ties
