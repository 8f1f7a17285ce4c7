"""LSH: signs of random projections (Charikar 2002), the floor that learning has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.learning.methods.base import ClosedForm


@dataclass(frozen=True, kw_only=True)
class LSH(ClosedForm):
    """Gaussian projections of centred features; it has no numbers."""

    name = "lsh"
    title = "LSH"

    def solve(
        self, features: NDArray[np.float32], bits: int, seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        weight = np.random.default_rng(seed).standard_normal((bits, features.shape[1]))
        weight /= np.sqrt(features.shape[1])
        mean = features.mean(axis=0, dtype=np.float64)
        return weight.astype(np.float32), (-weight @ mean).astype(np.float32)
