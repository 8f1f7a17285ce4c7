"""ITQ: iterative quantisation (Gong and Lazebnik 2011): principal components, rotated to signs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import InputError
from terrahash.learning.methods.base import ClosedForm


@dataclass(frozen=True, kw_only=True)
class ITQ(ClosedForm):
    """All numbers of ITQ.

    Attributes:
        iterations: of the alternation between signs and rotation, 50 (the paper); 0 leaves a random
            rotation.
    """

    name = "itq"
    title = "ITQ"

    iterations: int = 50

    def solve(
        self, features: NDArray[np.float32], bits: int, seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean
        rank = min(len(features) - 1, features.shape[1])
        if bits > rank:
            raise InputError(
                f"ITQ takes each bit from a principal component, and {len(features)} training "
                f"images of {features.shape[1]} features have {rank}: too few for {bits} bits",
                f"choose at most {rank} bits, give more images, or choose lsh",
            )
        _, vectors = np.linalg.eigh(centred.T @ centred)
        components = vectors[:, ::-1][:, :bits]
        projected = centred @ components
        random = np.random.default_rng(seed).standard_normal((bits, bits))
        rotation = np.linalg.qr(random)[0]
        for _ in range(self.iterations):
            codes = np.where(projected @ rotation >= 0, 1.0, -1.0)
            left, _, right = np.linalg.svd(projected.T @ codes)
            rotation = left @ right
        weight = (components @ rotation).T
        return weight.astype(np.float32), (-weight @ mean).astype(np.float32)
