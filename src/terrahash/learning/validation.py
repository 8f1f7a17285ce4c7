"""How good the network is on the validation images: what training chooses by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.encoder.encoded import Encoded
from terrahash.evaluation.metrics import measure
from terrahash.evaluation.retrieval import Retrieval

K = 20


@dataclass(frozen=True)
class Validation:
    """Each validation image queries the others.

    Attributes:
        score: tie-aware mAP over the full ranking; what epochs are compared by.
        map_at_k: tie-aware mAP@20, denominator min(20, R).
        queries: number of validation images.
        distinct_codes: different codes among them.
    """

    score: float
    map_at_k: float
    queries: int
    distinct_codes: int

    def to_json(self) -> dict[str, Any]:
        """For the encoder's card."""
        return {
            "protocol": "within-validation",
            "map": self.score,
            "map_at_k": self.map_at_k,
            "k": min(K, self.queries - 1),
            "n_queries": self.queries,
            "distinct_codes": self.distinct_codes,
        }


def validate(encoded: Encoded, targets: NDArray[np.bool_], layout: CodeLayout) -> Validation:
    """Measure codes of validation images.

    Args:
        encoded: of N ≥ 2 images.
        targets: ``(N, C) bool`` their classes.
        layout: of the codes.
    """
    single = bool((targets.sum(axis=1) == 1).all())
    labels = targets.argmax(axis=1) if single else targets
    retrieval = Retrieval.within(encoded.codes, labels, layout)
    metrics = measure(retrieval, k=min(K, len(targets) - 1))
    return Validation(
        metrics.map, metrics.map_at_k, len(targets), len(np.unique(encoded.codes, axis=0))
    )
