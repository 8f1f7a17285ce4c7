"""Archives and reference answers that the tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terrahash.archive import Archive
from terrahash.codes import CodeLayout, distances

LAYOUT = CodeLayout(64)


def random_codes(count: int, seed: int = 0, nbytes: int = 8) -> NDArray[np.uint8]:
    """Codes with few distinct values, so that ties are common."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 4, (count, nbytes)) * 85).astype(np.uint8)


def nearest(
    codes: NDArray[np.uint8],
    ids: NDArray[np.int64],
    query: NDArray[np.uint8],
    k: int,
    layout: CodeLayout = LAYOUT,
) -> list[tuple[int, float]]:
    """The reference answer: (id, distance) in the order (distance, id)."""
    if not len(ids):
        return []
    apart = distances(query[None], codes, layout)[0]
    order = np.lexsort((ids, apart))[:k]
    return [(int(ids[row]), float(apart[row])) for row in order]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tiles.terrahash"


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    with Archive.create(folder, LAYOUT) as made:
        yield made
