"""Random lives of an archive against a model in plain Python."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terrahash.archive import Archive, celling, merging, open_archive
from terrahash.codes import CodeLayout, distances, pack

LAYOUTS = [CodeLayout(8), CodeLayout(13), CodeLayout(64), CodeLayout(60, 5, 0.5), CodeLayout(200)]

# A step: what to do, a seed for its codes, and a number that says how much or which.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "add", "add", "delete", "update", "upsert", "where", "compact", "reopen"]
        ),
        st.integers(0, 5),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=25,
)


def make(layout: CodeLayout, seed: int, count: int) -> Any:
    """Codes near few centres: ties and equal codes abound."""
    rng = np.random.default_rng(seed)
    centre = rng.random(layout.bits) < 0.5
    return pack(centre ^ (rng.random((count, layout.bits)) < 0.03))


LIVES = given(layout=st.sampled_from(LAYOUTS), steps=STEPS, k=st.integers(1, 60))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@LIVES
def test_any_life_ends_as_the_model_says(
    layout: CodeLayout, steps: list[tuple[str, int, int]], k: int
) -> None:
    live(layout, steps, k)


@pytest.mark.stress
@pytest.mark.parametrize("portion", range(10))
def test_many_lives(portion: int) -> None:
    @hypothesis.seed(portion)
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @LIVES
    def lives(layout: CodeLayout, steps: list[tuple[str, int, int]], k: int) -> None:
        live(layout, steps, k)

    lives()


def live(layout: CodeLayout, steps: list[tuple[str, int, int]], k: int) -> None:
    """One life, with merges and cells as early as there can be any."""
    saved = merging.FAN_OUT, merging.GROWTH, celling.MIN_ROWS
    merging.FAN_OUT, merging.GROWTH, celling.MIN_ROWS = 3, 1, 20
    try:
        with tempfile.TemporaryDirectory() as folder:
            _live(Path(folder) / "archive", layout, steps, k)
    finally:
        merging.FAN_OUT, merging.GROWTH, celling.MIN_ROWS = saved


def _live(path: Path, layout: CodeLayout, steps: list[tuple[str, int, int]], k: int) -> None:
    model: dict[int, tuple[bytes, str, int]] = {}
    archive = Archive.create(path, layout)
    archive.add_column("n", "integer")
    for what, seed, number in steps:
        live = sorted(model)
        chosen = live[seed :: number % 5 + 1]
        match what:
            case "add":
                codes = make(layout, seed, number)
                ids = archive.add_codes(
                    codes, labels=[f"l{seed}"] * number, columns={"n": list(range(number))}
                )
                for row, added in enumerate(ids.tolist()):
                    model[added] = (codes[row].tobytes(), f"l{seed}", row)
            case "delete":
                assert archive.delete(ids=[*chosen, 10**9]) == len(chosen)
                for gone in chosen:
                    del model[gone]
            case "update":
                codes = make(layout, seed + 10, len(chosen))
                archive.update(chosen, codes=codes, columns={"n": [number] * len(chosen)})
                for row, changed in enumerate(chosen):
                    model[changed] = (codes[row].tobytes(), model[changed][1], number)
            case "upsert":
                codes = make(layout, seed + 20, 2)
                names = [f"u{seed}", f"u{number}-"]
                ids = archive.upsert(
                    codes, user_ids=names, labels=names, columns={"n": [seed, seed]}
                )
                for row, added in enumerate(ids.tolist()):
                    model[added] = (codes[row].tobytes(), names[row], seed)
            case "where":
                count = archive.delete(where=f"label = 'l{seed}' AND n < {number // 4}")
                gone = [i for i, v in model.items() if v[1] == f"l{seed}" and v[2] < number // 4]
                assert count == len(gone)
                for number_gone in gone:
                    del model[number_gone]
            case "compact":
                archive.compact()
            case _:
                archive.close()
                archive = open_archive(path)
    with archive:
        _compare(archive, layout, model, k)
    with open_archive(path, mode="r") as archive:
        _compare(archive, layout, model, k)


def _compare(
    archive: Archive, layout: CodeLayout, model: dict[int, tuple[bytes, str, int]], k: int
) -> None:
    ids = np.array(sorted(model), np.int64)
    assert np.array_equal(archive.ids(), ids)
    assert len(archive) == len(ids)
    stored = [model[i] for i in ids.tolist()]
    codes = np.frombuffer(b"".join(v[0] for v in stored), np.uint8).reshape(-1, layout.nbytes)
    assert np.array_equal(archive.codes(ids), codes)
    records = archive.records(ids)
    assert [(r.label, r.columns["n"]) for r in records] == [v[1:] for v in stored]
    labels = np.array([v[1] for v in stored])
    numbers = np.array([v[2] for v in stored])
    query = make(layout, 2, 1)
    condition = (labels != "l1") & (numbers >= 2)
    for keep, text in (
        (np.ones(len(ids), bool), None),
        (condition, "label != 'l1' AND n >= 2"),
    ):
        kept = ids[keep]
        apart = distances(query, codes[keep], layout)[0] if len(kept) else np.empty(0)
        order = np.lexsort((kept, apart))
        hits = archive.search_codes(query, k=k, where=text)[0]
        assert hits.ids.tolist() == kept[order][:k].tolist()
        assert hits.distances.tolist() == apart[order][:k].tolist()
        if len(hits):
            last = hits.distances[-1]
            assert hits.ties_at_last_distance == (apart == last).sum()
            with_ties = archive.search_codes(query, k=k, where=text, ties=True)[0]
            assert with_ties.ids.tolist() == kept[order][apart[order] <= last].tolist()
        near = archive.search_codes(query, k=None, radius=3, where=text)[0]
        assert near.ids.tolist() == kept[order][apart[order] <= 3].tolist()
        # Powers of two, so that the search's rounded scores are these sums.
        weights = np.resize(np.array([4, 1, 2, 0], np.float32), layout.bits)
        bits = np.unpackbits(query[0] ^ codes[keep], axis=-1, count=layout.bits)
        scores = bits.reshape(-1, layout.bits) @ weights
        order = np.lexsort((kept, apart, scores))
        hits = archive.search_codes(query, k=k, where=text, magnitudes=weights[None])[0]
        assert hits.ids.tolist() == kept[order][:k].tolist()
